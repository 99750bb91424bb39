//! Serves ONNX models behind a secure, fast API.
//!
//! The modules from the outside in; each uses only those below it:
//!
//! - [`cli`] parses the command line, [`server`] assembles the gateway and runs it
//! - [`scoring`] scores the rows of a file, with a model or through a running gateway
//! - [`rest`] is the transport over HTTP and JSON, [`grpc`] the one over gRPC; [`transport`] is the part that they
//!   share
//! - [`limits`] bounds the requests of each caller
//! - [`serving`] is the interface for transports: predict, metadata, readiness
//! - [`lifecycle`] takes files from the repository into service and out of it
//! - [`runtime`] runs models with ONNX Runtime
//! - [`auth`] identifies callers and proves what they may do
//! - [`wire`] reads and writes requests and responses as JSON and bytes
//! - [`model`], [`config`], [`system`] and [`telemetry`] are used by all of them

pub mod cli;
pub mod scoring;
pub mod server;

pub mod grpc;
pub mod rest;
pub mod transport;

pub mod limits;

pub mod serving;

pub mod lifecycle;

pub mod runtime;

pub mod auth;

pub mod config;
pub mod model;
pub mod system;
pub mod telemetry;
pub mod wire;
