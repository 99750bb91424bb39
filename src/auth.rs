//! Authentication and authorization: tokens, API keys, keys, clients, scopes.
//!
//! A token is verified by one of the configured keys, or by one that its issuer publishes, each bound to one algorithm.
//! Its claims are those of RFC 7519 and RFC 9068. Key material in a token is never trusted or fetched (RFC 8725 section
//! 3.8).

mod algorithm;
mod api_keys;
mod authorized;
mod caller;
mod certificates;
mod claims;
mod clients;
mod development;
mod generate;
mod header;
mod issuer;
mod issuers;
mod key_set;
mod key_trust;
mod keys;
mod known_tokens;
mod last_use;
mod plan;
mod revocations;
mod rsa;
mod scope;
mod self_test;
mod setup;
mod token_error;
mod verifier;
mod weak_secret;

pub use api_keys::{API_KEY_PREFIX, ApiKeyState, NewApiKey};
pub use authorized::{Authorized, MayManage, MayPredict, MayRead, OfModel, Permission, RunPermit};
pub use caller::{Caller, CallerKind};
pub use clients::{Clients, hash_secret};
pub use generate::generate_secret;
pub use issuer::{IssuedToken, TokenIssuer};
pub use plan::PlanName;
pub use revocations::{Revocations, RevocationsError, RevokedBy, RevokedTokens, TooManyRevocations, Which};
pub use scope::{Action, Scope, ScopeError, Scopes};
pub use setup::Authentication;
pub use token_error::TokenError;
