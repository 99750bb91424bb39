//! The steps that every request takes, as plain functions.
//!
//! The middleware, the fast path and the streams of gRPC all call these, so that none of them has a copy that could
//! differ.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};

use super::{
    access::RequestRecord,
    audit::Audited,
    credentials::bearer,
    error::ApiError,
    labels::status_label,
    quota_fields::Charged,
    rate_limit::AddressLimit,
    request_id::{REQUEST_ID, has_sound_request_id, new_request_id},
    state::EdgeState,
    traced::traced,
};
use crate::{
    auth::{Authorized, Caller, OfModel, Permission},
    limits::{AddressKey, Place, RequestCharge, Standing},
    telemetry::{InFlight, Route, StepKind, Timeline, logging::AccessLevel},
};

/// Charges a request on the fast path, in memory, to the quota of its client's address, and then to the quota of its
/// caller. Returns its place among the caller's requests in progress, if the plan limits these.
///
/// # Errors
///
/// [`ApiError::AddressQuota`] or [`ApiError::OverLimit`] if a quota is used up. A request that the first refuses does
/// not charge the second. `charged` has what was charged in any case.
pub(crate) fn charge(
    address: Option<(&AddressLimit, AddressKey)>,
    state: &EdgeState,
    caller: &Caller,
    charged: &mut Charged,
) -> Result<Option<Place>, ApiError> {
    if let Some((limit, client)) = address {
        charged.address = Some(limit.charge_now(&client)?);
    }
    let place = enter(state, caller)?;
    if let Some(quotas) = &state.quotas {
        charged.standing = quotas.charge_now(caller)?;
    }
    Ok(place)
}

/// Charges one message of a stream, which has its place already.
///
/// # Errors
///
/// As [`charge`].
pub(crate) async fn charge_message(
    address: Option<(&AddressLimit, AddressKey)>,
    state: &EdgeState,
    caller: &Caller,
) -> Result<Standing, ApiError> {
    if let Some((limit, client)) = address {
        limit.charge(&client).await?;
    }
    charge_caller(state, caller).await
}

/// Gives a request a place among those of its caller in progress; `None` if any number may be.
pub(super) fn enter(state: &EdgeState, caller: &Caller) -> Result<Option<Place>, ApiError> {
    state.quotas.as_ref().map_or(Ok(None), |quotas| Ok(quotas.enter(caller)?))
}

/// Charges a request to the quota of its caller.
pub(super) async fn charge_caller(state: &EdgeState, caller: &Caller) -> Result<Standing, ApiError> {
    match &state.quotas {
        Some(quotas) => Ok(quotas.charge(caller).await?),
        None => Ok(Standing::default()),
    }
}

/// Returns the charge of a request whose rows are not known yet; `None` if rate limits are off.
pub(crate) fn request_charge(
    state: &EdgeState,
    caller: &Arc<Caller>,
    standing: Standing,
) -> Option<Arc<RequestCharge>> {
    let quotas = state.quotas.as_ref()?;
    Some(Arc::new(RequestCharge::new(Arc::clone(quotas), Arc::clone(caller), standing)))
}

/// Returns the caller of a request if its token was verified before; without authentication, the anonymous one.
pub(crate) fn known_caller(state: &EdgeState, headers: &HeaderMap) -> Option<Arc<Caller>> {
    let authentication = &state.authentication;
    if authentication.is_on() {
        authentication.known(bearer(headers, None).ok()?, state.clock.now())
    } else {
        Some(Arc::clone(&state.anonymous))
    }
}

/// Checks that a caller may do `P` with the model of this target, and returns the proof.
///
/// # Errors
///
/// [`ApiError::InsufficientScope`].
pub(crate) fn authorize<P: Permission, T: OfModel>(
    caller: &Caller,
    target: T,
) -> Result<Authorized<P, T>, ApiError> {
    Authorized::check(caller, target).map_err(|target| ApiError::InsufficientScope {
        action: P::ACTION,
        model: Some(target.model().clone()),
    })
}

/// A part of the time of a request, if it is kept.
pub(crate) struct Timed(Option<(Arc<Timeline>, Instant)>);

impl Timed {
    /// Begins a part.
    pub(crate) fn begin(timeline: Option<&Arc<Timeline>>) -> Self {
        Self(timeline.map(|timeline| (Arc::clone(timeline), Instant::now())))
    }

    /// Ends a part, and begins the next.
    pub(crate) fn end(self, kind: StepKind) -> Self {
        Self(self.0.map(|(timeline, begin)| {
            timeline.step(kind, begin);
            (timeline, Instant::now())
        }))
    }
}

/// Gives a request an id, for the log and the client. A client's own id is kept only if a log can hold it.
pub(super) fn identify(mut request: Request) -> Request {
    if !has_sound_request_id(request.headers()) {
        request.headers_mut().insert(REQUEST_ID, new_request_id());
    }
    request
}

/// A transport, as far as the headers of its responses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Responses that a browser may show.
    Rest,
    /// Responses that only programs read.
    Grpc,
}

/// The metrics of a request's route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteMetrics<'r> {
    /// The method as a label.
    pub(crate) method: &'r str,
    /// The route as a label.
    pub(crate) route: &'r str,
    /// The metrics of responses with status 200, if they were looked up before.
    pub(crate) ok: Option<&'r Route>,
}

/// A request in progress, which is counted and logged once its response is ready.
#[derive(Debug)]
pub(crate) struct Record<'s> {
    state: &'s EdgeState,
    transport: Transport,
    begin: Instant,
    timeline: Option<Arc<Timeline>>,
    _in_flight: InFlight<'s>,
}

impl<'s> Record<'s> {
    /// Counts a request that arrived at `begin` as in progress.
    pub(crate) fn begin(
        state: &'s EdgeState,
        transport: Transport,
        begin: Instant,
        timeline: Option<Arc<Timeline>>,
    ) -> Self {
        Self { state, transport, begin, timeline, _in_flight: state.metrics.request_started() }
    }

    /// Counts and logs the response, and adds the headers that every response has.
    pub(crate) fn finish<B>(
        self,
        request: &RequestRecord<'_>,
        metrics: RouteMetrics<'_>,
        response: &mut Response<B>,
    ) {
        let Self { state, transport, begin, timeline, .. } = self;
        let duration = begin.elapsed();
        if let Some(timeline) = timeline {
            let grpc_status = (transport == Transport::Grpc)
                .then(|| status_label(&response.status(), response.headers()).to_owned());
            traced(state, &timeline, request, (metrics.route, grpc_status.as_deref()), duration, response);
        }
        let level = if state.has_access_log { AccessLevel::Info } else { AccessLevel::Debug };
        if level.is_enabled() {
            request.log(response, duration, level);
        }
        let RouteMetrics { method, route, ok } = metrics;
        if let Some(audited) = Audited::of_response(response) {
            audited.record(state, request, route);
        }
        match ok {
            Some(ok) if response.status() == StatusCode::OK => ok.answered(duration),
            _ => {
                let status = response.status();
                let label = status_label(&status, response.headers());
                state.metrics.request_finished(method, route, label, duration);
            }
        }
        let headers = response.headers_mut();
        if transport == Transport::Rest {
            // A browser must not guess that a response is a page.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(id) = request.id {
            let mut id = id.clone();
            // HTTP/2 would remember each as if it came again (RFC 7541 section 6.2.3).
            id.set_sensitive(transport == Transport::Grpc);
            headers.insert(REQUEST_ID, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_one_sound_id_or_gets_a_new_one() {
        let id = |values: &[&'static str]| {
            let request = Request::get("/").body(axum::body::Body::empty()).unwrap();
            let (mut parts, body) = request.into_parts();
            for value in values {
                parts.headers.append(REQUEST_ID, HeaderValue::from_static(value));
            }
            let request = identify(Request::from_parts(parts, body));
            let ids: Vec<_> = request.headers().get_all(REQUEST_ID).iter().cloned().collect();
            assert_eq!(ids.len(), 1, "{values:?}");
            ids[0].to_str().unwrap().to_owned()
        };
        assert_eq!(id(&["order-4711"]), "order-4711");
        for values in [&[][..], &[""], &["with space"], &["a", "b"], &["a", "a"]] {
            let id = id(values);
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{values:?}: {id}");
        }
    }
}
