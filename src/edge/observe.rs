//! Access log, metrics and standard headers of every request.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::{
    access::{Forwarded, RequestRecord},
    labels::{method_label, route_label},
    pipeline::{Record, RouteMetrics, Transport},
    request_id::REQUEST_ID,
    state::EdgeState,
    traced::trace_headers,
};
use crate::{auth::Caller, limits::Peer, telemetry::Timeline};

/// Records a request and its response, as middleware.
pub(super) async fn observe(
    State((state, transport)): State<(EdgeState, Transport)>,
    mut request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let timeline = Timeline::begin(state.traces.as_deref(), &trace_headers(request.headers()), begin);
    if let Some(timeline) = &timeline {
        request.extensions_mut().insert(Arc::clone(timeline));
    }
    let record = Record::begin(&state, transport, begin, timeline);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let id = request.headers().get(REQUEST_ID).cloned();
    let peer = request.extensions().get::<Peer>().copied();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_behind_proxy = !state.trusted_proxies.is_empty();
    let client = peer.filter(|_| is_behind_proxy).map(|peer| state.client_of(peer, request.headers()));
    let mut response = next.run(request).await;
    let caller = response.extensions().get::<Arc<Caller>>().map(Arc::clone);
    let request = RequestRecord {
        id: id.as_ref(),
        peer: peer.as_ref(),
        method: method.as_str(),
        path: uri.path(),
        caller: caller.as_deref(),
        forwarded: Forwarded::Read(client),
    };
    let metrics =
        RouteMetrics { method: method_label(&method), route: route_label(route.as_ref()), ok: None };
    record.finish(&request, metrics, &mut response);
    response
}
