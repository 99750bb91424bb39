//! gRPC, whatever the service: codec, deadlines, and errors as statuses.
//!
//! Errors of layers and methods become statuses of gRPC in one place ([`status`]).

pub(crate) mod codec;
pub(crate) mod deadline;
pub(crate) mod open_ended;
pub(crate) mod render;
pub(crate) mod status;
