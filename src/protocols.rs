//! The protocols: a folder or a file for each, with its routes, wire format, error form and open paths, and one list.
//!
//! To add a protocol, write its module here, implement `Protocol` and add it to `PROTOCOLS`.

mod console;
mod docs;
mod fast_path;
mod invocations;
mod mcp;
mod mlflow;
mod model_example;
pub mod native;
pub mod open_inference;
mod routes;
mod sagemaker;
mod service;
mod tensorflow;
mod vertex;

use crate::{
    config::Settings,
    edge::{OpenPaths, Protocol, Protocols},
};

pub use docs::{OfflineModel, openapi_of};
pub use fast_path::has_fast_head;
pub use routes::openapi;
pub use service::{HttpService, SharedService};

/// Every protocol. A request that none of them claims is of the native one.
static PROTOCOLS: Protocols = Protocols::new(&native::Native, OTHERS);

const OTHERS: &[&dyn Protocol] = &[
    &mcp::Mcp,
    &open_inference::OpenInference,
    &tensorflow::TensorFlow,
    &invocations::Invocations,
    &sagemaker::SageMaker,
    &vertex::Vertex,
];

/// Every protocol but MCP, the first of the others.
static WITHOUT_MCP: Protocols = Protocols::new(
    &native::Native,
    match OTHERS.split_first() {
        Some((_, others)) => others,
        None => OTHERS,
    },
);

/// Returns the protocols that claim requests. While MCP is off, its path is one that does not exist.
fn claimants(settings: &Settings) -> Protocols {
    if settings.mcp.enabled { PROTOCOLS } else { WITHOUT_MCP }
}

/// Returns the paths that need no token.
#[must_use]
pub fn open_paths() -> OpenPaths {
    PROTOCOLS.iter().flat_map(Protocol::open_paths).copied().collect()
}
