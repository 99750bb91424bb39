//! The HTTP transport: routes, middleware, extractors, wire formats, and errors as answers.
//!
//! Everything that a handler or a layer answers with an error goes through `problem::Problem`; what the framework
//! answers by itself is rewritten by `render`.

mod authenticate;
mod deployments;
mod docs;
mod error;
mod header_rules;
mod health;
mod json_body;
mod layers;
mod metrics;
mod models;
mod open_paths;
mod permit;
mod predict;
mod problem;
mod rate_limit;
mod render;
mod repository;
mod request_id;
mod routes;
mod state;
mod token;

pub use docs::openapi;
pub use open_paths::{OPEN_PATHS, is_open};
pub use rate_limit::AddressLimit;
pub use routes::{admin_router, public_router};
pub use state::{Clock, Peer, RestState};
