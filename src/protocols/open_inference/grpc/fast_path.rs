//! Fast path for the common call: one whole message to `ModelInfer`, with a token that was verified before.
//!
//! It calls the function that the method calls, without the layers and the library's own service around it. Any unusual
//! call takes the slow path through the router, before it is charged or counted. `tests/it/grpc_fast_path.rs` sends
//! calls both ways and compares the responses.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header, request::Parts},
};
use futures_util::FutureExt;
use http_body::{Body as HttpBody, Frame};
use prost::Message;
use tokio::time::timeout;
use tokio_util::bytes::{BufMut, BytesMut};
use tonic::Status;

use super::{
    body::{GRPC_ENCODING, PREFIX_BYTES, message_cost},
    infer::{Charges, infer},
    proto::{ModelInferRequest, ModelInferResponse},
    routes::INFER,
};
use crate::{
    auth::Caller,
    config::ServerSettings,
    edge::{
        API_KEY, AddressLimit, ApiError, Charged, EdgeParts, EdgeState, FORWARDED_FOR, Forwarded,
        MOST_FAST_BYTES, Peer, REQUEST_ID, Record, RequestRecord, RouteMetrics, TRACE_PARENT, TRACE_STATE,
        Timed, Transport, WANTS_TIMING, charge, charge_for, charged_response_of,
        grpc::{
            deadline::{GRPC_TIMEOUT, timeout_of},
            status::{GRPC_STATUS, status_of},
        },
        holding, is_sound_request_id, known_caller, new_request_id, panicked, request_charge,
        rest::prefixed_body::{self, PrefixedBody},
        trace_headers, version_headers,
    },
    serving::Servable,
    system::byte_budget::{ByteCharge, count},
    telemetry::{Route, StepKind, Timeline, TraceHeaders},
};

/// The status of a call that succeeded, in its trailers.
const OK: HeaderValue = HeaderValue::from_static("0");

/// Headers of a typical response.
const HEADERS: usize = 8;

/// State of the fast path.
#[derive(Debug)]
pub(in crate::protocols) struct FastPath {
    state: EdgeState,
    address_limit: Option<AddressLimit>,
    most_bytes: usize,
    request_timeout: Duration,
    route: Route,
}

/// The path of a call through the gateway.
pub(in crate::protocols) enum CallPath {
    Fast(Box<FastCall>),
    /// The call, unchanged.
    Slow(Box<Request<Body>>),
}

/// A call that can take the fast path.
pub(in crate::protocols) struct FastCall {
    message: ModelInferRequest,
    caller: Arc<Caller>,
    id: HeaderValue,
    headers: HeaderMap,
    /// The client's own time limit.
    wanted: Option<Duration>,
    peer: Peer,
    begin: Instant,
    charge: ByteCharge,
    /// The rest of its quotas.
    charged: Charged,
    /// The times of the call; `None` for most.
    timeline: Option<Arc<Timeline>>,
}

impl FastPath {
    pub(in crate::protocols) fn new(
        state: EdgeState,
        settings: &ServerSettings,
        address_limit: Option<&AddressLimit>,
    ) -> Self {
        let most = usize::try_from(settings.max_tensor_body_bytes).unwrap_or(usize::MAX);
        Self {
            address_limit: address_limit.cloned(),
            most_bytes: most.min(MOST_FAST_BYTES),
            request_timeout: Duration::from_millis(settings.request_timeout_ms),
            route: state.metrics.route("POST", INFER, "OK"),
            state,
        }
    }

    /// Decides which path a call takes. Its body has to be there already: nothing is awaited.
    pub(in crate::protocols) fn classify<B>(&self, request: Request<B>, peer: Peer) -> CallPath
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let begin = Instant::now();
        let (parts, mut body) = request.into_parts();
        let resolved = usual(&parts).and_then(|is_observed| {
            let caller = known_caller(&self.state, &parts.headers)?;
            Some((is_observed, caller, timeout_of(&parts.headers).ok()?))
        });
        let Some((is_observed, caller, wanted)) = resolved else {
            return CallPath::Slow(Box::new(Request::from_parts(parts, Body::new(body))));
        };
        let first = prefixed_body::first(&mut body);
        let whole = first.as_ref().filter(|_| body.is_end_stream());
        let read = whole.and_then(|whole| {
            let message = self.only_message(whole)?;
            let charge = charge_for(&self.state, Some(&caller), peer, &parts.headers);
            // Before it is decoded, which takes more memory.
            charge.try_grow(count(whole.len()).saturating_add(message_cost(whole))).ok()?;
            Some((ModelInferRequest::decode(message).ok()?, charge))
        });
        let Some((message, charge)) = read else {
            let body = PrefixedBody::new(first, body).into();
            return CallPath::Slow(Box::new(Request::from_parts(parts, body)));
        };
        let headers = parts.headers;
        let id = headers.get(REQUEST_ID).cloned().unwrap_or_else(new_request_id);
        let charged = Charged::default();
        let traces = self.state.traces.as_deref();
        let observed = if is_observed { trace_headers(&headers) } else { TraceHeaders::default() };
        let timeline = Timeline::begin(traces, &observed, begin);
        if let Some(timeline) = &timeline {
            timeline.step(StepKind::Authentication, begin);
        }
        let call = FastCall { message, caller, id, headers, wanted, peer, begin, charge, charged, timeline };
        CallPath::Fast(Box::new(call))
    }

    /// Returns the message of a body that is one, not compressed; `None` if it is anything else.
    fn only_message(&self, body: &Bytes) -> Option<Bytes> {
        let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
        let length = u32::from_be_bytes(*prefix.last_chunk()?);
        let is_whole = prefix.first() == Some(&0) && usize::try_from(length) == Ok(message.len());
        (is_whole && message.len() <= self.most_bytes).then(|| body.slice(PREFIX_BYTES..))
    }

    /// Counts and charges the call, and returns its response.
    pub(in crate::protocols) async fn respond(&self, mut fast: Box<FastCall>) -> Response<Body> {
        let record = Record::begin(&self.state, Transport::Grpc, fast.begin, fast.timeline.clone());
        let answered = AssertUnwindSafe(self.run(&mut fast)).catch_unwind().await;
        let request = fast.record();
        // The span is created only for an error.
        let failed = |status: Status| status.into_http();
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => request.span().in_scope(|| failed(status_of(error))),
            Err(panic) => request.span().in_scope(|| failed(status_of(panicked(panic)))),
        };
        let EdgeParts { quota_fields, quotas, .. } = &*self.state;
        // The status of a call is in its headers only if it failed.
        let ok = (!response.headers().contains_key(GRPC_STATUS)).then_some(&self.route);
        if ok.is_some() {
            quota_fields.add_to_success(response.headers_mut(), &fast.charged, quotas.as_deref());
        } else {
            quota_fields.add(response.headers_mut(), &fast.charged, quotas.as_deref());
        }
        record.finish(&request, RouteMetrics { method: "POST", route: INFER, ok }, &mut response);
        response
    }

    async fn run(&self, fast: &mut FastCall) -> Result<Response<Body>, ApiError> {
        let address = self.address_limit.as_ref();
        let address = address.map(|limit| (limit, limit.client_of(fast.peer, &fast.headers)));
        let timed = Timed::begin(fast.timeline.as_ref());
        let place = charge(address, &self.state, &fast.caller, &mut fast.charged)?;
        timed.end(StepKind::Quota);
        let message = std::mem::take(&mut fast.message);
        let quota = request_charge(&self.state, &fast.caller, fast.charged.standing);
        let charges =
            Charges { bytes: Some(&fast.charge), rows: quota.as_ref(), timeline: fast.timeline.as_ref() };
        let run = infer(&self.state, &fast.caller, charges, message);
        let ran = match fast.wanted.filter(|wanted| *wanted < self.request_timeout) {
            Some(wanted) => timeout(wanted, run).await.map_err(|_| ApiError::Timeout),
            None => timeout(self.request_timeout, run).await.map_err(|_| ApiError::TakesTooLong),
        };
        if let Some(quota) = quota {
            fast.charged.standing = quota.standing();
        }
        let (servable, answer) = ran??;
        let headers = std::mem::take(&mut fast.headers);
        Ok(holding(response(headers, &servable, &answer, fast.charge.clone())?, place))
    }
}

impl FastCall {
    fn record(&self) -> RequestRecord<'_> {
        RequestRecord {
            id: Some(&self.id),
            peer: Some(&self.peer),
            method: "POST",
            path: INFER,
            caller: Some(&self.caller),
            forwarded: Forwarded::In(&self.headers),
        }
    }
}

/// Returns whether a call has a trace or asks for its times, if it is to `ModelInfer`, and neither path reads more of its
/// headers than the fast path does. `None` for any other.
///
/// This is an allow-list: a header that is not on it takes the slow path, where a layer may read it.
fn usual(parts: &Parts) -> Option<bool> {
    let Parts { method, uri, version, headers, .. } = parts;
    if uri.path() != INFER || uri.query().is_some() || *method != Method::POST || *version != Version::HTTP_2
    {
        return None;
    }
    let (mut kinds, mut ids, mut is_observed) = (0, 0, false);
    let are_known = headers.iter().all(|(name, value)| match *name {
        header::CONTENT_TYPE => {
            kinds += 1;
            matches!(value.as_bytes(), b"application/grpc" | b"application/grpc+proto")
        }
        // Read by the functions that the layers read them with.
        header::AUTHORIZATION => true,
        _ if *name == API_KEY || *name == GRPC_TIMEOUT || *name == FORWARDED_FOR => true,
        _ if *name == TRACE_PARENT || *name == WANTS_TIMING => {
            is_observed = true;
            true
        }
        _ if *name == TRACE_STATE => true,
        _ if *name == REQUEST_ID => {
            ids += 1;
            is_sound_request_id(value)
        }
        _ if *name == GRPC_ENCODING => value == "identity",
        // Responses to messages that are not compressed are not compressed.
        header::TE | header::USER_AGENT | header::CONTENT_LENGTH | header::ACCEPT_ENCODING => true,
        _ => name == "grpc-accept-encoding",
    });
    (are_known && kinds == 1 && ids <= 1).then_some(is_observed)
}

/// Returns the response of a call that succeeded, charged until it is sent.
fn response(
    mut headers: HeaderMap,
    servable: &Servable,
    answer: &ModelInferResponse,
    charge: ByteCharge,
) -> Result<Response<Body>, ApiError> {
    let length = answer.encoded_len();
    let prefix = u32::try_from(length).map_err(|_| ApiError::ResponseNotWritten)?;
    let mut data = BytesMut::with_capacity(PREFIX_BYTES + length);
    data.put_u8(0);
    data.put_u32(prefix);
    // Fails only for want of room, and there is as much as it needs.
    let _ = answer.encode(&mut data);
    headers.clear();
    headers.reserve(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.extend(version_headers(servable));
    let bytes = count(data.len());
    let mut response = Response::new(Body::new(UnaryBody { data: Some(data.freeze()), has_ended: false }));
    *response.headers_mut() = headers;
    Ok(charged_response_of(response, charge, Some(bytes)))
}

/// One message, and the trailers of a call that succeeded.
struct UnaryBody {
    data: Option<Bytes>,
    has_ended: bool,
}

impl HttpBody for UnaryBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.has_ended = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, OK);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}
