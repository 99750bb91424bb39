//! Vertex AI, which sets its paths in the environment ("Custom container requirements for prediction").
//!
//! These paths are arbitrary and often collide with native ones, such as `/health` and `/predict`. They are therefore
//! matched first, and all other requests pass on unchanged.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower::ServiceExt;

use super::{
    dialect::Dialect,
    invocations,
    json_body::read,
    layers,
    run_inputs::{model_of, read_and_drop, refuse_rows},
    tensorflow::rows_response,
};
use crate::{
    auth::Caller,
    config::{DialectName, DialectSettings, Settings},
    transport::{
        AddressLimit, ApiError, MayPredict, Permit, TransportState, authorized, authorized_by_platform,
    },
    wire::{
        FieldError,
        tensorflow::{TensorFlowRequest, read_request},
    },
};

/// Returns the path of predictions; `None` if Vertex AI is off or has not set one.
pub(super) fn predict_route(dialects: &DialectSettings) -> Option<&str> {
    dialects.vertex_predict_route.as_deref().filter(|_| dialects.vertex)
}

/// Mounts the routes of Vertex AI in front of all others, if there are any.
pub(super) fn mount_before(
    others: Router,
    state: TransportState,
    settings: &Settings,
    address_limit: Option<&AddressLimit>,
) -> Router {
    let Settings { server, dialects, .. } = settings;
    let mut routes = Router::new();
    let mut probes = Router::new();
    if let Some(route) = predict_route(dialects) {
        routes = routes.route(route, post(predict));
    }
    if let Some(route) = dialects.vertex_health_route.as_deref().filter(|_| dialects.vertex) {
        probes = probes.route(route, get(invocations::ping));
    }
    if !routes.has_routes() && !probes.has_routes() {
        return others;
    }
    let routes = layers::large(routes, &state, server);
    let routes = if dialects.authenticates(DialectName::Vertex) {
        authorized_by_platform(routes, address_limit)
    } else {
        authorized(routes, &state, address_limit)
    };
    let passed_on = move |request: Request<Body>| {
        let others = others.clone();
        async move { others.oneshot(request).await.into_response() }
    };
    layers::public(routes.merge(probes), &state, server, |_, _| Dialect::Vertex)
        .with_state(state)
        .method_not_allowed_fallback(passed_on.clone())
        .fallback(passed_on)
}

/// Predicts with the default model.
async fn predict(
    State(state): State<TransportState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let permit = Permit::<MayPredict>::check(&state, &caller, None, None)?.charged_to(request.extensions());
    let servable = state.serving.permitted_servable(&permit.model, None)?;
    let body = read(request.into_body()).await?;
    permit.context.reserve_elements(&servable.signature, &body).await?;
    refuse_rows(&servable, &body)?;
    match read_and_drop(body, |body| read_request(body, model_of(&servable)))? {
        TensorFlowRequest::Rows(rows) => {
            rows_response(&state, servable, rows, Some("/instances"), permit.context).await
        }
        TensorFlowRequest::Columns(_) => {
            let message = "expected `instances`, a list of rows: Vertex AI has no other form";
            Err(ApiError::InvalidBody(vec![FieldError::new("/inputs", "wrong_form", message)]))
        }
    }
}
