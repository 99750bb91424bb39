//! The credentials of `config/development.toml`, which everyone knows.

use crate::config::AuthSettings;

/// The signing secret in that file.
const SIGNING_SECRET: &str = "development-only: everyone knows this key";

/// The client in that file.
const CLIENT: &str = "demo";

/// The secret of that client.
const CLIENT_SECRET: &str = "demo-secret";

/// Whether this is the development signing secret.
pub(super) fn is_development_secret(secret: &str) -> bool {
    secret == SIGNING_SECRET
}

/// Whether the development client is among the clients, under whatever salt its secret was hashed.
pub(super) fn has_development_client(settings: &AuthSettings) -> bool {
    let hash = settings.clients.get(CLIENT).and_then(|client| client.secret_hash.as_ref());
    hash.is_some_and(|hash| super::clients::verify(hash.expose(), CLIENT_SECRET))
}
