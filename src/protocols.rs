//! The protocols: a folder or a file for each, with its routes, wire format, error form and open paths, and one list.
//!
//! To add a protocol, write its module here, implement `Protocol` and add it to `PROTOCOLS`.

mod console;
mod docs;
mod fast_path;
mod invocations;
mod mlflow;
mod model_example;
pub mod native;
pub mod open_inference;
mod routes;
mod sagemaker;
mod service;
mod tensorflow;
mod vertex;

use crate::edge::{OpenPaths, Protocol, Protocols};

pub use docs::{OfflineModel, openapi_of};
pub use routes::{admin_router, openapi};
pub use service::{HttpService, SharedService};

/// Every protocol. A request that none of them claims is of the native one.
static PROTOCOLS: Protocols = Protocols::new(
    &native::Native,
    &[
        &open_inference::OpenInference,
        &tensorflow::TensorFlow,
        &invocations::Invocations,
        &sagemaker::SageMaker,
        &vertex::Vertex,
    ],
);

/// Returns the paths that need no token.
#[must_use]
pub fn open_paths() -> OpenPaths {
    PROTOCOLS.iter().flat_map(Protocol::open_paths).copied().collect()
}
