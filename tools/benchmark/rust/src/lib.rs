//! Shared parts of the programs of the benchmark.

pub mod bodies;
pub mod processor_time;
pub mod sessions;
pub mod tally;
