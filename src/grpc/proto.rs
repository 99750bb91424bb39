//! The messages of the protocol and the trait of its service, as `build.rs` makes them of `open_inference.proto`.
#![expect(clippy::pedantic, clippy::allow_attributes, reason = "it is generated")]

include!(concat!(env!("OUT_DIR"), "/inference.rs"));

/// The description of all this, for reflection.
pub const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/open_inference.bin"));
