//! The bodies of calls: unpacked where they are compressed, and charged as they come.
//!
//! The library would unpack a message at once and decode it at once, however large it becomes. Here every part is charged
//! before it is there, with what its decoded form takes beyond its bytes.

mod cost;
mod unpack;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::HeaderName,
    middleware::Next,
    response::Response,
};

use self::{cost::MessageCost, unpack::Packing};
use crate::transport::{ChargedBody, TransportState, charge_of, charged_response, length_of};

pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The most bytes of a message that names something and holds no tensors.
pub(super) const SHORT_MESSAGE_BYTES: u64 = 16 * 1024;

/// The budget that bodies are charged to, and the most bytes that an unpacked message may have.
#[derive(Clone, Debug)]
pub(super) struct ChargedMessages {
    pub(super) state: TransportState,
    pub(super) max_bytes: u64,
}

/// The middleware that charges the messages of a call and its response. Methods find the charge among the extensions.
pub(super) async fn charge_messages(
    State(ChargedMessages { state, max_bytes }): State<ChargedMessages>,
    mut request: Request,
    next: Next,
) -> Response {
    let charge = charge_of(&state, request.extensions(), request.headers());
    request.extensions_mut().insert(charge.clone());
    let packing = request.headers().get(GRPC_ENCODING).and_then(Packing::of);
    let request = request.map(|body| {
        if let Some(packing) = packing {
            let packed = ChargedBody::new(body, charge.clone(), length_of);
            return unpack::unpacked(Body::new(packed), packing, max_bytes, charge.clone());
        }
        let mut cost = MessageCost::default();
        let weight = move |data: &Bytes| length_of(data).saturating_add(cost.of(data));
        Body::new(ChargedBody::new(body, charge.clone(), weight))
    });
    charged_response(next.run(request).await, charge)
}
