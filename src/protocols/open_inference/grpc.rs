//! The Open Inference Protocol over gRPC: its service, health and reflection.
//!
//! The methods are routes of an `axum` router, in the same layers of the edge as REST.

mod body;
mod contents;
mod documents;
mod fast_path;
mod health;
mod infer;
mod layers;
pub mod proto;
mod reflection;
mod request;
mod response;
mod routes;
mod service;
mod stream;

pub(in crate::protocols) use fast_path::{CallPath, FastPath};
pub(in crate::protocols) use routes::router;
