//! Serves ONNX models behind a secure, fast API.
//!
//! The modules from the outside in; each uses only those below it:
//!
//! - [`cli`] parses the command line, [`server`] assembles the gateway and runs it
//! - [`scoring`] scores the rows of a file, with a model or through a running gateway
//! - [`protocols`] has a folder or a file for each protocol: routes, wire format and form of errors
//! - [`edge`] is what every request passes: authentication, quotas, layers, errors
//! - [`limits`] bounds the requests of each caller
//! - [`serving`] is the interface for protocols: predict, metadata, readiness
//! - [`lifecycle`] takes files from the repository into service and out of it
//! - [`runtime`] runs models with ONNX Runtime
//! - [`auth`] identifies callers and proves what they may do
//! - [`codec`] is the part of the wire formats that protocols share
//! - [`outbound`] sends requests to servers that settings or arguments name
//! - [`tls`] encrypts connections and identifies clients by certificate
//! - [`model`], [`config`], [`system`] and [`telemetry`] are used by all of them

pub mod cli;
pub mod scoring;
pub mod server;

pub mod protocols;

pub mod edge;

pub mod serving;

pub mod lifecycle;

pub mod runtime;

pub mod limits;

pub mod auth;

pub mod codec;
pub mod config;
pub mod model;
pub mod outbound;
pub mod system;
pub mod telemetry;
pub mod tls;
