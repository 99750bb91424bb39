//! Which dialect is spoken under a path, and how it says that something went wrong.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A way of asking and answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Our own: problem documents.
    Native,
    /// The Open Inference Protocol.
    OpenInference,
    /// KServe V1 and TensorFlow Serving.
    TensorFlow,
}

impl Dialect {
    /// The dialect of a path, whether or not there is anything at it.
    pub(super) fn of(path: &str) -> Self {
        let is_below =
            |root| path.strip_prefix(root).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'));
        if is_below("/v2") {
            Self::OpenInference
        } else if is_below("/v1") {
            Self::TensorFlow
        } else {
            Self::Native
        }
    }

    /// The status that an error has: only the native dialect tells a body of the wrong form from one of wrong content.
    pub(super) fn status(self, status: StatusCode) -> StatusCode {
        match self {
            Self::Native => status,
            _ if status == StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            _ => status,
        }
    }

    /// The document of an error, where it is not a problem document; `id` is what the caller calls its request.
    pub(super) fn error_document(self, sentence: &str, id: Option<&str>) -> Option<Value> {
        match self {
            Self::Native => None,
            // Open Inference Protocol, HTTP/REST, "Response JSON Error Object"
            Self::OpenInference | Self::TensorFlow => Some(match id {
                Some(id) => json!({"error": sentence, "id": id}),
                None => json!({"error": sentence}),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_dialect() {
        for path in ["/v2", "/v2/", "/v2/models/iris/infer", "/v2/nothing"] {
            assert_eq!(Dialect::of(path), Dialect::OpenInference, "{path}");
        }
        for path in ["/", "/v22", "/predict", "/models/v2"] {
            assert_eq!(Dialect::of(path), Dialect::Native, "{path}");
        }
    }
}
