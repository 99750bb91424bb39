//! Errors of requests, over REST and gRPC. This is the only place that maps them to a status and a response.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    activity::StreamRefusal,
    audit::Audited,
    problem::Problem,
    quota_refusal::{FAILED_LOGINS, FAILED_TOKENS, PER_ADDRESS, over_limit, refusal},
};
use crate::{
    auth::{Action, TokenError},
    codec::{BodyError, FieldError, RowBase, input_errors, input_pointer, row_errors},
    limits::{Exceeded, OverLimit},
    model::{MAX_LISTED, ModelName, Violations},
    serving::{OperationError, Readiness, ServingError},
    system::byte_budget::OverBudget,
};

/// Seconds after which a client may retry if the gateway is overloaded or a model is not loaded yet.
const RETRY_SOON_SECONDS: u64 = 1;

/// Seconds after which a client may try again to open a stream: others must end first.
const RETRY_STREAM_SECONDS: u64 = 10;

/// Characters of a content type that an error repeats.
const MAX_SHOWN_TYPE: usize = 100;

/// An error of a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Rows that the contract refuses, with their place in the body.
    #[error("the body's rows do not match the model")]
    InvalidRows { violations: Violations, base: RowBase },
    /// Rows that the model refuses, with their place in the body.
    #[error("{error}")]
    RefusedRows { error: ServingError, base: RowBase },
    #[error("the body is not JSON of the right form")]
    InvalidBody(Vec<FieldError>),
    #[error("the body is not valid JSON")]
    MalformedJson(FieldError),
    /// A body of another content type than the route takes.
    #[error("{}, and this takes {expected}: send the header `Content-Type: {send}`", type_words(received.as_deref()))]
    UnsupportedMediaType { received: Option<String>, expected: &'static str, send: &'static str },
    #[error("only gRPC is served here, with content-type: application/grpc")]
    NotGrpc,
    #[error(
        "the body is larger than the limit: server.max_tensor_body_bytes for tensors, server.max_body_bytes for rows, \
         16 KiB for other bodies"
    )]
    BodyTooLarge,
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    #[error("the body did not arrive within server.body_timeout_ms")]
    BodyTimeout,
    #[error("the body could not be read")]
    BodyUnreadable,
    #[error(
        "the body is not {0} from beginning to end: it is truncated, altered, or followed by other bytes"
    )]
    BodyNotDecoded(&'static str),
    #[error(
        "the Content-Encoding `{0}` is not supported: send gzip or deflate, one of them, or the body as it is"
    )]
    UnsupportedContentEncoding(String),
    #[error("the request breaks a rule of HTTP: {0}")]
    BadRequest(&'static str),
    #[error("its Transfer-Encoding is not `chunked` (RFC 9112 section 6.1)")]
    UnknownTransferCoding,
    #[error("this needs a token: ask /token for one and send it as `Authorization: Bearer TOKEN`")]
    NoToken,
    /// As `NoToken`, of a gateway whose `/token` gives none.
    #[error(
        "this needs a token or an API key, sent as `Authorization: Bearer TOKEN`: of the gateway's operator (`onnx-gateway \
         token` or `api-key`), of the output of `serve FILE`, or of the identity provider (/token gives none, as no client \
         is configured)"
    )]
    NoTokenIssuer,
    #[error("more than one token was given")]
    TwoTokens,
    #[error("the token is not valid: {0}")]
    BadToken(#[from] TokenError),
    #[error("the token does not permit this")]
    InsufficientScope { action: Action, model: Option<ModelName> },
    /// A route that needs `manage`, on a listener that does not serve it.
    #[error(
        "the gateway serves this on its admin listener only, as server.management is `admin`: send the request there"
    )]
    ServedByAdmin,
    #[error("the address's quota is used up")]
    AddressQuota(Exceeded),
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    #[error("too many requests of this address had no valid token")]
    FailedTokens(Exceeded),
    #[error("too many log-ins of this address have failed")]
    FailedLogIns(Exceeded),
    #[error("no stream of events is opened")]
    NoStream(StreamRefusal),
    #[error("there is no such path")]
    NoSuchPath,
    #[error("there is no such method")]
    NoSuchMethod,
    #[error("there is no model or version of such a name")]
    NoSuchName,
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// An output that the protocol of the request cannot carry, with the reason.
    #[error("{0}")]
    OutputNotCarried(String),
    /// An error that only one protocol has.
    #[error("{}", .0.detail())]
    OfProtocol(Box<Problem>),
    #[error("the request took longer than its own timeout")]
    Timeout,
    #[error("{}", not_ready(*.0))]
    NotReady(Readiness),
    #[error("the request took longer than server.request_timeout_ms")]
    TakesTooLong,
    #[error("the response could not be written")]
    ResponseNotWritten,
    #[error("unknown parameter: this takes {known}")]
    UnknownParameter { known: &'static str },
}

impl ApiError {
    /// Creates an error that only one protocol has.
    pub(crate) fn of_protocol(problem: Problem) -> Self {
        Self::OfProtocol(Box::new(problem))
    }

    /// Creates the error of a body of this content type: `expected` names the media types that the route takes.
    pub(crate) fn unsupported_media_type(
        received: Option<&str>,
        expected: &'static str,
        send: &'static str,
    ) -> Self {
        let shown = |text: &str| text.chars().take(MAX_SHOWN_TYPE).collect();
        let received = received.map(str::trim).filter(|text| !text.is_empty()).map(shown);
        Self::UnsupportedMediaType { received, expected, send }
    }

    /// Creates the error of rows at this place in the body.
    pub(crate) fn about_rows(error: ServingError, base: RowBase) -> Self {
        match error {
            ServingError::InvalidRows(violations) => Self::InvalidRows { violations, base },
            error @ ServingError::InputsRefused { .. } => Self::RefusedRows { error, base },
            other => Self::Serving(other),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed(error) => Self::MalformedJson(error),
            BodyError::Invalid(errors) => Self::InvalidBody(errors),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match &self {
            // The client learns only that the token is not valid; the operator can find the reason in the log.
            Self::BadToken(error) => tracing::debug!(%error, "a token was refused"),
            Self::Serving(ServingError::ModelFailed(cause)) => tracing::error!(cause, "a model failed"),
            Self::Serving(ServingError::Internal(cause)) => tracing::error!(cause, "the gateway failed"),
            Self::Serving(error @ ServingError::NonFiniteOutput(_)) => {
                tracing::warn!(%error, "a model has no usable response");
            }
            Self::Serving(ServingError::InputsRefused { cause, .. })
            | Self::RefusedRows { error: ServingError::InputsRefused { cause, .. }, .. } => {
                tracing::debug!(cause, "a model refused its inputs");
            }
            _ => {}
        }
        let (audited, problem) = (audited(&self), Problem::from(self));
        let audited = audited.or_else(|| problem.is_quota().then(|| Audited::quota(problem.code())));
        let mut response = problem.into_response();
        if let Some(audited) = audited {
            response.extensions_mut().insert(audited);
        }
        response
    }
}

/// Returns the security event of an error that is not of a quota; `None` if it is none.
fn audited(error: &ApiError) -> Option<Audited> {
    match error {
        ApiError::BadToken(error) => Some(Audited::refused_credentials(error.code())),
        ApiError::NoToken | ApiError::NoTokenIssuer => Some(Audited::refused_credentials("no_token")),
        ApiError::TwoTokens => Some(Audited::refused_credentials("invalid_request")),
        ApiError::InsufficientScope { model, .. } => {
            Some(Audited::refused_scope("insufficient_scope", model.as_ref()))
        }
        ApiError::ServedByAdmin => Some(Audited::refused_scope("served_by_admin", None)),
        _ => None,
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let detail = error.to_string();
        let problem = |status, code| Self::new(status, code, detail);
        match error {
            ApiError::Serving(error) => of_serving(error),
            ApiError::InvalidRows { violations, base } => {
                invalid_body(row_errors(&violations, base), violations.total)
            }
            ApiError::RefusedRows { error, base } => {
                let problem = of_serving(error);
                problem.with_errors(vec![refused_at(base.pointer().to_owned())])
            }
            ApiError::InvalidBody(errors) => {
                let total = errors.len();
                invalid_body(errors, total)
            }
            ApiError::MalformedJson(error) => {
                let detail = format!("the body is not valid JSON: {}", error.message);
                Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail).with_errors(vec![error])
            }
            ApiError::UnsupportedMediaType { .. } | ApiError::NotGrpc => {
                problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            ApiError::BodyTooLarge => problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            ApiError::OverBudget(refused) => over_budget(refused),
            ApiError::BodyTimeout => problem(StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            ApiError::BodyNotDecoded(_) => problem(StatusCode::BAD_REQUEST, "body_not_decoded"),
            // RFC 9110 section 15.5.16: this header distinguishes a content coding from a media type.
            ApiError::UnsupportedContentEncoding(_) => {
                problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding")
                    .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))
            }
            ApiError::BodyUnreadable => problem(StatusCode::BAD_REQUEST, "body_unreadable"),
            ApiError::BadRequest(_) => problem(StatusCode::BAD_REQUEST, "bad_request"),
            ApiError::UnknownTransferCoding => {
                problem(StatusCode::NOT_IMPLEMENTED, "unknown_transfer_coding")
            }
            ApiError::NoToken | ApiError::NoTokenIssuer => {
                challenge(problem(StatusCode::UNAUTHORIZED, "no_token"), "")
            }
            ApiError::TwoTokens => challenge(
                problem(StatusCode::BAD_REQUEST, "invalid_request"),
                r#", error="invalid_request", error_description="more than one token was given""#,
            ),
            ApiError::BadToken(TokenError::KeysUnavailable { retry_after_seconds }) => {
                let detail = "the keys of the token's issuer cannot be fetched now: try again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_keys_unavailable", detail)
                    .with_retry_after(retry_after_seconds)
            }
            ApiError::BadToken(_) => {
                let detail = "the token is expired, malformed, or not meant for this gateway";
                challenge(
                    Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail),
                    r#", error="invalid_token", error_description="the token is not valid""#,
                )
            }
            ApiError::InsufficientScope { action, model } => {
                let narrow = model.map(|model| format!(" (or `{action}:{model}`)")).unwrap_or_default();
                let detail = format!("the token lacks the scope `{action}`{narrow}");
                let challenge_parameters = format!(r#", error="insufficient_scope", scope="{action}""#);
                challenge(
                    Self::new(StatusCode::FORBIDDEN, "insufficient_scope", detail),
                    &challenge_parameters,
                )
            }
            ApiError::ServedByAdmin => problem(StatusCode::FORBIDDEN, "served_by_admin"),
            ApiError::AddressQuota(exceeded) => refusal(PER_ADDRESS, &exceeded),
            ApiError::OverLimit(refused) => over_limit(refused),
            ApiError::FailedTokens(exceeded) => refusal(FAILED_TOKENS, &exceeded),
            ApiError::FailedLogIns(exceeded) => refusal(FAILED_LOGINS, &exceeded),
            ApiError::NoStream(refusal) => refused_stream(refusal),
            ApiError::NoSuchMethod => problem(StatusCode::NOT_IMPLEMENTED, "unimplemented"),
            ApiError::NoSuchPath | ApiError::NoSuchName => problem(StatusCode::NOT_FOUND, "not_found"),
            ApiError::OutputNotCarried(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "output_not_carried"),
            ApiError::OfProtocol(problem) => *problem,
            ApiError::NotReady(_) => {
                problem(StatusCode::SERVICE_UNAVAILABLE, "not_ready").with_retry_after(RETRY_SOON_SECONDS)
            }
            ApiError::ResponseNotWritten => problem(StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
            ApiError::Timeout | ApiError::TakesTooLong => problem(StatusCode::GATEWAY_TIMEOUT, "timeout"),
            ApiError::UnknownParameter { .. } => problem(StatusCode::BAD_REQUEST, "unknown_parameter"),
            ApiError::Operation(error) => match error {
                OperationError::ModelNotFound(_) => problem(StatusCode::NOT_FOUND, "model_not_found"),
                OperationError::NothingBefore(_) => problem(StatusCode::CONFLICT, "nothing_before"),
                OperationError::Unloaded(_) => problem(StatusCode::CONFLICT, "unloaded"),
                OperationError::Refused(refusal) => problem(StatusCode::CONFLICT, refusal.reason.code()),
                OperationError::Stopping => problem(StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            },
        }
    }
}

/// Maps a lack of memory to a problem: one that passes, or one that does not.
fn over_budget(refused: OverBudget) -> Problem {
    let detail = refused.to_string();
    match refused {
        OverBudget::Now => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "memory_in_use", detail)
            .with_retry_after(RETRY_SOON_SECONDS),
        OverBudget::Ever { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "needs_too_much_memory", detail)
        }
    }
}

/// Maps the refusal to open a stream of events to a problem.
fn refused_stream(refusal: StreamRefusal) -> Problem {
    let (status, code, detail, seconds) = match refusal {
        StreamRefusal::OfClient => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_streams",
            "the client has 4 streams of events open: close one of them first",
            RETRY_STREAM_SECONDS,
        ),
        StreamRefusal::All => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            "256 streams of events are open, which is the limit of the gateway",
            RETRY_STREAM_SECONDS,
        ),
        StreamRefusal::NoThread => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            "the system has no thread for a stream of events",
            RETRY_STREAM_SECONDS,
        ),
        StreamRefusal::Stopping => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping", "the gateway is shutting down", RETRY_SOON_SECONDS)
        }
    };
    Problem::new(status, code, detail).with_retry_after(seconds)
}

/// Names the content type of a body.
fn type_words(received: Option<&str>) -> String {
    received.map_or_else(
        || "the body has no content type".to_owned(),
        |received| format!("the body's content type is {received}"),
    )
}

/// Returns the reason why the gateway does not accept requests.
fn not_ready(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Ready => "the gateway is ready",
        Readiness::Starting => "the models are being loaded",
        Readiness::NoModel => "no model is in service: `onnx-gateway check` says why",
        Readiness::NoRepository => "the model repository cannot be read, or lost all its models",
        Readiness::Draining => "the gateway is shutting down",
    }
}

fn of_serving(error: ServingError) -> Problem {
    let detail = error.to_string();
    let problem = |status, code| Problem::new(status, code, detail);
    match error {
        ServingError::ModelNotFound { .. } => problem(StatusCode::NOT_FOUND, "model_not_found"),
        ServingError::VersionNotFound { .. } => problem(StatusCode::NOT_FOUND, "version_not_found"),
        ServingError::NoDefaultModel(_) => problem(StatusCode::NOT_FOUND, "no_default_model"),
        ServingError::Starting => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "starting").with_retry_after(RETRY_SOON_SECONDS)
        }
        ServingError::ModelUnavailable(_) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable").with_retry_after(RETRY_SOON_SECONDS)
        }
        ServingError::Overloaded => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded").with_retry_after(RETRY_SOON_SECONDS)
        }
        ServingError::OverLimit(refused) => over_limit(*refused),
        ServingError::OverBudget(refused) => over_budget(refused),
        ServingError::TooLate => problem(StatusCode::GATEWAY_TIMEOUT, "timeout"),
        ServingError::InvalidRows(violations) => {
            invalid_body(row_errors(&violations, RowBase::Features), violations.total)
        }
        ServingError::InvalidInputs(violations) => invalid_body(input_errors(&violations), violations.total),
        ServingError::RowsNotSupported(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "rows_not_supported"),
        ServingError::InputsRefused { input, .. } => {
            let errors = input.map(|input| vec![refused_at(input_pointer(&input))]).unwrap_or_default();
            problem(StatusCode::UNPROCESSABLE_ENTITY, "inputs_refused").with_errors(errors)
        }
        ServingError::NonFiniteInput(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "non_finite_input"),
        // As for values that a model refuses: the same values fail again, and a model that fails for many is rolled back.
        ServingError::NonFiniteOutput(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "non_finite_output"),
        ServingError::ModelFailed(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
        ServingError::Internal(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

/// Places a refusal at the inputs as a whole: one of the model's operators refused, so the exact value is unknown.
fn refused_at(pointer: String) -> FieldError {
    FieldError::new(
        pointer,
        "inputs_refused",
        "the model refuses these values: change them before sending them again",
    )
}

fn invalid_body(errors: Vec<FieldError>, total: usize) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", summary(total)).with_errors(errors)
}

fn summary(errors: usize) -> String {
    match errors {
        1 => "the body has 1 error".to_owned(),
        few if few <= MAX_LISTED => format!("the body has {few} errors"),
        many => format!("the body has {many} errors; the first {MAX_LISTED} are listed"),
    }
}

/// Adds the challenge of RFC 6750 section 3.
fn challenge(problem: Problem, parameters: &str) -> Problem {
    let value = format!(r#"Bearer realm="onnx-gateway"{parameters}"#);
    match HeaderValue::from_str(&value) {
        Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
        Err(_) => problem,
    }
}
