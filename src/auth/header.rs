//! The header of a token, checked before anything is verified.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::TokenError;

/// Longest key id in bytes.
const MAX_KID_BYTES: usize = 128;

/// Accepted values of `typ`, without the optional `application/` (RFC 9068 section 2.1, RFC 7519 section 5.1).
const TYPES: &[&str] = &["at+jwt", "jwt"];

/// The parameters that decide; all others are ignored, as RFC 7515 section 4 requires.
///
/// Named fields make `serde` refuse a duplicate parameter.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a parameter is there")]
struct Parameters {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    // Critical extensions: none is supported, so RFC 7515 section 4.1.11 requires a refusal.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
    #[serde(default, deserialize_with = "is_there")]
    zip: bool,
    #[serde(default, deserialize_with = "is_there")]
    cty: bool,
    // Keys and key locations that the token itself names (RFC 8725 section 3.10).
    #[serde(default, deserialize_with = "is_there")]
    jku: bool,
    #[serde(default, deserialize_with = "is_there")]
    jwk: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5u: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5c: bool,
}

/// Returns true for any value, `null` included: a forbidden parameter is refused by its presence.
fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The key and algorithm that a header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenHeader {
    /// The algorithm's name, unchecked: it is only compared with those of the keys.
    pub(super) algorithm: String,
    /// The key's id.
    pub(super) kid: Option<String>,
}

impl TokenHeader {
    /// Reads the first part of a token.
    pub(super) fn of(token: &str) -> Result<Self, TokenError> {
        let malformed = |what: &str| TokenError::Malformed(what.to_owned());
        let first = token.split('.').next().unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(first).map_err(|_| malformed("its header is not base64url"))?;
        let parameters: Parameters = serde_json::from_slice(&json).map_err(|_| malformed("its header"))?;
        let refused = [
            ("crit", parameters.crit),
            ("b64", parameters.b64),
            ("zip", parameters.zip),
            ("cty", parameters.cty),
            ("jku", parameters.jku),
            ("jwk", parameters.jwk),
            ("x5u", parameters.x5u),
            ("x5c", parameters.x5c),
            ("typ", parameters.typ.as_deref().is_some_and(|typ| !is_token_type(typ))),
            ("kid", parameters.kid.as_deref().is_some_and(|kid| !is_key_id(kid))),
        ];
        match refused.into_iter().find(|(_, refused)| *refused) {
            Some((name, _)) => Err(TokenError::Header(name)),
            None => Ok(Self { algorithm: parameters.alg, kid: parameters.kid }),
        }
    }
}

fn is_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}

/// Returns true if a text can be a key's id: up to 128 bytes without control characters. It is only compared with the
/// ids in the settings, so it may look like a path or an address.
pub(super) fn is_key_id(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= MAX_KID_BYTES && !kid.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<TokenHeader, TokenError> {
        TokenHeader::of(&format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json)))
    }

    #[test]
    fn what_a_token_needs_is_accepted() {
        let read =
            header(r#"{"alg":"ES256","kid":"2026-11","typ":"at+jwt","x5t":"abc","custom":{}}"#).unwrap();
        assert_eq!(read, TokenHeader { algorithm: "ES256".to_owned(), kid: Some("2026-11".to_owned()) });
        for kid in
            ["ops@example.com", "../../dev/null", "' OR 1=1--", "k {1} [2]", "clé", "https://keys.example/1"]
        {
            let read = header(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#)).unwrap();
            assert_eq!(read.kid.as_deref(), Some(kid), "compared, and nothing else");
        }
        for typ in ["JWT", "jwt", "application/at+jwt"] {
            assert!(header(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#)).is_ok(), "{typ}");
        }
    }

    #[test]
    fn what_could_lead_the_verifier_astray_is_refused() {
        for (name, value) in [
            ("crit", "[]"),
            ("crit", r#"["b64"]"#),
            ("b64", "false"),
            ("zip", r#""DEF""#),
            ("cty", r#""JWT""#),
            ("jku", r#""https://evil.example/keys""#),
            ("jwk", "null"),
            ("x5u", r#""https://evil.example/cert""#),
            ("x5c", "[]"),
            ("typ", r#""application/json""#),
            ("kid", r#""""#),
            ("kid", r#""a\u0000b""#),
            ("kid", r#""a\nb""#),
        ] {
            let json = format!(r#"{{"alg":"HS256","{name}":{value}}}"#);
            assert_eq!(header(&json), Err(TokenError::Header(name)), "{json}");
        }
        let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(MAX_KID_BYTES + 1));
        assert_eq!(header(&long), Err(TokenError::Header("kid")));
    }

    #[test]
    fn what_is_no_header_is_malformed() {
        for json in
            ["", "[]", "{}", r#"{"alg":1}"#, r#"{"alg":"HS256","alg":"none"}"#, "\u{feff}{\"alg\":\"HS256\"}"]
        {
            assert!(matches!(header(json), Err(TokenError::Malformed(_))), "{json}");
        }
        assert!(matches!(TokenHeader::of("e30="), Err(TokenError::Malformed(_))));
    }
}
