//! The token or API key of a request.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::ApiError;
use crate::auth::API_KEY_PREFIX;

/// The header with an API key, for clients that cannot set `Authorization`.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Returns the token of the only `Authorization` header (RFC 6750 section 2.1), or the gateway's API key in `X-API-Key`.
/// A token in the query is not accepted, as every log on the way would store it. One beside the header is a second
/// method (section 3.1).
///
/// # Errors
///
/// [`ApiError::NoToken`], or [`ApiError::TwoTokens`].
pub(crate) fn bearer<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let mut api_keys = api_keys(headers);
    let (value, api_key) = (values.next(), api_keys.next());
    let in_query = has_query_token(query);
    let is_one = value.is_some() ^ api_key.is_some();
    let has_more = values.next().is_some() || api_keys.next().is_some() || in_query;
    match (value, api_key) {
        (None, None) => Err(ApiError::NoToken),
        _ if !is_one || has_more => Err(ApiError::TwoTokens),
        (_, Some(api_key)) => Ok(api_key),
        (Some(value), None) => of_scheme(value),
    }
}

fn of_scheme(value: &HeaderValue) -> Result<&str, ApiError> {
    // The scheme's name is case-insensitive (RFC 9110 section 11.1). Another scheme counts as no token.
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim_start_matches(' '))
    } else {
        Err(ApiError::NoToken)
    }
}

/// Returns true if the query has a token.
pub(super) fn has_query_token(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token=")))
}

/// Returns true if a request has a token or an API key, whether it is a good one or not.
pub(super) fn has_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || api_keys(headers).next().is_some()
}

/// Returns the gateway's API keys among the headers. Others may be for a proxy in front of it.
fn api_keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(API_KEY).iter().filter_map(|value| value.to_str().ok());
    values.filter(|value| value.starts_with(API_KEY_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&'static str], query: Option<&str>) -> Result<String, String> {
        with_keys(values, &[], query)
    }

    fn with_keys(
        values: &[&'static str],
        api_keys: &[&'static str],
        query: Option<&str>,
    ) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for (name, values) in [(header::AUTHORIZATION, values), (API_KEY, api_keys)] {
            for value in values {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
        }
        bearer(&headers, query).map(str::to_owned).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_token_is_the_only_one_of_its_scheme() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(token(&[value], Some("a=b")), Ok("a.b.c".to_owned()), "{value}");
        }
        assert_eq!(token(&["Bearer "], None), Ok(String::new()));
        for values in [&[][..], &["Basic eDp5"], &["Bearer"], &["a.b.c"], &[""]] {
            assert_eq!(token(values, None), Err("NoToken".to_owned()), "{values:?}");
        }
        assert_eq!(token(&["Bearer a", "Bearer a"], None), Err("TwoTokens".to_owned()));
        assert_eq!(token(&["Bearer a"], Some("a=b&access_token=a")), Err("TwoTokens".to_owned()));
    }

    #[test]
    fn an_api_key_has_a_header_of_its_own() {
        let two = Err("TwoTokens".to_owned());
        assert_eq!(with_keys(&[], &["ogk_a_1"], None), Ok("ogk_a_1".to_owned()));
        assert_eq!(with_keys(&["Bearer t"], &["of a proxy"], None), Ok("t".to_owned()));
        assert_eq!(with_keys(&[], &["of a proxy"], None), Err("NoToken".to_owned()));
        assert_eq!(with_keys(&[], &["of a proxy", "ogk_a_1"], None), Ok("ogk_a_1".to_owned()));
        assert_eq!(with_keys(&["Bearer t"], &["ogk_a_1"], None), two);
        assert_eq!(with_keys(&[], &["ogk_a_1", "ogk_a_1"], None), two);
        assert_eq!(with_keys(&[], &["ogk_a_1"], Some("access_token=t")), two);
    }
}
