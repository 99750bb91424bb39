//! Vertex AI, which sets its paths in the environment ("Custom container requirements for prediction").
//!
//! These paths are arbitrary and often collide with native ones, such as `/health` and `/predict`. They are therefore
//! matched first, and all other requests pass on unchanged.

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
    routing::{get, post},
};

use super::{
    invocations,
    tensorflow::{
        rows_response,
        run_inputs::{model_of, read_and_drop, refuse_rows},
        wire::{TensorFlowRequest, read_request},
    },
};
use crate::{
    auth::Caller,
    codec::FieldError,
    config::{DialectName, DialectSettings, Settings},
    edge::{ApiError, EdgeState, MayPredict, Permit, Protocol, Routes, rest::body::read},
};

/// Vertex AI.
#[derive(Debug)]
pub(super) struct Vertex;

impl Protocol for Vertex {
    fn claims(&self, _: &Method, _: &str) -> bool {
        // It has only the paths that the operator chose, which are matched before any claim.
        false
    }

    fn chosen_paths<'s>(&self, settings: &'s Settings) -> Vec<&'s str> {
        let DialectSettings { vertex, vertex_predict_route, vertex_health_route, .. } = &settings.dialects;
        let routes = [vertex_predict_route, vertex_health_route].into_iter().filter(|_| *vertex);
        routes.filter_map(Option::as_deref).collect()
    }

    fn routes(&self, settings: &Settings) -> Routes {
        let dialects = &settings.dialects;
        let mut routes = Routes {
            platform_authenticates: dialects.authenticates(DialectName::Vertex),
            ..Routes::default()
        };
        if !dialects.vertex {
            return routes;
        }
        if let Some(route) = &dialects.vertex_predict_route {
            routes.tensors = routes.tensors.route("POST", route, post(predict));
        }
        if let Some(route) = &dialects.vertex_health_route {
            routes.probes = routes.probes.route("GET", route, get(invocations::ping));
        }
        routes
    }
}

/// Predicts with the default model.
async fn predict(
    State(state): State<EdgeState>,
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
