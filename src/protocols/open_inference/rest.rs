//! The Open Inference Protocol (v2) over REST, with the extensions that `EXTENSIONS` lists.

mod infer;
mod model_schema;
mod models;
mod repository;
mod schema;
mod server;
mod statistics;

pub(in crate::protocols) use schema::InferResponseDocument;

use axum::routing::get;
pub(in crate::protocols) use infer::{JSON_LENGTH, infer_body, infer_response, json_length};
use utoipa_axum::routes;

use crate::{
    codec::json_schema::SchemaPlace,
    edge::{DescribedModel, ModelDescription, OperationPaths, OperationSchemas, RouteSet},
};

/// Returns the routes of metadata.
pub(super) fn routes() -> RouteSet {
    RouteSet::new()
        .routes(routes!(server::metadata))
        .routes(routes!(models::names))
        .routes(routes!(models::metadata))
        .routes(routes!(models::version_metadata))
        .routes(routes!(models::ready))
        .routes(routes!(models::version_ready))
        .routes(routes!(models::config))
        .routes(routes!(models::version_config))
        .routes(routes!(statistics::all))
        .routes(routes!(statistics::model))
        .routes(routes!(statistics::version))
        // The specification has both spellings.
        .route("GET", "/v2/", get(server::metadata))
}

/// Returns the routes of the model repository.
pub(super) fn management() -> RouteSet {
    RouteSet::new()
        .routes(routes!(repository::index))
        .routes(routes!(repository::load))
        .routes(routes!(repository::unload))
}

/// Returns the routes that run models, with bodies of any encoding.
pub(super) fn inference() -> RouteSet {
    RouteSet::new().routes(routes!(infer::infer)).routes(routes!(infer::version_infer))
}

/// Returns the routes that orchestrators probe.
pub(super) fn probes() -> RouteSet {
    RouteSet::new().routes(routes!(server::live)).routes(routes!(server::ready))
}

/// Describes inference with one model. A model whose inputs the protocol cannot carry has no operations.
pub(super) fn describe(model: DescribedModel<'_>, place: SchemaPlace<'_>) -> ModelDescription {
    if model.model.signature.inputs.iter().any(|spec| spec.as_tensor().is_none()) {
        return ModelDescription::default();
    }
    // Not every sequence or map can be carried.
    let has_tensors = model.model.signature.outputs.iter().all(|spec| spec.as_tensor().is_some());
    let infer = OperationSchemas {
        action: "infer",
        request: model_schema::REQUEST,
        response: model_schema::RESPONSE,
        example: model.example.filter(|_| has_tensors).map(|example| example.tensors.clone()),
    };
    let paths = OperationPaths { of_model: Some("/v2/models/{model}/infer"), of_default: None };
    ModelDescription {
        operations: infer.at(paths, model, place),
        schemas: model_schema::schemas(model.name.as_str(), model.model),
    }
}
