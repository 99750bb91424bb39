//! The model that a header names (SageMaker).

use axum::http::{HeaderMap, HeaderName};

use crate::{edge::ApiError, model::ModelName};

/// The header with the model's name: on SageMaker the path holds only a hash of the name.
const TARGET_MODEL: HeaderName = HeaderName::from_static("x-amzn-sagemaker-target-model");

/// File name suffixes that do not belong to a model's name.
const SUFFIXES: &[&str] = &[".tar.gz", ".onnx"];

/// Returns the model that the header names; `None` if the header is absent.
pub(in crate::protocols) fn target_model(headers: &HeaderMap) -> Result<Option<ModelName>, ApiError> {
    let Some(value) = headers.get(TARGET_MODEL) else { return Ok(None) };
    let name = value.to_str().unwrap_or_default().trim_start_matches('/');
    let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    name.parse().map(Some).map_err(|_| ApiError::NoSuchName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_a_model_by_its_archive() {
        let named = |name: &'static str| {
            let headers = HeaderMap::from_iter([(TARGET_MODEL, name.parse().unwrap())]);
            target_model(&headers).map(|model| model.map(|model| model.to_string())).ok().flatten()
        };
        for name in ["iris", "iris.tar.gz", "/iris.tar.gz", "iris.onnx"] {
            assert_eq!(named(name).as_deref(), Some("iris"), "{name}");
        }
        assert_eq!(named("../iris"), None);
    }
}
