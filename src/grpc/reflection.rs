//! What there is to be called, told to whoever asks, as `/openapi.json` is (`grpc.reflection.v1`, and its predecessor `v1alpha`,
//! which older clients know).

use axum::Router;
use tonic_reflection::server::Builder;

use super::proto::DESCRIPTION;
use crate::transport::TransportState;

/// A question is a name.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// The routes of both versions.
pub(super) fn routes() -> Router<TransportState> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Router::new();
    // The descriptions are those of the build, and a test reads them; without them, there would be nothing to tell.
    match builder().build_v1() {
        Ok(v1) => routes = routes.route_service(V1, v1.max_decoding_message_size(MAX_MESSAGE_BYTES)),
        Err(error) => tracing::error!(%error, "there is no reflection"),
    }
    match builder().build_v1alpha() {
        Ok(v1) => routes = routes.route_service(V1_ALPHA, v1.max_decoding_message_size(MAX_MESSAGE_BYTES)),
        Err(error) => tracing::error!(%error, "there is no reflection"),
    }
    routes
}
