//! The bodies of calls: decompressed, and charged to the memory budget as they arrive.
//!
//! The library would unpack and decode a message in one step, whatever its size. Here every part is charged before it
//! is allocated, with the memory of its decoded form.

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
use crate::edge::{ChargedBody, EdgeState, charge_of, charged_response, length_of};

pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Length of the prefix of a message: a flag, and the message's length.
pub(super) const PREFIX_BYTES: usize = 5;

/// Most bytes of a message without tensors.
pub(super) const SHORT_MESSAGE_BYTES: u64 = 16 * 1024;

/// The budget that bodies are charged to, and the most bytes of a decompressed message.
#[derive(Clone, Debug)]
pub(super) struct ChargedMessages {
    pub(super) state: EdgeState,
    pub(super) max_bytes: u64,
}

/// Returns the memory that a message with its prefix takes once decoded, beyond its bytes.
pub(super) fn message_cost(message: &Bytes) -> u64 {
    MessageCost::default().of(message)
}

/// Charges the messages of a call and its response. Methods find the charge among the extensions.
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
