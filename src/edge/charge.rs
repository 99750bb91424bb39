//! Charges for the bytes of each request in the budget of the process: the body as it arrives, and the response until
//! it is sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{Extensions, HeaderMap},
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};

use super::{offload::offload_large, peer::peer, state::EdgeState};
use crate::{
    auth::Caller,
    limits::Peer,
    system::byte_budget::{ByteCharge, OverBudget, ShareKey, count},
};

/// Maximum announced length of a body that is charged at once, so that its parts need not be counted one by one.
const SMALL_BODY_BYTES: u64 = 16 * 1024;

/// Maximum length of a response that is not charged: it fits into the buffer of its connection.
const SMALL_RESPONSE_BYTES: u64 = 16 * 1024;

/// Creates a charge for a request of this caller, or of this address if the caller is not authenticated.
pub(crate) fn charge_for(
    state: &EdgeState,
    caller: Option<&Caller>,
    peer: Peer,
    headers: &HeaderMap,
) -> ByteCharge {
    ByteCharge::new(&state.byte_budget, share_key_of(state, caller, peer, headers))
}

/// Returns the client of a request with these extensions and headers: the caller, or the address of one that is not
/// authenticated.
pub(crate) fn share_key(
    state: &EdgeState,
    caller: Option<&Caller>,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> ShareKey {
    share_key_of(state, caller, peer(extensions), headers)
}

fn share_key_of(state: &EdgeState, caller: Option<&Caller>, peer: Peer, headers: &HeaderMap) -> ShareKey {
    match caller.filter(|caller| caller.is_authenticated()) {
        Some(caller) => ShareKey::Caller(caller.key()),
        None => ShareKey::Address(state.address_of(peer, headers).ip()),
    }
}

/// Creates a charge for the request with these extensions and headers.
pub(crate) fn charge_of(state: &EdgeState, extensions: &Extensions, headers: &HeaderMap) -> ByteCharge {
    let caller = extensions.get::<Arc<Caller>>().map(Arc::as_ref);
    charge_for(state, caller, peer(extensions), headers)
}

/// Charges the body of a request, as its handler reads it, and the response, as middleware. Decompression is an outer
/// layer, so decompressed bytes are counted. Handlers find the charge in the extensions of the request. Large requests
/// are handled on other threads, so that they delay no other request. One middleware does both, since each costs a
/// future on the heap and a clone of the service below it.
pub(crate) async fn charge_bytes(
    State(state): State<EdgeState>,
    mut request: Request,
    next: Next,
) -> Response {
    let charge = charge_of(&state, request.extensions(), request.headers());
    request.extensions_mut().insert(charge.clone());
    let request = request.map(|body| charged_body(body, &charge));
    charged_response(offload_large(request, next).await, charge)
}

/// Wraps a body so that each part is charged before it is returned.
fn charged_body(body: Body, charge: &ByteCharge) -> Body {
    let announced = body.size_hint().exact().filter(|bytes| *bytes <= SMALL_BODY_BYTES);
    if announced.is_some_and(|bytes| charge.try_grow(bytes).is_ok()) {
        return body;
    }
    Body::new(ChargedBody::new(body, charge.clone(), length_of))
}

/// Returns the weight of a part that is charged with its length.
pub(crate) fn length_of(data: &Bytes) -> u64 {
    count(data.len())
}

/// Wraps a response so that it stays charged until its bytes are sent.
pub(crate) fn charged_response(response: Response, charge: ByteCharge) -> Response {
    let bytes = response.body().size_hint().exact();
    charged_response_of(response, charge, bytes)
}

/// Wraps a response of this length, which its body need not know; `None` if it has not been written yet.
pub(crate) fn charged_response_of(response: Response, charge: ByteCharge, bytes: Option<u64>) -> Response {
    match bytes {
        Some(bytes) if bytes <= SMALL_RESPONSE_BYTES => response,
        bytes => {
            // The memory of the request is free by now.
            charge.settle(bytes.unwrap_or_default());
            response.map(|body| Body::new(HeldBody { body, charge }))
        }
    }
}

/// A request body that is charged as it arrives.
pub(crate) struct ChargedBody<W> {
    body: Body,
    charge: ByteCharge,
    /// The function from a part to the bytes that it is charged with.
    weight: W,
    /// A received part that waits for room.
    waiting: Option<(Bytes, Waiting)>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<(), OverBudget>> + Send>>;

impl<W: FnMut(&Bytes) -> u64> ChargedBody<W> {
    pub(crate) fn new(body: Body, charge: ByteCharge, weight: W) -> Self {
        Self { body, charge, weight, waiting: None }
    }
}

impl<W: FnMut(&Bytes) -> u64 + Unpin> HttpBody for ChargedBody<W> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            let bytes = (this.weight)(&data);
            if this.charge.try_grow(bytes).is_ok() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let charge = this.charge.clone();
            this.waiting = Some((data, Box::pin(async move { charge.grow(bytes).await })));
        }
        let Some((_, waiting)) = &mut this.waiting else { return Poll::Ready(None) };
        let granted = ready!(waiting.as_mut().poll(context));
        let data = this.waiting.take().map(|(data, _)| data).unwrap_or_default();
        Poll::Ready(Some(granted.map(|()| Frame::data(data)).map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The hint of the rest does not include the waiting part.
        let Some((data, _)) = &self.waiting else { return self.body.size_hint() };
        let (rest, waiting) = (self.body.size_hint(), length_of(data));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(waiting));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(waiting));
        }
        hint
    }
}

/// A response body whose parts stay charged until the connection has sent them.
struct HeldBody {
    body: Body,
    charge: ByteCharge,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let charge = &self.charge;
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| held(data, charge)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes with their charge, which ends when the last part of them is dropped.
struct HeldBytes {
    bytes: Bytes,
    _charge: ByteCharge,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn held(bytes: Bytes, charge: &ByteCharge) -> Bytes {
    if length_of(&bytes) <= SMALL_RESPONSE_BYTES {
        return bytes;
    }
    charge.at_least(length_of(&bytes));
    Bytes::from_owner(HeldBytes { bytes, _charge: charge.clone() })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::system::byte_budget::ByteBudget;

    const KIB: usize = 1024;

    fn charge(budget: &Arc<ByteBudget>) -> ByteCharge {
        ByteCharge::new(budget, ShareKey::Caller(1))
    }

    #[tokio::test]
    async fn a_body_is_charged_as_it_comes_and_broken_off_where_there_is_no_room() {
        let budget = Arc::new(ByteBudget::new(400 * 1024));
        let parts = (0..5).map(|_| Ok::<_, axum::Error>(Bytes::from(vec![7; 100 * KIB])));
        let body = Body::from_stream(futures_util::stream::iter(parts));
        let charge = charge(&budget);
        let mut body = charged_body(body, &charge);
        for part in 1..=3_u64 {
            assert!(body.frame().await.unwrap().is_ok());
            assert_eq!(budget.usage().taken, part * 100 * 1024);
        }
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("307200 bytes"), "{error}");
        drop((body, charge));
        assert_eq!(budget.usage().taken, 0);
    }

    #[test]
    fn a_small_body_is_charged_before_it_comes() {
        let budget = Arc::new(ByteBudget::new(1 << 20));
        let (empty, small, large) = (charge(&budget), charge(&budget), charge(&budget));
        let _bodies = [(0, &empty), (16 * KIB, &small), (17 * KIB, &large)]
            .map(|(size, charge)| charged_body(Body::from(vec![7; size]), charge));
        assert_eq!(budget.usage().taken, 16 * 1024, "the large one is charged as it comes");
    }

    #[tokio::test]
    async fn a_response_is_charged_until_its_bytes_are_dropped() {
        let budget = Arc::new(ByteBudget::new(1 << 20));
        let small = Response::new(Body::from(vec![7; 16 * KIB]));
        drop(charged_response(small, charge(&budget)));
        let large = Response::new(Body::from(vec![7; 20 * KIB]));
        let mut body = charged_response(large, charge(&budget)).into_body();
        assert_eq!(budget.usage().taken, 20 * 1024);
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(
            (bytes.len(), budget.usage().taken),
            (20 * KIB, 20 * 1024),
            "the connection has them still"
        );
        drop(bytes);
        assert_eq!(budget.usage().taken, 0);
    }
}
