//! The gRPC transport: the Open Inference Protocol's service, health and reflection.
//!
//! Its methods are routes of an `axum` router, in the layers that `transport` puts around those of REST too. What layers
//! answer as problems becomes a gRPC status in one place (`status`), as do the errors of methods.

mod answer;
mod body;
mod codec;
mod contents;
mod deadline;
mod documents;
mod health;
mod infer;
mod layers;
mod open_ended;
pub mod proto;
mod reflection;
mod render;
mod request;
mod routes;
mod service;
mod status;
mod stream;

pub use routes::router;
