//! REST transport: routes, middleware, extractors, wire formats, and errors as responses.
//!
//! Every error of a handler or a layer goes through `transport`'s `Problem`. Errors that the framework produces by
//! itself are rewritten by `render`.

mod answer;
mod decoding;
mod deployments;
mod dialect;
mod docs;
mod fast_path;
mod header_rules;
mod health;
mod invocations;
mod json_body;
mod layers;
mod metrics;
mod models;
mod open_inference;
mod parts;
mod predict;
mod render;
mod routes;
mod run_inputs;
mod sagemaker;
mod service;
mod target_model;
mod tensorflow;
mod token;
mod undrained_body;
mod vertex;

pub use header_rules::TwoLengths;
pub use routes::{admin_router, openapi};
pub use service::{HttpService, SharedService};
