//! Fast path for common requests with a known token: native rows of numbers for a model that takes one matrix, tensors
//! of the Open Inference Protocol, `predict` of KServe V1 and TensorFlow Serving, and the invocations of MLflow and
//! SageMaker.
//!
//! The fast path makes the same checks as the router and returns the same bytes, without the layers in between. Any
//! unusual request takes the slow path through the router, before it is charged or counted. So do invalid native rows.
//! All other bodies are read by the function that the handler calls. `tests/it/fast_path.rs` sends requests both ways and
//! compares the responses.

mod head;
mod route;
mod work;

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, uri::PathAndQuery},
    response::IntoResponse,
};
use futures_util::FutureExt;
use http_body::Body as HttpBody;
use tokio::time::timeout;

use self::{
    head::{Head, Target},
    route::FastRoute,
    work::{HandlerBody, Work},
};
use super::{
    PROTOCOLS,
    invocations::{self, EnabledDialects, invoke_body},
    native::json::FlatRows,
    open_inference::rest::infer_body,
    tensorflow::predict_body,
};
use crate::{
    auth::Caller,
    codec::RowBase,
    config::{DialectName, Settings},
    edge::{
        AddressLimit, ApiError, Charged, EdgeParts, EdgeState, Forwarded, MOST_FAST_BYTES, Peer, Record,
        RequestRecord, RouteMetrics, Timed, Transport, authorize, charge, charge_for, charged_response,
        holding, known_caller, new_request_id, panicked, request_charge,
        rest::{
            cors::CorsHeaders,
            layers::compressed,
            prefixed_body::{self, PrefixedBody},
            render::rendered,
            response::response_with,
        },
        trace_headers,
    },
    model::Tensor,
    serving::{PermittedServable, RequestContext, Servable},
    system::byte_budget::{ByteCharge, count},
    telemetry::{Route, StepKind, Timeline, TraceHeaders},
};

/// Returns true if the head of a request lets it take the fast path. Its caller, model and body decide, too.
#[must_use]
pub fn has_fast_head<B>(request: &Request<B>) -> bool {
    Head::of(request).is_some()
}

/// A body and its outputs up to this size are not charged: they cost no more than their connection.
const SMALL_BYTES: u64 = 16 * 1024;

/// Factor for the charge: numbers are held as text and as tensors.
const COPIES: u64 = 2;

/// State of the fast path.
#[derive(Debug)]
pub(super) struct FastPath {
    state: EdgeState,
    address_limit: Option<AddressLimit>,
    most_row_bytes: usize,
    most_tensor_bytes: usize,
    request_timeout: Duration,
    /// The metrics of each route, in the order of `FastRoute::ALL`.
    routes: [Route; FastRoute::ALL.len()],
    /// True if KServe V1 is on and its callers are authenticated here.
    has_tensorflow: bool,
    /// True if MLflow or SageMaker is on and callers are authenticated here.
    has_invocations: bool,
    dialects: EnabledDialects,
    /// The headers for pages of other origins; `None` if no origin is allowed.
    cors: Option<CorsHeaders>,
    /// Paths that the operator chose for other protocols, which may be among those of `FastRoute`.
    chosen: Vec<String>,
}

/// The path of a request through the gateway.
pub(super) enum RequestPath {
    Fast(FastRequest),
    /// The request, unchanged.
    Slow(Request<Body>),
}

/// A request that can take the fast path.
pub(super) struct FastRequest {
    /// The version and the work for it; `None` once it runs.
    work: Option<(PermittedServable, Work)>,
    caller: Arc<Caller>,
    id: HeaderValue,
    route: FastRoute,
    /// The path, for the log.
    path: PathAndQuery,
    /// The headers of the request, whose memory the response reuses.
    headers: HeaderMap,
    peer: Peer,
    begin: Instant,
    /// The charge for its memory; `None` if it is small.
    charge: Option<ByteCharge>,
    /// The rest of its quotas.
    charged: Charged,
    /// The times of the request; `None` for most.
    timeline: Option<Arc<Timeline>>,
}

impl FastPath {
    pub(super) fn new(
        state: EdgeState,
        settings: &Settings,
        address_limit: Option<&AddressLimit>,
        chosen: Vec<String>,
    ) -> Self {
        let server = &settings.server;
        let most = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX).min(MOST_FAST_BYTES);
        let ok = StatusCode::OK;
        let dialects = EnabledDialects::new(&settings.dialects);
        Self {
            address_limit: address_limit.cloned(),
            most_row_bytes: most(server.max_body_bytes),
            most_tensor_bytes: most(server.max_tensor_body_bytes),
            request_timeout: Duration::from_millis(server.request_timeout_ms),
            routes: FastRoute::ALL.map(|route| state.metrics.route("POST", route.pattern(), ok.as_str())),
            has_tensorflow: settings.dialects.kserve_v1
                && !settings.dialects.authenticates(DialectName::KserveV1),
            has_invocations: dialects.any() && !invocations::platform_authenticates(&settings.dialects),
            dialects,
            cors: CorsHeaders::new(&settings.cors),
            chosen,
            state,
        }
    }

    /// Decides which path a request takes.
    ///
    /// This function does not wait, so the future of the response holds only what the response needs.
    pub(super) fn classify<B>(&self, request: Request<B>, peer: Peer) -> RequestPath
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let begin = Instant::now();
        let Some((servable, caller, head)) = self.resolve(&request) else {
            return RequestPath::Slow(request.map(Body::new));
        };
        let Head { id, target, length, is_observed } = head;
        let (id, route) = (id.cloned(), target.route);
        let timeline = self.timeline(request.headers(), is_observed, begin);
        let (mut parts, mut body) = request.into_parts();
        let first = prefixed_body::first(&mut body);
        let whole = first.as_ref().filter(|first| first.len() == length);
        let work = whole.and_then(|whole| {
            let work = Work::of(route, &servable, &parts.headers, whole)?;
            let charge = self.charge(&work, &servable, &caller, &parts.headers, peer, length)?;
            Some((work, charge))
        });
        let Some((work, charge)) = work else {
            return RequestPath::Slow(Request::from_parts(parts, PrefixedBody::new(first, body).into()));
        };
        let id = id.unwrap_or_else(new_request_id);
        let path = mem::take(&mut parts.uri).into_parts().path_and_query;
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let (work, headers) = (Some((servable, work)), parts.headers);
        let charged = Charged::default();
        RequestPath::Fast(FastRequest {
            work,
            caller,
            id,
            route,
            path,
            headers,
            peer,
            begin,
            charge,
            charged,
            timeline,
        })
    }

    /// Begins the times of a request, if they are kept.
    fn timeline(&self, headers: &HeaderMap, is_observed: bool, begin: Instant) -> Option<Arc<Timeline>> {
        let traces = self.state.traces.as_deref();
        if traces.is_none() && !is_observed {
            return None;
        }
        let headers = if is_observed { trace_headers(headers) } else { TraceHeaders::default() };
        let timeline = Timeline::begin(traces, &headers, begin)?;
        // The caller is known by now.
        timeline.step(StepKind::Authentication, begin);
        Some(timeline)
    }

    /// Resolves the model and the caller; `None` if either is unknown or the caller may not predict with the model.
    fn resolve<'r, B>(&self, request: &'r Request<B>) -> Option<(PermittedServable, Arc<Caller>, Head<'r>)> {
        let is_taken = self.chosen.iter().any(|path| path == request.uri().path());
        let head = Head::of(request).filter(|head| !is_taken && head.length <= self.most_bytes(head))?;
        let Target { route, model, version } = &head.target;
        let is_on = match route {
            FastRoute::TensorFlowPredict => self.has_tensorflow,
            FastRoute::Invocations => self.has_invocations,
            _ => true,
        };
        if !is_on {
            return None;
        }
        let state = &self.state;
        let caller = known_caller(state, request.headers())?;
        let servable = match model {
            Some(model) => state.serving.servable(model, version.as_ref()),
            None => state.serving.default_servable(),
        };
        let servable = servable.ok().filter(|servable| !route.takes_rows() || servable.flat.is_some())?;
        Some((authorize(&caller, servable).ok()?, caller, head))
    }

    fn most_bytes(&self, head: &Head<'_>) -> usize {
        if head.target.route.takes_rows() { self.most_row_bytes } else { self.most_tensor_bytes }
    }

    /// Charges a body and what is made of it: `Some(None)` if that is too small to charge, `None` if there is no room.
    /// The layers then refuse the request.
    #[expect(clippy::option_option, reason = "want of room is not the same as nothing to charge")]
    fn charge(
        &self,
        work: &Work,
        servable: &Servable,
        caller: &Caller,
        headers: &HeaderMap,
        peer: Peer,
        body: usize,
    ) -> Option<Option<ByteCharge>> {
        let bytes = match work {
            Work::Rows(_, rows) => {
                let bytes = servable.output_size.expected(rows.rows).saturating_add(count(body));
                if bytes <= SMALL_BYTES {
                    return Some(None);
                }
                bytes.saturating_mul(COPIES)
            }
            // The handler charges the rest, once it knows the tensors.
            Work::Body(_) => count(body),
        };
        let charge = charge_for(&self.state, Some(caller), peer, headers);
        charge.try_grow(bytes).ok().map(|()| Some(charge))
    }

    /// Counts and charges the request, and returns its response.
    pub(super) async fn respond(&self, fast: &mut FastRequest) -> Response<Body> {
        let record = Record::begin(&self.state, Transport::Rest, fast.begin, fast.timeline.clone());
        let answered = AssertUnwindSafe(self.run(fast)).catch_unwind().await;
        // As in the layers, but the span is created only for an error.
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => fast.record().span().in_scope(|| error.into_response()),
            Err(panic) => fast.record().span().in_scope(|| panicked(panic)),
        };
        let EdgeParts { quota_fields, quotas, .. } = &*self.state;
        if response.status() == StatusCode::OK {
            quota_fields.add_to_success(response.headers_mut(), &fast.charged, quotas.as_deref());
        } else {
            response = rendered(PROTOCOLS.of(&Method::POST, fast.path.path()), response);
            quota_fields.add(response.headers_mut(), &fast.charged, quotas.as_deref());
        }
        if let Some(cors) = &self.cors {
            response = Box::pin(cors.add(response)).await;
        }
        let (route, ok) = (fast.route.pattern(), self.routes.get(fast.route as usize));
        record.finish(&fast.record(), RouteMetrics { method: "POST", route, ok }, &mut response);
        match fast.charge.take() {
            Some(charge) => charged_response(response, charge),
            None => response,
        }
    }

    async fn run(&self, fast: &mut FastRequest) -> Result<Response<Body>, ApiError> {
        let address = self.address_limit.as_ref();
        let address = address.map(|limit| (limit, limit.client_of(fast.peer, &fast.headers)));
        let timed = Timed::begin(fast.timeline.as_ref());
        let place = charge(address, &self.state, &fast.caller, &mut fast.charged)?;
        timed.end(StepKind::Quota);
        let response = match fast.work.take() {
            Some((servable, Work::Rows(input, rows))) => self.predict(fast, &servable, input, rows).await,
            // Boxed, since this future is larger than the other.
            Some((servable, Work::Body(body))) => Box::pin(self.respond_to_body(fast, servable, body)).await,
            None => Err(ApiError::ResponseNotWritten),
        };
        Ok(holding(response?, place))
    }

    async fn predict(
        &self,
        fast: &mut FastRequest,
        servable: &PermittedServable,
        input: Tensor,
        rows: FlatRows,
    ) -> Result<Response<Body>, ApiError> {
        let FastRequest { caller, headers, begin, charged, timeline, .. } = fast;
        if let Some(quotas) = &self.state.quotas {
            quotas.charge_rows_now(caller, &servable.name, rows.rows, &mut charged.standing)?;
        }
        let context = RequestContext {
            caller: caller.number(),
            timeline: timeline.clone(),
            ..RequestContext::default()
        };
        let run = self.state.serving.predict_flat(servable, input, rows.rows, context, *begin);
        // A prompt run is too short for a limit, and nothing else is awaited here.
        let answered = if servable.scheduler.is_prompt() { run.await } else { self.in_time(run).await? };
        let body = answered.and_then(|prediction| prediction.write(servable, rows.many));
        let body = body.map_err(|error| ApiError::about_rows(error, RowBase::of(rows.many)))?;
        Ok(response_with(mem::take(headers), servable, body))
    }

    async fn respond_to_body(
        &self,
        fast: &mut FastRequest,
        servable: PermittedServable,
        body: HandlerBody,
    ) -> Result<Response<Body>, ApiError> {
        let charge = fast.charge.take();
        let quota = request_charge(&self.state, &fast.caller, fast.charged.standing);
        let context = RequestContext {
            caller: fast.caller.number(),
            charge: charge.clone(),
            quota: quota.clone(),
            timeline: fast.timeline.clone(),
            ..RequestContext::default()
        };
        let run = async {
            match body {
                HandlerBody::OpenInference(body, json_bytes) => {
                    infer_body(&self.state, servable, body, json_bytes, context).await
                }
                HandlerBody::TensorFlow(body) => {
                    Ok(predict_body(&self.state, servable, body, context).await?)
                }
                HandlerBody::Invocation(body, declared) => {
                    Ok(invoke_body(&self.state, self.dialects, servable, declared, body, context).await?)
                }
            }
        };
        // Even a prompt run may wait for memory, and its outputs for another thread.
        let ran = self.in_time(run).await;
        if let Some(quota) = quota {
            fast.charged.standing = quota.standing();
        }
        let response = match ran? {
            Ok(response) => response,
            Err(failed) => fast.record().span().in_scope(|| failed.into_response()),
        };
        let response = match charge {
            Some(charge) => charged_response(response, charge),
            None => response,
        };
        Ok(compressed(&fast.headers, response).await)
    }

    /// Waits within the time limit of a request.
    async fn in_time<T>(&self, run: impl Future<Output = T>) -> Result<T, ApiError> {
        timeout(self.request_timeout, run).await.map_err(|_| ApiError::TakesTooLong)
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
            forwarded: Forwarded::In(&self.headers),
        }
    }
}
