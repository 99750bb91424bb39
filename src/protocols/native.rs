//! The native API: rows in and out by name, tokens, model metadata, deployments, health and metrics.

mod deployments;
mod events;
mod health;
pub mod json;
mod key_set;
mod metrics;
mod model_schema;
mod models;
mod predict;
mod protected_resource;
mod revoke;
mod schema;
mod token;

use axum::{
    http::{Method, StatusCode},
    routing::get,
};
use serde_json::Value;
use utoipa_axum::routes;

use crate::{
    codec::json_schema::SchemaPlace,
    config::Settings,
    edge::{
        DescribedModel, MEDIA_TYPE, ModelDescription, OperationPaths, OperationSchemas, Protocol, RouteSet,
        Routes,
    },
};

pub use json::prepare_rows;
pub(in crate::protocols) use schema::{row_response, tensors_response};

/// The native API.
#[derive(Debug)]
pub(super) struct Native;

impl Protocol for Native {
    fn claims(&self, _: &Method, _: &str) -> bool {
        // It is the protocol of every request that no other claims.
        false
    }

    fn open_paths(&self) -> &'static [&'static str] {
        &[
            "/",
            "/console/*",
            "/health",
            "/health/live",
            "/health/ready",
            "/token",
            // A form has the client's secret, JSON needs a token.
            "/revoke",
            "/.well-known/jwks.json",
            "/.well-known/oauth-protected-resource",
            "/openapi.json",
            "/docs",
            "/docs/*",
        ]
    }

    fn routes(&self, _: &Settings) -> Routes {
        Routes {
            words: token_routes()
                .routes(routes!(key_set::key_set))
                .routes(routes!(protected_resource::protected_resource))
                .routes(routes!(models::list))
                .routes(routes!(models::one))
                .routes(routes!(model_schema::schema))
                .routes(routes!(events::events))
                .routes(routes!(deployments::history)),
            management: RouteSet::new()
                .routes(routes!(deployments::rollback))
                .routes(routes!(revoke::revoke)),
            rows: RouteSet::new()
                .routes(routes!(predict::predict_default))
                .routes(routes!(predict::predict_model))
                .routes(routes!(predict::predict_version)),
            probes: RouteSet::new()
                .routes(routes!(health::health))
                .routes(routes!(health::live))
                .routes(routes!(health::ready)),
            ..Routes::default()
        }
    }

    fn describe(&self, model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
        let predict = OperationSchemas {
            action: "predict",
            request: schema::REQUEST,
            response: schema::RESPONSE,
            example: model.example.map(|example| example.native.clone()),
        };
        let paths =
            OperationPaths { of_model: Some("/models/{model}/predict"), of_default: Some("/predict") };
        ModelDescription {
            operations: predict.at(paths, model, place),
            schemas: schema::schemas(model.name.as_str(), model.model, place),
        }
    }

    fn error_document(&self, _: StatusCode, _: &str) -> Option<Value> {
        None
    }

    fn error_schema(&self) -> (&'static str, &'static str) {
        (MEDIA_TYPE, "ProblemDocument")
    }
}

/// Returns the routes by which clients get tokens.
pub(super) fn token_routes() -> RouteSet {
    RouteSet::new().routes(routes!(token::token))
}

/// Returns the routes of the operators' listener that need no token.
pub(super) fn admin_routes(has_metrics: bool) -> RouteSet {
    let probes = RouteSet::new()
        .route("GET", "/health", get(health::admin_health))
        .route("GET", "/health/live", get(health::live))
        .route("GET", "/health/ready", get(health::ready));
    if has_metrics { probes.route("GET", "/metrics", get(metrics::metrics)) } else { probes }
}
