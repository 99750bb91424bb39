//! The operating system: memory, child processes and what they may do.
//!
//! The only module with `unsafe` code, and that in one line of [`memory`].

pub mod memory;
pub mod sandbox;
pub mod supervise;
