//! The operating system: memory, priorities, child processes and what they may do.
//!
//! The only module with `unsafe` code, and that in one line of [`memory`].

pub mod memory;
pub mod priority;
pub mod sandbox;
pub mod supervise;
