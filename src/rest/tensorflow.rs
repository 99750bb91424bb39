//! KServe's V1 protocol and TensorFlow Serving's REST API, which have the same paths and requests: what one of them does
//! not know, its clients ignore.
//!
//! A verb stands behind the last name of a path, as in `/v1/models/iris:predict`. The router knows whole segments only, so
//! `target` takes them apart.

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
pub(super) use predict::answer_rows;

/// What tells of models.
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

/// The routes whose last segment may end with a verb: which methods there are depends on that, not on the route.
fn with_verbs(
    (schemas, paths, methods): UtoipaMethodRouter<TransportState>,
) -> UtoipaMethodRouter<TransportState> {
    (schemas, paths, methods.fallback(async |target: Target| target.other_method()))
}

/// What runs models.
pub(super) fn inference() -> OpenApiRouter<TransportState> {
    let verbs = Router::new()
        .route("/v1/models/{model}", post(predict::act))
        .route("/v1/models/{model}/versions/{version}", post(predict::act))
        .route("/v1/models/{model}/labels/{label}", post(predict::act));
    OpenApiRouter::with_openapi(describe::Verbs::openapi()).merge(verbs.into())
}
