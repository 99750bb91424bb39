//! The extractor of JSON bodies: read within limits, parsed, and checked by `validator`.

use std::error::Error;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use tower_http::timeout::TimeoutError;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{
    error::{ApiError, escape},
    problem::FieldError,
};

/// A JSON body of this form that `validator` has nothing against.
#[derive(Debug)]
pub(super) struct ValidJson<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + Validate> FromRequest<S> for ValidJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        let bytes = read(request.into_body()).await?;
        let body: T = parse(&bytes)?;
        body.validate().map_err(|errors| ApiError::InvalidBody(field_errors("", &errors)))?;
        Ok(Self(body))
    }
}

/// `application/json`, or anything that ends in `+json`; parameters do not matter.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The whole body.
///
/// # Errors
///
/// By what the limits around it say: too large, too slow, or broken off.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if caused_by::<LengthLimitError>(&error) => Err(ApiError::BodyTooLarge),
        Err(error) if caused_by::<TimeoutError>(&error) => Err(ApiError::BodyTimeout),
        Err(_) => Err(ApiError::BodyUnreadable),
    }
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(|cause| caused_by::<E>(cause))
}

/// Whether the text can only be an object. A derived `Deserialize` would also read a struct's fields from a list.
fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Parses a JSON object: text that is none is 400, JSON of another form 422, both with the place.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if !is_object(bytes) {
        // Whatever is wrong with it as JSON is said first.
        let _: serde::de::IgnoredAny =
            serde_json::from_slice(bytes).map_err(|error| malformed(String::new(), &error))?;
        let message = "expected an object".to_owned();
        return Err(ApiError::InvalidBody(vec![FieldError {
            pointer: String::new(),
            code: "wrong_form".into(),
            message,
        }]));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let error = match parsed {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(malformed(String::new(), &error)),
        },
        Err(error) => error,
    };
    let pointer = pointer(error.path());
    match error.inner().classify() {
        Category::Data => {
            let message = error.inner().to_string();
            let code = if message.starts_with("unknown field") { "unknown_field" } else { "wrong_form" };
            let code = code.into();
            Err(ApiError::InvalidBody(vec![FieldError { pointer, code, message }]))
        }
        Category::Syntax | Category::Eof | Category::Io => Err(malformed(pointer, error.inner())),
    }
}

fn malformed(pointer: String, error: &serde_json::Error) -> ApiError {
    ApiError::MalformedJson(FieldError { pointer, code: "malformed_json".into(), message: error.to_string() })
}

fn pointer(path: &Path) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escape(key)),
        Segment::Enum { variant } => format!("/{}", escape(variant)),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// The errors of `validator` with pointers.
fn field_errors(base: &str, errors: &ValidationErrors) -> Vec<FieldError> {
    let mut found = Vec::new();
    for (name, kind) in errors.errors() {
        // A rule about the whole struct has the name `__all__`.
        let pointer = if name == "__all__" { base.to_owned() } else { format!("{base}/{}", escape(name)) };
        match kind {
            ValidationErrorsKind::Struct(inner) => found.extend(field_errors(&pointer, inner)),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    found.extend(field_errors(&format!("{pointer}/{index}"), inner));
                }
            }
            ValidationErrorsKind::Field(errors) => found.extend(errors.iter().map(|error| FieldError {
                pointer: pointer.clone(),
                code: error.code.clone(),
                message: error.message.clone().unwrap_or_else(|| error.code.clone()).into_owned(),
            })),
        }
    }
    found
}
