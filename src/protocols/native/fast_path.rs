//! Fast path for the common request: JSON rows of numbers, a known token, a model that takes one matrix.
//!
//! The fast path makes the same checks as the router and returns the same bytes, without layers, tasks or a JSON
//! document in between. Any unusual or invalid request takes the slow path through the router, before it is charged or
//! counted. `tests/it/fast_path.rs` sends requests both ways and compares the responses.

mod head;

use std::{
    mem,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, uri::PathAndQuery},
    response::IntoResponse,
};
use futures_util::FutureExt;
use http_body::Body as HttpBody;
use tokio::time::timeout;

use self::head::Head;
use super::json::{FlatRows, read_flat_rows};
use crate::{
    auth::Caller,
    codec::RowBase,
    config::Settings,
    edge::{
        AddressLimit, ApiError, EdgeState, Peer, Record, RequestRecord, RouteMetrics, Transport, authorize,
        bearer, charge, charge_for, charged_response, new_request_id, panicked,
        rest::{
            prefixed_body::{self, PrefixedBody},
            response::response_with,
        },
    },
    model::{FlatElement, FlatLayout, Tensor},
    serving::{PermittedServable, RequestContext, Servable},
    system::byte_budget::{ByteCharge, count},
    telemetry::Route,
};

/// Larger bodies take the slow path: reading them takes long enough to be worth another thread.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// A body and its outputs up to this size are not charged: they cost no more than their connection.
const SMALL_BYTES: u64 = 16 * 1024;

/// Factor for the charge: numbers are held as text and as tensors.
const COPIES: u64 = 2;

/// The routes, as the router knows them.
const ROUTES: [&str; 2] = ["/predict", "/models/{model}/predict"];

/// State of the fast path.
#[derive(Debug)]
pub(in crate::protocols) struct FastPath {
    state: EdgeState,
    address_limit: Option<AddressLimit>,
    anonymous: Arc<Caller>,
    most_body_bytes: usize,
    request_timeout: Duration,
    routes: [Route; 2],
    /// Paths that the operator chose for other protocols, which may be among `ROUTES`.
    chosen: Vec<String>,
}

/// The path of a request through the gateway.
pub(in crate::protocols) enum RequestPath {
    Fast(FastRequest),
    /// The request, unchanged.
    Slow(Request<Body>),
}

/// A request that can take the fast path.
pub(in crate::protocols) struct FastRequest {
    servable: PermittedServable,
    /// `None` once it runs.
    input: Option<Tensor>,
    rows: FlatRows,
    caller: Arc<Caller>,
    id: HeaderValue,
    /// The index of its route in `ROUTES`.
    route: usize,
    /// The path, for the log.
    path: PathAndQuery,
    /// The headers of the request, whose memory the response reuses.
    headers: HeaderMap,
    peer: Peer,
    begin: Instant,
    /// The charge for its memory; `None` if it is small.
    charge: Option<ByteCharge>,
}

impl FastPath {
    pub(in crate::protocols) fn new(
        state: EdgeState,
        settings: &Settings,
        address_limit: Option<&AddressLimit>,
        chosen: Vec<String>,
    ) -> Self {
        let server = &settings.server;
        let most = usize::try_from(server.max_body_bytes).unwrap_or(usize::MAX);
        Self {
            address_limit: address_limit.cloned(),
            anonymous: Arc::new(Caller::anonymous()),
            most_body_bytes: most.min(MOST_BODY_BYTES),
            request_timeout: Duration::from_millis(server.request_timeout_ms),
            routes: ROUTES.map(|route| state.metrics.route("POST", route, StatusCode::OK.as_str())),
            chosen,
            state,
        }
    }

    /// Decides which path a request takes.
    ///
    /// This function does not wait, so the future of the response holds only what the response needs.
    pub(in crate::protocols) fn classify<B>(&self, request: Request<B>, peer: Peer) -> RequestPath
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let begin = Instant::now();
        let Some((servable, caller, head)) = self.resolve(&request) else {
            return RequestPath::Slow(request.map(Body::new));
        };
        let Head { id, route, length, .. } = head;
        let id = id.cloned();
        let (mut parts, mut body) = request.into_parts();
        let first = prefixed_body::first(&mut body);
        let whole = first.as_ref().filter(|first| first.len() == length);
        let flat = servable.flat.as_ref();
        let read = whole.zip(flat).and_then(|(whole, flat)| read_numbers(flat, whole));
        let charged = read.and_then(|(input, rows)| {
            let charge = self.charge(&servable, &caller, &parts.headers, peer, (length, rows.rows))?;
            Some((input, rows, charge))
        });
        let Some((input, rows, charge)) = charged else {
            return RequestPath::Slow(Request::from_parts(parts, PrefixedBody::new(first, body).into()));
        };
        let id = id.unwrap_or_else(new_request_id);
        let path = mem::take(&mut parts.uri).into_parts().path_and_query;
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let (input, headers) = (Some(input), parts.headers);
        RequestPath::Fast(FastRequest {
            servable,
            input,
            rows,
            caller,
            id,
            route,
            path,
            headers,
            peer,
            begin,
            charge,
        })
    }

    /// Resolves the model and the caller; `None` if either is unknown or the caller may not predict with the model.
    fn resolve<'r, B>(&self, request: &'r Request<B>) -> Option<(PermittedServable, Arc<Caller>, Head<'r>)> {
        let is_taken = self.chosen.iter().any(|path| path == request.uri().path());
        let head = Head::of(request).filter(|head| !is_taken && head.length <= self.most_body_bytes)?;
        let state = &self.state;
        let authentication = &state.authentication;
        let caller = if authentication.is_on() {
            authentication.known(bearer(request.headers(), None).ok()?, state.clock.now())?
        } else {
            Arc::clone(&self.anonymous)
        };
        let servable = match &head.model {
            Some(model) => state.serving.servable(model, None),
            None => state.serving.default_servable(),
        };
        let servable = servable.ok().filter(|servable| servable.flat.is_some())?;
        Some((authorize(&caller, servable).ok()?, caller, head))
    }

    /// Charges a body and its rows: `Some(None)` if they are too small to charge, `None` if there is no room. The
    /// layers then refuse the request.
    #[expect(clippy::option_option, reason = "want of room is not the same as nothing to charge")]
    fn charge(
        &self,
        servable: &Servable,
        caller: &Caller,
        headers: &HeaderMap,
        peer: Peer,
        (body, rows): (usize, usize),
    ) -> Option<Option<ByteCharge>> {
        let bytes = servable.output_size.expected(rows).saturating_add(count(body));
        if bytes <= SMALL_BYTES {
            return Some(None);
        }
        let charge = charge_for(&self.state, Some(caller), peer, headers);
        charge.try_grow(bytes.saturating_mul(COPIES)).ok().map(|()| Some(charge))
    }

    /// Counts and charges the request, and returns its response.
    pub(in crate::protocols) async fn respond(&self, fast: &mut FastRequest) -> Response<Body> {
        let record = Record::begin(&self.state, Transport::Rest, fast.begin);
        let answered = AssertUnwindSafe(self.run(fast)).catch_unwind().await;
        let request = fast.record();
        // As in the layers: the span is created only for an error.
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => request.span().in_scope(|| error.into_response()),
            Err(panic) => request.span().in_scope(|| panicked(panic)),
        };
        let (route, ok) = (ROUTES[fast.route], Some(&self.routes[fast.route]));
        record.finish(&request, RouteMetrics { method: "POST", route, ok }, &mut response);
        match fast.charge.take() {
            Some(charge) => charged_response(response, charge),
            None => response,
        }
    }

    async fn run(&self, fast: &mut FastRequest) -> Result<Response<Body>, ApiError> {
        let FastRequest { servable, input, rows, caller, headers, peer, begin, .. } = fast;
        let address = self.address_limit.as_ref().map(|limit| (limit, limit.client_of(*peer, headers)));
        charge(address, &self.state, caller)?;
        let input = input.take().ok_or(ApiError::ResponseNotWritten)?;
        let context = RequestContext { caller: caller.number(), ..RequestContext::default() };
        let mut run = pin!(self.state.serving.predict_flat(servable, input, rows.rows, context, *begin));
        let answered = if servable.scheduler.is_prompt() {
            run.await
        } else {
            timeout(self.request_timeout, run.as_mut()).await.map_err(|_| ApiError::TakesTooLong)?
        };
        let body = answered.and_then(|prediction| prediction.write(servable, rows.many));
        let body = body.map_err(|error| ApiError::about_rows(error, RowBase::of(rows.many)))?;
        Ok(response_with(mem::take(headers), servable, body))
    }
}

impl FastRequest {
    fn record(&self) -> RequestRecord<'_> {
        RequestRecord {
            id: Some(&self.id),
            peer: Some(&self.peer),
            method: "POST",
            path: self.path.path(),
            caller: Some(&self.caller),
        }
    }
}

/// Reads the rows of a body; `None` if it is invalid or holds anything else.
pub(super) fn read_numbers(flat: &FlatLayout, body: &[u8]) -> Option<(Tensor, FlatRows)> {
    fn read_as<T: FlatElement>(flat: &FlatLayout, body: &[u8]) -> Option<(Tensor, FlatRows)> {
        let mut elements = Vec::<T>::new();
        let rows = read_flat_rows(body, flat, &mut elements)?;
        Some((flat.tensor(rows.rows, elements)?, rows))
    }
    read_as::<f32>(flat, body).or_else(|| read_as::<f64>(flat, body))
}
