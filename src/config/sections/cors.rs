//! Section `cors`: pages of other origins that may use the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use validator::{Validate, ValidationError};

/// Cross-origin requests of browsers (Fetch standard, CORS protocol). They are off while no origin is listed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[validate(schema(function = "has_no_credentials_for_any_origin"))]
pub struct CorsSettings {
    /// Origins whose pages may read responses, such as `https://app.example.com`; `*` alone for every origin.
    #[serde(default, deserialize_with = "list")]
    #[validate(custom(function = "are_origins"))]
    pub allowed_origins: Vec<String>,
    /// Request headers that these pages may send.
    #[serde(deserialize_with = "list")]
    #[validate(custom(function = "are_header_names"))]
    pub allowed_headers: Vec<String>,
    /// True if these pages may send cookies and other credentials that the browser holds. Tokens need no permission.
    pub allow_credentials: bool,
    /// Time for which a browser may remember what it may send.
    #[validate(range(max = 86400, message = "must be from 0 to 86400 (a day)"))]
    pub max_age_seconds: u64,
}

impl CorsSettings {
    /// The entry that stands for every origin.
    pub(crate) const ANY_ORIGIN: &'static str = "*";
}

impl Default for CorsSettings {
    fn default() -> Self {
        let headers =
            ["authorization", "content-type", "inference-header-content-length", "x-api-key", "x-request-id"];
        Self {
            allowed_origins: Vec::new(),
            allowed_headers: headers.map(str::to_owned).to_vec(),
            allow_credentials: false,
            max_age_seconds: 3600,
        }
    }
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    super::comma_list(deserializer)
}

fn are_origins(origins: &[String]) -> Result<(), ValidationError> {
    let is_alone = origins.len() == 1;
    let wrong = origins.iter().find_map(|origin| match origin.as_str() {
        CorsSettings::ANY_ORIGIN if is_alone => None,
        CorsSettings::ANY_ORIGIN => {
            Some("`*` stands for every origin, so it must be the only entry".to_owned())
        }
        origin => objection(origin).map(|objection| format!("`{origin}` {objection}")),
    });
    wrong.map_or(Ok(()), |message| Err(ValidationError::new("origins").with_message(message.into())))
}

/// Returns why a text is not an origin as browsers write it (RFC 6454 section 6.2). `None` if it is one.
fn objection(origin: &str) -> Option<String> {
    let form = || {
        let example = "scheme://host or scheme://host:port, such as https://app.example.com";
        Some(format!("is not an origin: write {example}, without a path"))
    };
    let Some((scheme, authority)) = origin.split_once("://") else { return form() };
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    // No user before the host, no pattern in it, and no path behind it.
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if scheme.is_empty()
        || authority.is_empty()
        || !scheme.bytes().all(is_scheme)
        || !authority.bytes().all(is_host)
    {
        return form();
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("has upper-case letters; browsers send lower-case ones".to_owned());
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    authority
        .ends_with(default_port)
        .then(|| format!("ends with {default_port}, which browsers leave out for {scheme}"))
}

fn are_header_names(names: &[String]) -> Result<(), ValidationError> {
    // Characters of a token (RFC 9110 section 5.6.2).
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_wrong = |name: &&String| name.is_empty() || !name.bytes().all(is_token);
    names.iter().find(is_wrong).map_or(Ok(()), |name| {
        let message = format!("`{name}` is not the name of a header");
        Err(ValidationError::new("headers").with_message(message.into()))
    })
}

/// Any page could act for a user whose browser holds credentials, so browsers refuse both together as well.
fn has_no_credentials_for_any_origin(settings: &CorsSettings) -> Result<(), ValidationError> {
    if !settings.allow_credentials || settings.allowed_origins != [CorsSettings::ANY_ORIGIN] {
        return Ok(());
    }
    let message = "allow_credentials needs a list of origins in allowed_origins, not `*`";
    Err(ValidationError::new("credentials").with_message(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        let fine = [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "capacitor://localhost",
        ];
        for origin in fine {
            assert_eq!(objection(origin), None, "{origin}");
        }
        for (origin, part) in [
            ("app.example.com", "is not an origin"),
            ("https://app.example.com/", "without a path"),
            ("https://app.example.com/page", "without a path"),
            ("https://*.example.com", "is not an origin"),
            ("https://App.example.com", "upper-case"),
            ("https://app.example.com:443", "leave out"),
            ("null", "is not an origin"),
            ("", "is not an origin"),
        ] {
            assert!(objection(origin).is_some_and(|said| said.contains(part)), "{origin}");
        }
    }

    #[test]
    fn every_origin_is_alone_and_without_credentials() {
        let settings = |origins: &[&str], allow_credentials| CorsSettings {
            allowed_origins: origins.iter().map(ToString::to_string).collect(),
            allow_credentials,
            ..CorsSettings::default()
        };
        assert!(settings(&["*"], false).validate().is_ok());
        assert!(settings(&["https://a.example"], true).validate().is_ok());
        assert!(settings(&["*"], true).validate().is_err());
        assert!(settings(&["*", "https://a.example"], false).validate().is_err());
    }
}
