//! The dialect of a request, and the form of its errors.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

/// A protocol that requests and responses follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The native API, with problem documents.
    Native,
    /// The Open Inference Protocol.
    OpenInference,
    /// KServe V1 and TensorFlow Serving.
    TensorFlow,
    /// MLflow and SageMaker, on the paths that they share.
    Invocations,
    /// SageMaker's multi-model routes.
    SageMaker,
    /// Vertex AI.
    Vertex,
}

impl Dialect {
    /// Returns the dialect of a request, even if no route matches its path.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let is_below =
            |root| path.strip_prefix(root).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'));
        if is_below("/v2") {
            return Self::OpenInference;
        }
        if is_below("/v1") {
            return Self::TensorFlow;
        }
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (method, segments.as_slice()) {
            (_, ["ping" | "invocations" | "version"]) => Self::Invocations,
            (_, ["models", _, "invoke"]) | (&Method::POST, ["models"]) | (&Method::DELETE, ["models", _]) => {
                Self::SageMaker
            }
            _ => Self::Native,
        }
    }

    /// Returns the status of an error: only the native dialect distinguishes a body of the wrong form (400) from one of
    /// wrong content (422).
    pub(super) fn status(self, status: StatusCode) -> StatusCode {
        match self {
            Self::Native => status,
            _ if status == StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            _ => status,
        }
    }

    /// Returns the body of an error; `None` if the dialect uses problem documents. `id` is the client's own id of the
    /// request.
    pub(super) fn error_document(
        self,
        status: StatusCode,
        sentence: &str,
        id: Option<&str>,
    ) -> Option<Value> {
        let mut document = match self {
            Self::Native => return None,
            // Open Inference Protocol, "Response JSON Error Object"; TensorFlow Serving RESTful API, "Errors".
            Self::OpenInference | Self::TensorFlow | Self::SageMaker | Self::Vertex => {
                json!({"error": sentence})
            }
            Self::Invocations => {
                json!({"error_code": mlflow_error_code(status), "message": sentence, "error": sentence})
            }
        };
        if let Some(id) = id {
            document["id"] = id.into();
        }
        Some(document)
    }
}

/// Returns MLflow's word for an error, which its clients map to exceptions.
fn mlflow_error_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
        StatusCode::TOO_MANY_REQUESTS => "REQUEST_LIMIT_EXCEEDED",
        StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
        StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        status if status.is_server_error() => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_dialect() {
        let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
        for (method, path, dialect) in [
            (&get, "/", Dialect::Native),
            (&post, "/v22", Dialect::Native),
            (&post, "/predict", Dialect::Native),
            (&get, "/models/v2", Dialect::Native),
            (&get, "/models", Dialect::Native),
            (&get, "/models/iris", Dialect::Native),
            (&post, "/models/iris/predict", Dialect::Native),
            (&get, "/v2", Dialect::OpenInference),
            (&get, "/v2/", Dialect::OpenInference),
            (&post, "/v2/models/iris/infer", Dialect::OpenInference),
            (&post, "/v1/models/iris:predict", Dialect::TensorFlow),
            (&get, "/v1/nothing", Dialect::TensorFlow),
            (&get, "/ping", Dialect::Invocations),
            (&post, "/invocations", Dialect::Invocations),
            (&post, "/models/iris/invoke", Dialect::SageMaker),
            (&post, "/models", Dialect::SageMaker),
            (&delete, "/models/iris", Dialect::SageMaker),
        ] {
            assert_eq!(Dialect::of(method, path), dialect, "{method} {path}");
        }
    }
}
