//! The protocol of an `/invocations` body.

use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{codec::without_mark, edge::ApiError, protocols::mlflow::wire::Header};

/// Triton's media type for SageMaker. SageMaker forwards no custom header, so the length of the JSON is a parameter.
const BINARY: &str = "application/vnd.sagemaker-triton.binary+json";

/// The parameter with the length of the JSON.
const JSON_LENGTH: &str = "json-header-size";

/// The content types that are taken, as an error names them.
const JSON_OR_CSV: &str = "application/json or text/csv";
const JSON: &str = "application/json";

/// The declared type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocols) enum Declared {
    /// `json_bytes` of JSON, then binary tensors.
    Binary {
        json_bytes: usize,
    },
    Json,
    Csv(Header),
}

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// A request of the Open Inference Protocol, of which `json_bytes` are JSON; `None` if all of it is.
    OpenInference { json_bytes: Option<usize> },
    /// A request of MLflow.
    Json,
    /// A frame as CSV.
    Csv(Header),
}

/// Reads the declared type of a body.
pub(in crate::protocols) fn content_type(headers: &HeaderMap) -> Result<Declared, ApiError> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = declared.unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    match media_type.as_str() {
        BINARY => {
            let length = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case(JSON_LENGTH).then(|| value.trim())
            });
            let digits = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let json_bytes = digits.and_then(|digits| digits.parse().ok()).ok_or(ApiError::BadRequest(
                "its Content-Type must say how many bytes are JSON: json-header-size=NUMBER",
            ))?;
            Ok(Declared::Binary { json_bytes })
        }
        JSON => Ok(Declared::Json),
        "text/csv" => header_of(parts).map(Declared::Csv),
        _ => Err(ApiError::unsupported_media_type(declared, JSON_OR_CSV, JSON)),
    }
}

/// Reads from the parameters of `text/csv` how the header is declared (RFC 4180 section 3).
fn header_of<'p>(mut parameters: impl Iterator<Item = &'p str>) -> Result<Header, ApiError> {
    let said = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("header").then(|| value.trim().trim_matches('"'))
    });
    match said {
        None => Ok(Header::Unsaid),
        Some(value) if value.eq_ignore_ascii_case("present") => Ok(Header::Present),
        Some(value) if value.eq_ignore_ascii_case("absent") => Ok(Header::Absent),
        Some(_) => Err(ApiError::BadRequest(
            "the parameter `header` of text/csv must be `present` or `absent` (RFC 4180 section 3)",
        )),
    }
}

impl Declared {
    /// Returns the offset in the body at which binary tensors begin; 0 if there are none.
    pub(in crate::protocols) fn json_bytes(self) -> usize {
        match self {
            Self::Binary { json_bytes } => json_bytes,
            Self::Json | Self::Csv(_) => 0,
        }
    }

    pub(super) fn kind_of(self, body: &[u8], mlflow: bool, sagemaker: bool) -> Result<BodyKind, ApiError> {
        match self {
            Self::Binary { json_bytes } if sagemaker => {
                Ok(BodyKind::OpenInference { json_bytes: Some(json_bytes) })
            }
            Self::Json if sagemaker && (!mlflow || has_named_tensors(body)) => {
                Ok(BodyKind::OpenInference { json_bytes: None })
            }
            Self::Json => Ok(BodyKind::Json),
            Self::Csv(header) if mlflow => Ok(BodyKind::Csv(header)),
            Self::Binary { .. } => Err(ApiError::unsupported_media_type(Some(BINARY), JSON_OR_CSV, JSON)),
            Self::Csv(_) => Err(ApiError::unsupported_media_type(Some("text/csv"), JSON, JSON)),
        }
    }
}

/// Returns the media type of a response with binary tensors.
pub(super) fn binary_media_type(json_bytes: usize) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(&format!("{BINARY};{JSON_LENGTH}={json_bytes}"))
        .map_err(|_| ApiError::ResponseNotWritten)
}

/// Returns true if `inputs` begins with a tensor of the Open Inference Protocol. The rest is not checked here.
fn has_named_tensors(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Request<'b> {
        #[serde(borrow)]
        inputs: &'b RawValue,
    }

    #[derive(Deserialize)]
    struct NamedTensor {
        #[serde(rename = "name")]
        _name: IgnoredAny,
        #[serde(rename = "datatype")]
        _datatype: IgnoredAny,
    }

    let Ok(Request { inputs }) = serde_json::from_slice(without_mark(body)) else { return false };
    let Some(first) = inputs.get().trim_start().strip_prefix('[') else { return false };
    // A derived reader would also take the fields from a list.
    if !first.trim_start().starts_with('{') {
        return false;
    }
    let first = serde_json::Deserializer::from_str(first).into_iter::<NamedTensor>().next();
    first.is_some_and(|tensor| tensor.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &'static str) -> Option<Declared> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
        content_type(&headers).ok()
    }

    #[test]
    fn the_media_type_says_how_a_body_is_read() {
        assert_eq!(declared("application/json; charset=utf-8"), Some(Declared::Json));
        assert_eq!(declared("text/csv"), Some(Declared::Csv(Header::Unsaid)));
        assert_eq!(
            declared("text/csv; charset=utf-8; Header=\"absent\""),
            Some(Declared::Csv(Header::Absent))
        );
        assert_eq!(declared("text/csv;header=Present"), Some(Declared::Csv(Header::Present)));
        let binary = "application/vnd.sagemaker-triton.binary+json;json-header-size=";
        assert_eq!(binary_media_type(7).unwrap(), format!("{binary}7"));
        assert_eq!(
            declared("application/vnd.sagemaker-triton.binary+json;json-header-size=12"),
            Some(Declared::Binary { json_bytes: 12 })
        );
        for wrong in [
            "text/csv; header=no",
            "text/csv; header",
            "application/vnd.sagemaker-triton.binary+json",
            "application/vnd.sagemaker-triton.binary+json;json-header-size=-1",
            "application/vnd.sagemaker-triton.binary+json;json-header-size=",
            "text/plain",
            "",
        ] {
            assert_eq!(declared(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn named_tensors_are_told_from_other_inputs() {
        for (body, is_open_inference) in [
            (r#"{"inputs": [ {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}, 7]}"#, true),
            (r#"{"inputs": [{"name": "x", "shape": [1]}]}"#, false),
            (r#"{"inputs": [{"x": 1}]}"#, false),
            (r#"{"inputs": [[1]]}"#, false),
            (r#"{"inputs": [[1, 2], [3, 4]]}"#, false),
            (r#"{"inputs": []}"#, false),
            (r#"{"inputs": {"name": [1]}}"#, false),
            (r#"{"instances": [{"name": "x", "datatype": "FP32"}]}"#, false),
            ("[", false),
        ] {
            assert_eq!(has_named_tensors(body.as_bytes()), is_open_inference, "{body}");
        }
    }
}
