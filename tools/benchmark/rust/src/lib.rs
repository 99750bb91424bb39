//! What the programs of the benchmark share.

pub mod bodies;
pub mod processor_time;
pub mod sessions;
pub mod tally;
