//! The published credentials of `config/development.toml`.

/// The signing secret in that file.
const SIGNING_SECRET: &str = "development-only: everyone knows this key";

/// The client in that file.
const CLIENT: &str = "demo";

/// The secret of that client.
const CLIENT_SECRET: &str = "demo-secret";

/// Returns true if this is the development signing secret.
pub(super) fn is_development_secret(secret: &[u8]) -> bool {
    secret.trim_ascii() == SIGNING_SECRET.as_bytes()
}

/// The hash in that file.
const SECRET_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$kxy8wEExgV2xZC8rQbcDvQ$ngc8vYhvJOda7x24jE1cbkf8CmYZllLrYM+r8UJmSoM";

/// Returns true if a client has the development client's secret. Under the id `demo` any salt is found; under any other
/// id only the published hash, as verifying each client's hash would take 20 ms.
pub(super) fn is_development_client(id: &str, hash: &str) -> bool {
    hash == SECRET_HASH || (id == CLIENT && super::clients::verify(hash, CLIENT_SECRET))
}
