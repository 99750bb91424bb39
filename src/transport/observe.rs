//! Access log and counters of every request.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::{
    REQUEST_ID,
    access::RequestRecord,
    labels::{method_label, route_label, status_label},
    state::{Peer, TransportState},
};
use crate::auth::Caller;

/// Logs and counts a response, as middleware.
pub(super) async fn observe(State(state): State<TransportState>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let _in_flight = state.metrics.request_started();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let id = request.headers().get(REQUEST_ID).cloned();
    let peer = request.extensions().get::<Peer>().copied();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let status = response.status();
    let label = status_label(&status, response.headers());
    state.metrics.request_finished(
        method_label(&method),
        route_label(route.as_ref()),
        label,
        begin.elapsed(),
    );
    let asked = RequestRecord {
        id: id.as_ref(),
        peer: peer.as_ref(),
        method: method.as_str(),
        path: uri.path(),
        caller: response.extensions().get::<Arc<Caller>>().map(Arc::as_ref),
    };
    asked.answered(&response, begin, state.has_access_log);
    response
}
