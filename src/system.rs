//! The operating system: dates, memory, priorities, child processes and their sandbox.
//!
//! The only module with `unsafe` code: the few calls in [`code_pages`], [`mod@fork`], [`memory`] and [`priority`] for
//! which there is no safe form.

pub mod byte_budget;
pub mod clock;
pub mod code_pages;
pub mod date;
pub mod descriptors;
pub mod file_lock;
pub mod fork;
pub mod memory;
pub mod priority;
pub mod sandbox;
pub mod supervise;
