//! The short way of the request that most are: rows of numbers, as JSON, for a model that takes them as one matrix, by a
//! caller whose token is known.
//!
//! It passes the same checks as any other request and gets the same answer, byte for byte, without a layer, a task or a
//! document between. Whatever is unusual about it, or wrong, goes the long way, through the router, before anything of it
//! was charged or counted. `tests/express.rs` asks by both ways and compares.

mod body;
mod head;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use futures_util::FutureExt;
use http_body::Body as HttpBody;
use tokio::time::timeout;

use self::{body::Again, head::Head};
use crate::{
    auth::{Action, Caller},
    config::ServerSettings,
    model::{FlatElement, Tensor},
    serving::{Flat, Servable, Terms},
    telemetry::Route,
    transport::{
        AddressLimit, ApiError, MODEL_DIGEST, MODEL_VERSION, Peer, REQUEST_ID, TransportState,
        new_request_id, panicked,
    },
    wire::{FlatRows, read_flat_rows},
};

/// Larger bodies go the long way: they take long enough to be read by another thread.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// The routes, as the router knows them.
const ROUTES: [&str; 2] = ["/predict", "/models/{model}/predict"];

/// What the short way needs.
#[derive(Debug)]
pub(super) struct Express {
    state: TransportState,
    address_limit: Option<AddressLimit>,
    anonymous: Arc<Caller>,
    most_body_bytes: usize,
    request_timeout: Duration,
    routes: [Route; 2],
}

/// A request that can go the short way.
struct Asked {
    servable: Arc<Servable>,
    input: Tensor,
    rows: FlatRows,
    caller: Arc<Caller>,
    id: HeaderValue,
    /// The number of its route.
    route: usize,
    headers: HeaderMap,
    begin: Instant,
}

impl Express {
    pub(super) fn new(
        state: TransportState,
        settings: &ServerSettings,
        address_limit: Option<&AddressLimit>,
    ) -> Self {
        let most = usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX);
        Self {
            address_limit: address_limit.cloned(),
            anonymous: Arc::new(Caller::anonymous()),
            most_body_bytes: most.min(MOST_BODY_BYTES),
            request_timeout: Duration::from_millis(settings.request_timeout_ms),
            routes: ROUTES.map(|route| state.metrics.route("POST", route, StatusCode::OK.as_str())),
            state,
        }
    }

    /// Answers a request, or gives it back as it was.
    pub(super) async fn answer<B>(
        &self,
        request: Request<B>,
        peer: Peer,
    ) -> Result<Response<Body>, Request<Body>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        // What logs everything is in the layers.
        if tracing::enabled!(tracing::Level::DEBUG) {
            return Err(request.map(Body::new));
        }
        let begin = Instant::now();
        let Some((servable, caller, head)) = self.known(&request) else { return Err(request.map(Body::new)) };
        let Head { id, route, length, .. } = head;
        let id = id.cloned();
        let (parts, mut body) = request.into_parts();
        let first = body::first(&mut body).await;
        let Some(whole) = first.as_ref().filter(|first| first.len() == length) else {
            return Err(Request::from_parts(parts, Again::new(first, body).into()));
        };
        let Some((input, rows)) = servable.flat.as_ref().and_then(|flat| read_numbers(flat, whole)) else {
            return Err(Request::from_parts(parts, Again::new(first, body).into()));
        };
        let id = id.unwrap_or_else(new_request_id);
        let asked = Asked { servable, input, rows, caller, id, route, headers: parts.headers, begin };
        Ok(self.charged(asked, peer).await)
    }

    /// Who asks and what, if both are known and go together.
    fn known<'r, B>(&self, request: &'r Request<B>) -> Option<(Arc<Servable>, Arc<Caller>, Head<'r>)> {
        let head = Head::of(request).filter(|head| head.length <= self.most_body_bytes)?;
        let state = &self.state;
        let caller = match &state.authentication.verifier {
            Some(verifier) => verifier.known(head.token?, state.clock.now())?,
            None => Arc::clone(&self.anonymous),
        };
        let default;
        let model = if let Some(model) = &head.model {
            model
        } else {
            default = state.serving.default_model().ok()?;
            &default
        };
        if !caller.may(Action::Predict, Some(model)) {
            return None;
        }
        let servable = state.serving.servable(model, None).ok()?;
        servable.flat.is_some().then_some((servable, caller, head))
    }

    /// Counts, charges and answers.
    async fn charged(&self, asked: Asked, peer: Peer) -> Response<Body> {
        let (metrics, route, begin) = (&self.state.metrics, asked.route, asked.begin);
        let _in_flight = metrics.request_started();
        let id = asked.id.clone();
        let caller = Arc::clone(&asked.caller);
        let answered = AssertUnwindSafe(self.run(asked, peer)).catch_unwind().await;
        let mut response = match answered {
            Ok(Ok(response)) => response,
            failed => {
                // As the layers would log it.
                let span = tracing::error_span!(
                    "request",
                    id = id.to_str().unwrap_or_default(),
                    method = "POST",
                    path = ROUTES[route],
                    caller.subject = caller.subject,
                );
                span.in_scope(|| match failed {
                    Ok(Err(error)) => error.into_response(),
                    Err(panic) => panicked(panic),
                    Ok(Ok(response)) => response,
                })
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, id);
        if response.status() == StatusCode::OK {
            self.routes[route].answered(begin.elapsed());
        } else {
            metrics.request_answered("POST", ROUTES[route], response.status().as_str(), begin.elapsed());
        }
        response
    }

    async fn run(&self, asked: Asked, peer: Peer) -> Result<Response<Body>, Refused> {
        let Asked { servable, input, rows, caller, headers, begin, .. } = asked;
        if let Some(limit) = &self.address_limit {
            limit.charge(&limit.client_of(peer, &headers)).map_err(Refused::Address)?;
        }
        // Who has no token is no caller: together they would have the quota of one.
        let is_known = self.state.authentication.verifier.is_some();
        if let Some(quota) = self.state.caller_quota.as_ref().filter(|_| is_known) {
            quota.charge(&caller).map_err(ApiError::CallerQuota)?;
        }
        let terms = Terms { caller: caller.number(), ..Terms::default() };
        let run = self.state.serving.predict_flat(Arc::clone(&servable), input, rows.rows, terms, begin);
        let answered = if servable.scheduler.is_prompt() {
            run.await
        } else {
            timeout(self.request_timeout, run).await.map_err(|_| ApiError::TakesTooLong)?
        };
        let body = answered.map_err(ApiError::from)?.write(rows.many).map_err(ApiError::from)?;
        Ok(answer(&servable, body))
    }
}

/// The rows of a body, if it holds nothing else and nothing is wrong with them.
pub(super) fn read_numbers(flat: &Flat, body: &[u8]) -> Option<(Tensor, FlatRows)> {
    fn read_as<T: FlatElement>(flat: &Flat, body: &[u8]) -> Option<(Tensor, FlatRows)> {
        let mut elements = Vec::<T>::new();
        let rows = read_flat_rows(body, &flat.layout, &mut elements)?;
        Some((flat.layout.tensor(rows.rows, elements)?, rows))
    }
    read_as::<f32>(flat, body).or_else(|| read_as::<f64>(flat, body))
}

/// An answer of a version, with the headers that it has by the long way.
fn answer(servable: &Servable, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(Flat { version, digest, .. }) = &servable.flat {
        for (name, value) in [(MODEL_VERSION, version), (MODEL_DIGEST, digest)] {
            if let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
                headers.insert(name, value);
            }
        }
    }
    *response.headers_mut() = headers;
    response
}

/// Why a request is not answered.
enum Refused {
    Address(Box<crate::transport::Problem>),
    Other(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Address(problem) => problem.into_response(),
            Self::Other(error) => error.into_response(),
        }
    }
}
