//! The operations of the protocol, shared by REST and gRPC.

mod infer;
mod models;
mod repository;

pub(super) use infer::{infer, outputs};
pub(super) use models::{all_statistics, config, metadata, statistics};
pub(super) use repository::{Indexed, index, load, unload};
