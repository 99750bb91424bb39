//! The API description (OpenAPI 3.1) and its viewer, which needs no network.

mod document;
mod errors;
mod identifiers;
mod model_documents;
mod offline;
mod template;

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{
        ApiKey, ApiKeyValue, ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes,
        SecurityScheme,
    },
};
use utoipa_swagger_ui::SwaggerUi;

pub use self::offline::{OfflineModel, openapi_of};
use self::{errors::completed, model_documents::ModelDocuments};
use super::{
    PROTOCOLS,
    native::json::{PredictAnswer, RowAnswer},
    open_inference::rest::InferResponseDocument,
};
use crate::{
    codec::ValueDocument,
    config::Settings,
    edge::{API_KEY, ApiError, EdgeState, MaybeCaller, RouteSet, Routes},
};

/// Policy for the viewer: it has its own scripts and styles, and writes styles into the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The script that starts the viewer with the description, and again once there is a token.
const INITIALIZER: &str = include_str!("docs/swagger-initializer.js");

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
        let api_key = ApiKeyValue::new(API_KEY.as_str());
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key)));
        components.add_security_scheme("client", SecurityScheme::OAuth2(OAuth2::new([grant])));
    }
}

/// Returns the API description of all documented routes.
pub(super) fn description(settings: &Settings) -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    for protocol in PROTOCOLS.iter() {
        let Routes { words, rows, tensors, management, probes, .. } = protocol.routes(settings);
        let management = if settings.management_is_public() { management } else { RouteSet::new() };
        for routes in [words, rows, tensors, management, probes] {
            description.merge(routes.into_openapi());
        }
    }
    completed(description)
}

/// Returns the routes `/openapi.json` and `/docs`.
pub(super) fn router(description: utoipa::openapi::OpenApi) -> RouteSet {
    let documents = ModelDocuments::new(description);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    RouteSet::new()
        .of_library(SwaggerUi::new("/docs").into(), &["/docs", "/docs/", "/docs/{*rest}"])
        .route("GET", "/docs/swagger-initializer.js", get(initializer))
        .layer(map_response(below_a_prefix))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy))
        .route("GET", "/openapi.json", get(openapi_json))
        .layer(Extension(documents))
}

/// Returns the description of the API. Callers with a token get one with the models that they may read, each with its
/// own schemas; without a token it says nothing of models.
async fn openapi_json(
    State(state): State<EdgeState>,
    Extension(documents): Extension<Arc<ModelDocuments>>,
    MaybeCaller(caller): MaybeCaller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some(caller) = caller else { return Ok(documents.generic().response(&headers, true)) };
    let mut response = documents.of(&state, &caller).await?.response(&headers, false);
    // For the access log, which is an outer layer.
    response.extensions_mut().insert(caller);
    Ok(response)
}

/// Returns the script that starts the viewer, in place of the one that comes with it.
async fn initializer() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript")], INITIALIZER).into_response()
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
