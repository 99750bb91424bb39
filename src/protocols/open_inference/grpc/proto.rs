//! The messages and the service trait that `build.rs` generates from `open_inference.proto`.
#![allow(clippy::allow_attributes, reason = "what generated code needs of these is its generator's matter")]
#![allow(clippy::pedantic, clippy::allow_attributes_without_reason, reason = "it is generated")]

include!(concat!(env!("OUT_DIR"), "/inference.rs"));

/// The file descriptor set, for reflection.
pub const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/open_inference.bin"));
