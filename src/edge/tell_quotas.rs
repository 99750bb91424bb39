//! Middleware that adds the fields of quotas to responses.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderName,
    middleware::Next,
    response::Response,
};

use super::{
    quota_fields::{Charged, LEFT_OF_ADDRESS},
    state::EdgeState,
};
use crate::limits::RequestCharge;

/// The header with the quota of an address, by the layer that charges it; it never leaves the gateway.
const QUOTA_OF_ADDRESS: HeaderName = HeaderName::from_static("x-ratelimit-limit");

/// The charge of a request, among the extensions of its response.
#[derive(Clone, Debug)]
pub(super) struct ChargeOfCaller(pub(super) Arc<RequestCharge>);

/// Adds the fields to the responses of the layers that charge quotas, as middleware around them.
pub(super) async fn tell_quotas(State(state): State<EdgeState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let caller = response.extensions().get::<ChargeOfCaller>();
    let standing = caller.map(|ChargeOfCaller(charge)| charge.standing()).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(QUOTA_OF_ADDRESS);
    let address = headers.remove(LEFT_OF_ADDRESS);
    let address = address.and_then(|left| left.to_str().ok()?.parse().ok());
    state.quota_fields.add(headers, &Charged { address, standing }, state.quotas.as_deref());
    response
}
