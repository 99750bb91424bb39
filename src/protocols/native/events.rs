//! Events of the models: what happens each second, and which models have changed.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Serialize;

use crate::{
    auth::{Action, Caller},
    edge::{
        ApiError, EdgeState, MayRead, ModelSample, Permit, ProblemDocument, Sample, StreamEnd, Update, Watch,
        share_key,
    },
    model::ModelName,
};

/// Most versions in one event, the busiest first.
const MAX_VERSIONS: usize = 100;

/// Keeps nginx from collecting the response before it passes it on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An open stream, and the caller that it is for.
struct Session {
    state: EdgeState,
    caller: Arc<Caller>,
    watch: Watch,
}

/// Watch the models: statistics of each second, and notices of changes
///
/// Server-sent events. `open` comes first. `sample` comes each second: `time`, `seconds`, and in `models` each version
/// that was used or has requests waiting, at most 100, with `name`, `version`, `succeeded`, `failed`, `rows`, `runs`,
/// `batches` (runs by their number of rows), `mean_ms` (`queue`, `run`, `total`), `run_ms` (`p50`, `p95`, `p99`) and
/// `waiting`. Callers that may read all models also get `gateway`: `responses` (by status), `duration_ms`, `in_flight`
/// and `memory`. `changed` names in `models` those whose state, versions, problems or history have changed. `end` comes
/// last, with a `reason`: `token_expired`, `token_revoked`, `authentication_changed`, `too_slow` or `stopping`.
#[utoipa::path(get, path = "/events", tag = "models", security(("bearer" = ["read"])), responses(
    (status = 200, description = "Events, until the token expires or the gateway stops", body = String,
        content_type = "text/event-stream",
        example = "event: open\ndata: {}\n\nevent: changed\ndata: {\"models\":[\"iris\"]}\n\n"),
    (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
        content_type = "application/problem+json"),
    (status = 429, description = "A quota is used up, or the caller has 4 streams open", body = ProblemDocument,
        content_type = "application/problem+json"),
    (status = 503, description = "The gateway has 256 streams open, or is stopping", body = ProblemDocument,
        content_type = "application/problem+json")))]
pub(super) async fn events(State(state): State<EdgeState>, request: Request) -> Result<Response, ApiError> {
    let caller = request.extensions().get::<Arc<Caller>>().map(Arc::clone).ok_or(ApiError::NoToken)?;
    Permit::<MayRead>::check_any(&caller)?;
    let client = share_key(&state, Some(&caller), request.extensions(), request.headers());
    let watch = state.activity.watch(client).map_err(ApiError::NoStream)?;
    let session = Session { state, caller, watch };
    let events = stream::unfold(Some(session), |session| async {
        let mut session = session?;
        let (text, is_last) = session.next().await;
        Some((Ok::<_, axum::Error>(Bytes::from(text)), (!is_last).then_some(session)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

impl Session {
    /// Waits for the next events. Returns true beside them if they are the last.
    async fn next(&mut self) -> (String, bool) {
        let update = self.watch.next().await;
        if self.caller.is_expired(self.state.clock.now()) {
            return end("token_expired");
        }
        if self.state.authentication.has_revoked(&self.caller) {
            return end("token_revoked");
        }
        match update {
            Update::Begun => (event("open", &serde_json::json!({})), false),
            Update::Sample(sample) => (self.sample(&sample), false),
            Update::End(StreamEnd::Stopping) => end("stopping"),
            Update::End(StreamEnd::AuthenticationChanged) => end("authentication_changed"),
            Update::End(StreamEnd::TooSlow) => end("too_slow"),
        }
    }

    /// Writes what the caller may see of a sample.
    fn sample(&self, sample: &Sample) -> String {
        let may_read = |model: &ModelName| self.caller.may(Action::Read, Some(model));
        let models = sample.models.iter().filter(|model| may_read(&model.name)).take(MAX_VERSIONS);
        let document = SampleDocument {
            time: &sample.time,
            seconds: sample.seconds,
            models: models.collect(),
            // Requests of all callers to all models.
            gateway: self.caller.may_all(Action::Read).then_some(&sample.gateway),
        };
        let mut text = event("sample", &document);
        let changed: Vec<&ModelName> = sample.changed.iter().filter(|model| may_read(model)).collect();
        if !changed.is_empty() {
            text.push_str(&event("changed", &ChangedDocument { models: changed }));
        }
        text
    }
}

/// The data of the event `sample`.
#[derive(Serialize)]
struct SampleDocument<'s, G> {
    time: &'s str,
    seconds: f64,
    models: Vec<&'s ModelSample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<G>,
}

/// The data of the event `changed`.
#[derive(Serialize)]
struct ChangedDocument<'s> {
    models: Vec<&'s ModelName>,
}

fn end(reason: &str) -> (String, bool) {
    (event("end", &serde_json::json!({"reason": reason})), true)
}

/// Writes an event as in the HTML standard, section "Server-sent events". JSON has no line ends.
fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
