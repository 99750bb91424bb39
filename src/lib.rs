#![allow(missing_docs)]
pub mod model;
pub mod config;
pub mod telemetry;
pub mod runtime;
pub mod lifecycle;
pub mod serving;
pub mod auth;
