//! The real binary under load while everything happens to its models: swaps, files that are broken or cost too much,
//! rollbacks, signals.
//!
//! Nothing here is judged by the clock. What was measured is written to `target/chaos.jsonl`, a row a scenario, where
//! `tools/chaos-swap` judges it; it also runs everything at full size (`CHAOS=full`), which is too long for every day.

mod bad_files;
mod external;
mod kills;
mod large;
mod load;
mod models;
mod refused;
mod rollback;
mod row;
mod server;
mod swaps;
