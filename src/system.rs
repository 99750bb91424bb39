//! The operating system: memory, priorities, child processes and what they may do.
//!
//! The only module with `unsafe` code: one call each in [`code`], [`mod@fork`], [`memory`] and [`priority`], for which there is no safe
//! form.

pub mod code;
pub mod fork;
pub mod memory;
pub mod priority;
pub mod sandbox;
pub mod supervise;
