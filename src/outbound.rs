//! Requests that this program sends itself, to addresses that settings or arguments name.

mod address;
mod client;
mod connection;
mod fetch;

pub use address::{Address, AddressError};
pub use client::{Client, ResponseBody, SendError, TimeLimits};
pub use connection::open;
pub use fetch::{FetchError, Fetched, SourceUrl, SourceUrlError, fetch};
