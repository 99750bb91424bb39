//! The API description (OpenAPI 3.1) and its viewer, which needs no network.

mod errors;

use axum::{
    Json, Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{
        ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::errors::completed;
use super::{
    PROTOCOLS,
    native::json::{PredictAnswer, RowAnswer},
    open_inference::rest::InferResponseDocument,
};
use crate::{
    codec::ValueDocument,
    config::Settings,
    edge::{EdgeState, Routes},
};

/// Policy for the viewer: it has its own scripts and styles, and writes styles into the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "onnx-gateway",
        description = "Predictions with ONNX models. Get a token at `/token`, then call `/predict`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "predict", description = "Predictions"),
        (name = "token", description = "Access tokens"),
        (name = "models", description = "Models and their metadata"),
        (name = "deployments", description = "Deployment history and rollback"),
        (name = "open inference", description = "Predictions and metadata by the Open Inference Protocol (v2)"),
        (name = "repository", description = "Model repository of the Open Inference Protocol"),
        (name = "tensorflow", description = "KServe V1 and TensorFlow Serving"),
        (name = "platforms", description = "MLflow and SageMaker"),
        (name = "health", description = "Health probes, open to all clients"),
    ),
    // A derive names these and does not collect them.
    components(schemas(PredictAnswer, RowAnswer, ValueDocument, InferResponseDocument)),
    // Relative to the description, since a proxy in front may serve both below a prefix.
    servers((url = ".")),
    modifiers(&Security),
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter([
            ("predict", "Predict with models"),
            ("read", "Read model metadata"),
            ("manage", "Load, unload and roll back models"),
        ]);
        let grant = Flow::ClientCredentials(ClientCredentials::new("/token", scopes));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("client", SecurityScheme::OAuth2(OAuth2::new([grant])));
    }
}

/// Returns the API description of all documented routes.
pub(super) fn description(settings: &Settings) -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    for protocol in PROTOCOLS.iter() {
        let Routes { words, rows, tensors, probes, .. } = protocol.routes(settings);
        for routes in [words, rows, tensors, probes] {
            description.merge(routes.into_openapi());
        }
    }
    completed(description)
}

/// Returns the routes `/openapi.json` and `/docs`.
#[expect(clippy::expect_used, reason = "the description is fixed, and a test reads it")]
pub(super) fn router(description: utoipa::openapi::OpenApi) -> Router<EdgeState> {
    let description = serde_json::to_value(description).expect("the description is JSON");
    let config = Config::new(["../openapi.json"]).validator_url("none").persist_authorization(false);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    Router::new()
        .merge(SwaggerUi::new("/docs").config(config))
        .layer(map_response(below_a_prefix))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy))
        .route("/openapi.json", get(move || async move { Json(description.clone()).into_response() }))
}

/// Makes a redirect relative, since a proxy in front may serve the gateway below a prefix.
async fn below_a_prefix(mut response: Response) -> Response {
    if let Some(location) = response.headers_mut().get_mut(header::LOCATION)
        && let Some(relative) = location.to_str().ok().and_then(|path| path.strip_prefix('/'))
        && let Ok(relative) = HeaderValue::from_str(relative)
    {
        *location = relative;
    }
    response
}
