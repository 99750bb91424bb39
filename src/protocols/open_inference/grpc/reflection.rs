//! Server reflection, available without a token like `/openapi.json` (`grpc.reflection.v1`, and its predecessor
//! `v1alpha` for older clients).

use tonic_reflection::server::Builder;

use super::proto::DESCRIPTION;
use crate::edge::RouteSet;

/// Largest request, which holds only a name.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// Returns the routes of both versions.
pub(super) fn routes() -> RouteSet {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = RouteSet::new();
    // The descriptors come from the build, and a test reads them; without them only reflection would be missing.
    match builder().build_v1() {
        Ok(v1) => routes = routes.calls(&[V1], &v1.max_decoding_message_size(MAX_MESSAGE_BYTES)),
        Err(error) => tracing::error!(%error, "failed to build the reflection service"),
    }
    match builder().build_v1alpha() {
        Ok(v1) => routes = routes.calls(&[V1_ALPHA], &v1.max_decoding_message_size(MAX_MESSAGE_BYTES)),
        Err(error) => tracing::error!(%error, "failed to build the reflection service"),
    }
    routes
}
