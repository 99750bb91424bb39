//! KServe's V1 protocol and TensorFlow Serving's REST API, which share paths and requests. Responses have the fields of
//! both, as clients ignore the fields that they do not know.
//!
//! A verb follows the last name of a path, as in `/v1/models/iris:predict`. The router matches whole segments only, so
//! `target` splits them.

mod describe;
mod models;
mod predict;
pub(in crate::protocols) mod run_inputs;
pub(in crate::protocols) mod schema;
mod target;
pub(in crate::protocols) mod wire;

use axum::{http::Method, routing::post};
use utoipa::OpenApi;
use utoipa_axum::{router::UtoipaMethodRouter, routes};

use self::target::Target;
use crate::{
    codec::json_schema::SchemaPlace,
    config::{DialectName, Settings},
    edge::{
        DescribedModel, EdgeState, ModelDescription, OperationPaths, OperationSchemas, Protocol, RouteSet,
        Routes, is_below,
    },
};

pub(super) use predict::{predict_body, rows_response};

/// KServe's V1 protocol and TensorFlow Serving's REST API.
#[derive(Debug)]
pub(super) struct TensorFlow;

impl Protocol for TensorFlow {
    fn claims(&self, _: &Method, path: &str) -> bool {
        is_below(path, "/v1")
    }

    fn routes(&self, settings: &Settings) -> Routes {
        let dialects = &settings.dialects;
        if !dialects.kserve_v1 {
            return Routes::default();
        }
        Routes {
            words: routes(),
            tensors: inference(),
            platform_authenticates: dialects.authenticates(DialectName::KserveV1),
            ..Routes::default()
        }
    }

    fn describe(&self, model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
        if !schema::carries(model) {
            return ModelDescription::default();
        }
        let predict = OperationSchemas {
            action: "serving_predict",
            request: schema::REQUEST,
            response: schema::RESPONSE,
            example: schema::example(model),
        };
        let paths = OperationPaths { of_model: Some("/v1/models/{model}:predict"), of_default: None };
        ModelDescription {
            operations: predict.at(paths, model, place),
            schemas: schema::schemas(model.model, model.constants, place),
        }
    }
}

/// Returns the routes of model status and metadata.
fn routes() -> RouteSet {
    RouteSet::new()
        .routes(routes!(models::names))
        .routes(with_verbs(routes!(models::status)))
        .routes(with_verbs(routes!(models::version_status)))
        .routes(with_verbs(routes!(models::label_status)))
        .routes(routes!(models::metadata))
        .routes(routes!(models::version_metadata))
        .routes(routes!(models::label_metadata))
}

/// Marks routes whose last segment may end with a verb: the verb, not the route, decides which methods are allowed.
fn with_verbs((schemas, paths, methods): UtoipaMethodRouter<EdgeState>) -> UtoipaMethodRouter<EdgeState> {
    (schemas, paths, methods.fallback(async |target: Target| target.other_method()))
}

/// Returns the routes that run models.
fn inference() -> RouteSet {
    RouteSet::new()
        .route("POST", "/v1/models/{model}", post(predict::act))
        .route("POST", "/v1/models/{model}/versions/{version}", post(predict::act))
        .route("POST", "/v1/models/{model}/labels/{label}", post(predict::act))
        .described_by(describe::Verbs::openapi())
}
