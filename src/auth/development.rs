//! The credentials of `config/development.toml`, which everyone knows.

/// The signing secret in that file.
const SIGNING_SECRET: &str = "development-only: everyone knows this key";

/// The client in that file.
const CLIENT: &str = "demo";

/// The secret of that client.
const CLIENT_SECRET: &str = "demo-secret";

/// Whether this is the development signing secret.
pub(super) fn is_development_secret(secret: &[u8]) -> bool {
    secret.trim_ascii() == SIGNING_SECRET.as_bytes()
}

/// The hash in that file.
const SECRET_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$kxy8wEExgV2xZC8rQbcDvQ$ngc8vYhvJOda7x24jE1cbkf8CmYZllLrYM+r8UJmSoM";

/// Whether a client has the secret of the development client: under its id whatever the salt, under any other by the
/// published hash (comparing each client's would take 20 ms each).
pub(super) fn is_development_client(id: &str, hash: &str) -> bool {
    hash == SECRET_HASH || (id == CLIENT && super::clients::verify(hash, CLIENT_SECRET))
}
