//! The token or API key of a request.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::ApiError;
use crate::auth::API_KEY_PREFIX;

/// The header with an API key, for clients that cannot set `Authorization`.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Returns the token of the only `Authorization` header (RFC 6750 section 2.1), or the gateway's API key in `X-API-Key`.
/// A token in the query is not accepted, as every log on the way would store it. One beside the header is a second
/// method (section 3.1). Credentials of another scheme are for a proxy, and count as no token.
///
/// # Errors
///
/// [`ApiError::NoToken`], or [`ApiError::TwoTokens`].
pub(crate) fn bearer<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let mut api_keys = api_keys(headers);
    let of_scheme = values.next().and_then(of_scheme);
    // A request has one `Authorization` at most (RFC 9110 section 11.6.2).
    let has_more = values.next().is_some();
    match (of_scheme, api_keys.next()) {
        (None, None) if !has_more => Err(ApiError::NoToken),
        (Some(token), None) | (None, Some(token))
            if !has_more && api_keys.next().is_none() && !has_query_token(query) =>
        {
            Ok(token)
        }
        _ => Err(ApiError::TwoTokens),
    }
}

/// Returns the token of a value. `None` if it is of another scheme, whose name is case-insensitive (RFC 9110 section
/// 11.1).
fn of_scheme(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Returns true if the query has a token.
pub(super) fn has_query_token(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token=")))
}

/// Returns true if a request has a token or an API key, whether it is a good one or not. A value without a scheme may
/// have been meant as a token.
pub(super) fn has_credentials(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let is_meant = |value: &HeaderValue| of_scheme(value).is_some() || !value.as_bytes().contains(&b' ');
    values.next().is_some_and(is_meant) || values.next().is_some() || api_keys(headers).next().is_some()
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
        assert_eq!(with_keys(&["Basic eDp5"], &["ogk_a_1"], None), Ok("ogk_a_1".to_owned()));
        assert_eq!(with_keys(&["Basic eDp5", "Bearer t"], &[], None), two);
        assert_eq!(with_keys(&["Basic eDp5", "Basic eDp5"], &["ogk_a_1"], None), two);
        assert_eq!(with_keys(&[], &["ogk_a_1", "ogk_a_1"], None), two);
        assert_eq!(with_keys(&[], &["ogk_a_1"], Some("access_token=t")), two);
    }
    #[test]
    fn credentials_of_another_scheme_are_of_a_proxy() {
        let has = |values: &[&'static str]| {
            let values = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
            has_credentials(&values.fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            }))
        };
        for values in [&[][..], &["Basic eDp5"], &["Negotiate eDp5"]] {
            assert!(!has(values), "{values:?}");
        }
        for values in [&["Bearer t"][..], &["bearer "], &["Bearer"], &["a.b.c"], &["Basic a", "Basic b"]] {
            assert!(has(values), "{values:?}");
        }
    }
}
