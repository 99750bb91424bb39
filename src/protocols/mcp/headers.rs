//! Headers of a request: the media types that it accepts, and those that repeat the message.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The header with the revision of the protocol.
pub(super) const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// The header that repeats the method.
pub(super) const METHOD: &str = "mcp-method";

/// The header that repeats the name of the tool.
pub(super) const NAME: &str = "mcp-name";

/// Returns true unless `Accept` excludes JSON. Clients list event streams too, which are never sent.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    values.peek().is_none()
        || values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| is_json_range(&range.to_ascii_lowercase()))
}

/// Returns true if a media range includes JSON with a weight above zero (RFC 9110 section 12.4.2).
fn is_json_range(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_json =
        parts.next().is_some_and(|range| ["application/json", "application/*", "*/*"].contains(&range));
    let is_excluded = |parameter: &str| {
        let weight = parameter.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        weight.is_some_and(|weight| weight <= 0.0)
    };
    is_json && !parts.any(is_excluded)
}

/// Returns the value of a header that must not be repeated; `None` if it is absent.
///
/// # Errors
///
/// If it is repeated, or has other characters than visible ASCII and spaces.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("is there more than once");
    }
    value.to_str().map(Some).map_err(|_| "has characters that are not ASCII")
}

/// Decodes a value that may be written as `=?base64?…?=`; `None` if it is not valid.
//
// Streamable HTTP, section "Value Encoding".
pub(super) fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_accepted_unless_it_is_excluded() {
        let accepts = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            accepts_json(&headers)
        };
        for accepted in [
            &[][..],
            &["application/json, text/event-stream"],
            &["text/event-stream", "Application/JSON;q=0.5"],
            &["*/*"],
            &["application/*;q=1"],
        ] {
            assert!(accepts(accepted), "{accepted:?}");
        }
        for excluded in [&["text/event-stream"][..], &["application/json;q=0"], &["*/*; q=0.0"], &[""]] {
            assert!(!accepts(excluded), "{excluded:?}");
        }
    }

    #[test]
    fn a_value_may_be_encoded() {
        assert_eq!(decoded("iris").as_deref(), Some("iris"));
        assert_eq!(decoded("=?base64?aXJpcw==?=").as_deref(), Some("iris"));
        assert_eq!(decoded("=?base64?!?="), None);
        assert_eq!(decoded("=?base64?/w==?="), None, "it is not UTF-8");
    }
}
