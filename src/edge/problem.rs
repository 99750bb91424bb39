//! Error responses as problem documents (RFC 9457).

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::codes::{FIELD_CODES, is_problem_code};
use crate::codec::FieldError;

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// An error response.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    document: ProblemDocument,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every error response (RFC 9457), with a stable `code` for programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `about:blank`, or a registered problem type
    #[serde(rename = "type")]
    kind: &'static str,
    /// The meaning of the status
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    /// The status
    #[schema(example = 422)]
    status: u16,
    /// A stable code for programs
    #[schema(example = "invalid_body")]
    code: &'static str,
    /// A sentence for people
    detail: String,
    /// Everything that is wrong with the body
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The quotas that are used up
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(is_problem_code(code), "{code} is not in edge/codes.rs");
        let document = ProblemDocument {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            violated_policies: Vec::new(),
        };
        Self { status, document, headers: Vec::new() }
    }

    /// Returns the stable code.
    pub(super) fn code(&self) -> &'static str {
        self.document.code
    }

    /// Returns true if a quota is used up.
    pub(super) fn is_quota(&self) -> bool {
        !self.document.violated_policies.is_empty()
    }

    /// Returns the sentence for people.
    pub(crate) fn detail(&self) -> &str {
        &self.document.detail
    }

    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        let is_listed = |error: &FieldError| FIELD_CODES.contains(&error.code.as_ref());
        debug_assert!(errors.iter().all(is_listed), "{errors:?}: a code is not in edge/codes.rs");
        self.document.errors = errors;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Asks the client to wait for this number of seconds.
    pub(crate) fn with_retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Names the quota that is used up (draft-ietf-httpapi-ratelimit-headers-11, section on problem types).
    pub(crate) fn with_violated_policy(mut self, policy: &'static str) -> Self {
        self.document.kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        self.document.violated_policies.push(policy);
        self
    }
}

/// The text of a problem as one sentence, for protocols that have no problem documents.
#[derive(Clone, Debug)]
pub(crate) struct Sentence(pub(crate) String);

impl ProblemDocument {
    /// Returns the error as one sentence, with every listed place.
    fn sentence(&self) -> Sentence {
        let places = self.errors.iter().map(|error| {
            if error.pointer.is_empty() {
                error.message.clone()
            } else {
                format!("{}: {}", error.pointer, error.message)
            }
        });
        let places = places.collect::<Vec<_>>().join("; ");
        // The detail may end with the message of its only error, which the places repeat.
        let detail = match self.errors.as_slice() {
            [only] => self.detail.strip_suffix(&only.message).unwrap_or(&self.detail).trim_end_matches(": "),
            _ => &self.detail,
        };
        Sentence(if places.is_empty() { self.detail.clone() } else { format!("{detail}: {places}") })
    }
}

impl IntoResponse for Problem {
    #[expect(clippy::expect_used, reason = "a document of texts and numbers can always be written")]
    fn into_response(self) -> Response {
        let sentence = self.document.sentence();
        let body = serde_json::to_vec(&self.document).expect("an error document is JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response.extensions_mut().insert(sentence);
        response
    }
}
