//! KServe's V1 protocol and TensorFlow Serving's REST API, which share paths and requests. Responses have the fields of
//! both, as clients ignore the fields that they do not know.
//!
//! A verb follows the last name of a path, as in `/v1/models/iris:predict`. The router matches whole segments only, so
//! `target` splits them.

mod describe;
mod models;
mod predict;
mod target;

use axum::{Router, routing::post};
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use crate::transport::TransportState;

use self::target::Target;
pub(super) use predict::rows_response;

/// Returns the routes of model status and metadata.
pub(super) fn routes() -> OpenApiRouter<TransportState> {
    OpenApiRouter::new()
        .routes(routes!(models::names))
        .routes(with_verbs(routes!(models::status)))
        .routes(with_verbs(routes!(models::version_status)))
        .routes(with_verbs(routes!(models::label_status)))
        .routes(routes!(models::metadata))
        .routes(routes!(models::version_metadata))
        .routes(routes!(models::label_metadata))
}

/// Marks routes whose last segment may end with a verb: the verb, not the route, decides which methods are allowed.
fn with_verbs(
    (schemas, paths, methods): UtoipaMethodRouter<TransportState>,
) -> UtoipaMethodRouter<TransportState> {
    (schemas, paths, methods.fallback(async |target: Target| target.other_method()))
}

/// Returns the routes that run models.
pub(super) fn inference() -> OpenApiRouter<TransportState> {
    let verbs = Router::new()
        .route("/v1/models/{model}", post(predict::act))
        .route("/v1/models/{model}/versions/{version}", post(predict::act))
        .route("/v1/models/{model}/labels/{label}", post(predict::act));
    OpenApiRouter::with_openapi(describe::Verbs::openapi()).merge(verbs.into())
}
