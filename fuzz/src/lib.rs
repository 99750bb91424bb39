//! Targets of fuzzing: each reads bytes as a stranger could send them, and checks what came of it.
//!
//! A target panics if the reader breaks its promise: it accepts what it must refuse, or reads the same bytes in two ways.

pub mod claims;
pub mod head;
pub mod onnx_file;
pub mod rows;
pub mod tensors;
pub mod token;

/// A target: its name, its function and its seeds, from which other inputs are made.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All targets. Each also has a program in `fuzz_targets`.
pub const TARGETS: [Target; 6] = [
    ("token", token::run, token::seeds),
    ("claims", claims::run, claims::seeds),
    ("rows", rows::run, rows::seeds),
    ("tensors", tensors::run, tensors::seeds),
    ("onnx_file", onnx_file::run, onnx_file::seeds),
    ("head", head::run, head::seeds),
];
