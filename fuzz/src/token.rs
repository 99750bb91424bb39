//! Tokens and API keys: nothing is accepted but what was signed or made.

use std::{
    str,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use onnx_gateway::{
    auth::{Authentication, NewApiKey, Scopes},
    config::{AuthSettings, Secret},
};

/// The secret of the gateway that is tried. It is of no other.
pub(super) const SECRET: &str = "b1946ac92492d2347c6235b4d2611184e07b3c1a9d55f60a8d1c7be4";

/// A gateway's authentication, and the credentials that are good.
static GATEWAY: LazyLock<(Authentication, Vec<String>)> = LazyLock::new(|| {
    let scopes = vec!["predict".to_owned()];
    let NewApiKey { key, settings } = NewApiKey::generate("shop", scopes, None, None).expect("a key");
    let settings = AuthSettings {
        signing_secret: Some(Secret::new(SECRET.to_owned())),
        api_keys: [("shop".to_owned(), settings)].into(),
        ..AuthSettings::default()
    };
    let authentication = Authentication::new(&settings, &|_| false).expect("the settings are good");
    let issuer = authentication.issuer.as_ref().expect("it signs");
    let sign = |subject: &str| {
        let lifetime = Some(Duration::from_hours(1));
        issuer.issue(subject, Scopes::default(), SystemTime::now(), lifetime).expect("a token").token
    };
    let good = vec![sign("shop"), sign("a caller with a longer name"), key.expose().to_owned()];
    (authentication, good)
});

/// Verifies the bytes as a token.
pub fn run(data: &[u8]) {
    let (authentication, good) = &*GATEWAY;
    let Ok(token) = str::from_utf8(data) else { return };
    let verified = authentication.verify(token, SystemTime::now()).now_or_never();
    if verified.expect("it waits for no issuer").is_ok() {
        assert!(good.iter().any(|good| good == token), "an altered token was accepted: {token}");
    }
}

/// Returns the good tokens, and parts of them.
pub fn seeds() -> Vec<Vec<u8>> {
    let (_, good) = &*GATEWAY;
    let parts = good.iter().flat_map(|token| token.split('.'));
    good.iter().map(String::as_str).chain(parts).map(|text| text.as_bytes().to_vec()).collect()
}
