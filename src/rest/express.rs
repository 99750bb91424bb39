//! The short way of the request that most are: rows of numbers, as JSON, for a model that takes them as one matrix, by a
//! caller whose token is known.
//!
//! It passes the same checks as any other request and gets the same answer, byte for byte, without a layer, a task or a
//! document between. Whatever is unusual about it, or wrong, goes the long way, through the router, before anything of it
//! was charged or counted. `tests/express.rs` asks by both ways and compares.

mod body;
mod head;

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use futures_util::FutureExt;
use http_body::Body as HttpBody;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

use self::{body::Again, head::Head};
use super::{answer::answer, vertex};
use crate::{
    auth::{Action, Caller},
    config::Settings,
    limits::AddressKey,
    model::{FlatElement, Tensor},
    serving::{Flat, Servable, Terms},
    telemetry::Route,
    transport::{
        AccessLog, AddressLimit, ApiError, Peer, REQUEST_ID, TransportState, new_request_id, panicked,
        request_span,
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
    /// A path of which something else than the native API answers, whatever it is.
    taken: Option<String>,
}

/// A request that can go the short way.
struct Usual {
    servable: Arc<Servable>,
    input: Tensor,
    rows: FlatRows,
    caller: Arc<Caller>,
    id: HeaderValue,
    /// The number of its route.
    route: usize,
    uri: Uri,
    /// Whose quota it is charged to, where addresses have one.
    client: Option<AddressKey>,
    begin: Instant,
}

impl Express {
    pub(super) fn new(
        state: TransportState,
        settings: &Settings,
        address_limit: Option<&AddressLimit>,
    ) -> Self {
        let Settings { server, dialects, .. } = settings;
        let most = usize::try_from(server.max_body_bytes).unwrap_or(usize::MAX);
        Self {
            address_limit: address_limit.cloned(),
            anonymous: Arc::new(Caller::anonymous()),
            most_body_bytes: most.min(MOST_BODY_BYTES),
            request_timeout: Duration::from_millis(server.request_timeout_ms),
            routes: ROUTES.map(|route| state.metrics.route("POST", route, StatusCode::OK.as_str())),
            taken: vertex::predict_route(dialects).map(str::to_owned),
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
        if LevelFilter::current() >= LevelFilter::DEBUG {
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
        let client = self.address_limit.as_ref().map(|limit| limit.client_of(peer, &parts.headers));
        let usual = Usual { servable, input, rows, caller, id, route, uri: parts.uri, client, begin };
        Ok(self.charged(usual, peer).await)
    }

    /// Who asks and what, if both are known and go together.
    fn known<'r, B>(&self, request: &'r Request<B>) -> Option<(Arc<Servable>, Arc<Caller>, Head<'r>)> {
        let is_taken = self.taken.as_deref() == Some(request.uri().path());
        let head = Head::of(request).filter(|head| !is_taken && head.length <= self.most_body_bytes)?;
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
    async fn charged(&self, mut usual: Usual, peer: Peer) -> Response<Body> {
        let (metrics, route, begin) = (&self.state.metrics, usual.route, usual.begin);
        let _in_flight = metrics.request_started();
        let (id, uri, caller) = (usual.id.clone(), mem::take(&mut usual.uri), Arc::clone(&usual.caller));
        let answered = AssertUnwindSafe(self.run(usual)).catch_unwind().await;
        // As the layers have it; most requests have nothing to say.
        let span = || request_span(&id, Some(&peer), ("POST", uri.path()), Some(&caller));
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => span().in_scope(|| error.into_response()),
            Err(panic) => span().in_scope(|| panicked(panic)),
        };
        let latency = begin.elapsed();
        if self.state.has_access_log {
            span().in_scope(|| AccessLog { is_on: true }.answered(&response, latency));
        }
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, id);
        if response.status() == StatusCode::OK {
            self.routes[route].answered(latency);
        } else {
            metrics.request_answered("POST", ROUTES[route], response.status().as_str(), latency);
        }
        response
    }

    async fn run(&self, usual: Usual) -> Result<Response<Body>, ApiError> {
        let Usual { servable, input, rows, caller, client, begin, .. } = usual;
        if let (Some(limit), Some(client)) = (&self.address_limit, &client) {
            limit.charge(client)?;
        }
        if let Some(quota) = &self.state.caller_quota {
            quota.charge(&caller).map_err(ApiError::CallerQuota)?;
        }
        let terms = Terms { caller: caller.number(), ..Terms::default() };
        let run = self.state.serving.predict_flat(Arc::clone(&servable), input, rows.rows, terms, begin);
        let answered = if servable.scheduler.is_prompt() {
            run.await
        } else {
            timeout(self.request_timeout, run).await.map_err(|_| ApiError::TakesTooLong)?
        };
        Ok(answer(&servable, answered?.write(rows.many)?))
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
