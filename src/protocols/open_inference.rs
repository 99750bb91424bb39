//! The Open Inference Protocol (v2) over REST and gRPC.

pub mod grpc;
mod operations;
pub(in crate::protocols) mod rest;
pub(in crate::protocols) mod wire;

use axum::http::Method;

pub use self::wire::{InferRequest, read_infer_request};

use crate::{
    codec::json_schema::SchemaPlace,
    config::Settings,
    edge::{DescribedModel, ModelDescription, Protocol, Routes, is_below},
};

/// The Open Inference Protocol.
#[derive(Debug)]
pub(super) struct OpenInference;

impl Protocol for OpenInference {
    fn claims(&self, _: &Method, path: &str) -> bool {
        is_below(path, "/v2")
    }

    fn open_paths(&self) -> &'static [&'static str] {
        &[
            "/v2/health/live",
            "/v2/health/ready",
            "/inference.GRPCInferenceService/ServerLive",
            "/inference.GRPCInferenceService/ServerReady",
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            // As open as `/openapi.json`: it describes the protocol, not the models.
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ]
    }

    fn routes(&self, _: &Settings) -> Routes {
        Routes {
            words: rest::routes(),
            management: rest::management(),
            tensors: rest::inference(),
            probes: rest::probes(),
            ..Routes::default()
        }
    }

    fn describe(&self, model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
        rest::describe(model, place)
    }
}
