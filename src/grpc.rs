//! The gRPC transport: the Open Inference Protocol's service, health and reflection.
//!
//! The methods are routes of an `axum` router, in the same layers of `transport` as REST. Errors of layers and methods
//! become gRPC statuses in one place (`status`).

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
