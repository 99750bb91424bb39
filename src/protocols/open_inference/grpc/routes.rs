//! Every method, on one page. Any other is UNIMPLEMENTED.

use axum::Router;
use tonic::codec::CompressionEncoding::{Deflate, Gzip, Zstd};
use tonic_health::pb::health_server::HealthServer;

use super::{
    body::SHORT_MESSAGE_BYTES, health::HealthService, layers,
    proto::grpc_inference_service_server::GrpcInferenceServiceServer, reflection, service::Service,
    stream::STREAM_INFER,
};
use crate::{
    config::{Management, ServerSettings},
    edge::{
        AddressLimit, ApiError, EdgeState, ListedRoute, MayManage, MayPredict, MayRead, RouteSet,
        served_by_admin,
    },
};

/// The method that every caller may use.
const METADATA: &str = "/inference.GRPCInferenceService/ServerMetadata";

/// Methods that describe models.
const READ: &[&str] = &[
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ModelConfig",
    "/inference.GRPCInferenceService/ModelStatistics",
];

/// Methods that change which models serve, or list the repository.
const MANAGE: &[&str] = &[
    "/inference.GRPCInferenceService/RepositoryIndex",
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
];

/// Methods that take tensors.
pub(super) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Methods for orchestrators and load balancers.
const PROBES: &[&str] =
    &["/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"];
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Returns the listener's methods in all their layers, and the list of them.
pub(in crate::protocols) fn router(
    state: EdgeState,
    settings: &ServerSettings,
    address_limit: Option<&AddressLimit>,
) -> (Router, Vec<ListedRoute>) {
    let mut listed = Vec::new();
    let mut list = |methods: RouteSet| methods.listed_in(&mut listed);
    let service = Service { state: state.clone(), address_limit: address_limit.cloned() };
    let limited = |max_bytes: u64| {
        GrpcInferenceServiceServer::new(service.clone())
            .max_decoding_message_size(usize::try_from(max_bytes).unwrap_or(usize::MAX))
            .accept_compressed(Deflate)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Deflate)
            .send_compressed(Gzip)
            .send_compressed(Zstd)
    };
    let short_bytes = settings.max_body_bytes.min(SHORT_MESSAGE_BYTES);
    let small = limited(short_bytes);
    let large_bytes = settings.max_tensor_body_bytes;
    let large = limited(large_bytes);
    let health = HealthServer::new(HealthService { state: state.clone() })
        .max_decoding_message_size(usize::try_from(short_bytes).unwrap_or(usize::MAX));

    let infer = layers::permitted::<MayPredict>(list(RouteSet::new().calls(&[INFER], &large)));
    let management = layers::permitted::<MayManage>(list(RouteSet::new().calls(MANAGE, &small)));
    let short = layers::permitted::<MayRead>(list(RouteSet::new().calls(READ, &small)))
        .merge(served_by_admin(management, settings.management == Management::Admin))
        .merge(list(RouteSet::new().calls(&[METADATA], &small)));
    // Available without a token, so calls are limited in time and size.
    let reflection = layers::unary(list(reflection::routes()), &state, settings, short_bytes);
    let watched = list(RouteSet::new().calls(&[HEALTH_WATCH], &health));
    let open_ended = reflection.merge(layers::charged(watched, &state, short_bytes));
    let streamed = list(RouteSet::new().calls(&[STREAM_INFER], &large));
    let routes = layers::unary(infer, &state, settings, large_bytes)
        .merge(layers::unary(short, &state, settings, short_bytes))
        .merge(layers::charged(streamed, &state, large_bytes))
        .merge(layers::open_ended(open_ended))
        .fallback(|| async { ApiError::NoSuchMethod });
    let probes = list(RouteSet::new().calls(PROBES, &small).calls(&[HEALTH_CHECK], &health));
    let probes = layers::unary(probes, &state, settings, short_bytes);
    (layers::public(routes, probes, &state, settings, address_limit).with_state(state), listed)
}
