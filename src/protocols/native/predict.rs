//! Predictions.

use std::time::Instant;

use axum::{
    extract::{Request, State},
    response::Response,
};

use super::json::{PredictAnswer, PredictRequest, PredictRequestDocument, RequestInputs, read_numbers};
use crate::{
    codec::{RowBase, TensorsResponse},
    edge::{
        ApiError, EdgeState, MayPredict, Permit, ProblemDocument,
        rest::{
            body::read_json,
            response::{answer, json_response},
        },
    },
    serving::Servable,
};

/// Predict with the default model
///
/// The default model is the configured one, the only one, or `iris`.
#[utoipa::path(post, path = "/predict", tag = "predict", security(("bearer" = ["predict"])),
    request_body = PredictRequestDocument, responses(PredictResponses))]
pub(super) async fn predict_default(
    state: State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, ApiError> {
    predict(state, permit, request).await
}

/// Predict with the latest version
#[utoipa::path(post, path = "/models/{model}/predict", tag = "predict", security(("bearer" = ["predict"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    request_body = PredictRequestDocument, responses(PredictResponses))]
pub(super) async fn predict_model(
    state: State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, ApiError> {
    predict(state, permit, request).await
}

/// Predict with one version
#[utoipa::path(post, path = "/models/{model}/versions/{version}/predict", tag = "predict",
    security(("bearer" = ["predict"])),
    params(("model" = String, Path, description = "The model's name", example = "iris"),
        ("version" = String, Path, description = "A version that is in service", example = "1")),
    request_body = PredictRequestDocument, responses(PredictResponses))]
pub(super) async fn predict_version(
    state: State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, ApiError> {
    predict(state, permit, request).await
}

/// The responses that all predictions share.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
enum PredictResponses {
    /// The model's outputs; `x-model-version` and `x-model-digest` name the version
    #[response(status = 200)]
    Ok(PredictAnswer),
    /// The body is not JSON, or the request breaks a rule of HTTP
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDocument),
    /// The token is missing or not valid
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDocument),
    /// The token lacks the scope `predict`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDocument),
    /// There is no such model or version
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDocument),
    /// The body did not arrive in time
    #[response(status = 408, content_type = "application/problem+json")]
    RequestTimeout(ProblemDocument),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    PayloadTooLarge(ProblemDocument),
    /// The body is not declared as JSON, or its encoding is neither gzip nor deflate
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(ProblemDocument),
    /// The rows or inputs are not what the model takes: `errors` lists everything that is wrong. Or the model refuses
    /// their values (`inputs_refused`) or has no number for them (`non_finite_output`), and would again
    #[response(status = 422, content_type = "application/problem+json")]
    UnprocessableEntity(ProblemDocument),
    /// A quota is used up; `Retry-After` says when to retry
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyRequests(ProblemDocument),
    /// The model failed
    #[response(status = 500, content_type = "application/problem+json")]
    InternalServerError(ProblemDocument),
    /// The model is not in service or is overloaded; `Retry-After` says when to retry
    #[response(status = 503, content_type = "application/problem+json")]
    ServiceUnavailable(ProblemDocument),
    /// The model did not finish in time
    #[response(status = 504, content_type = "application/problem+json")]
    GatewayTimeout(ProblemDocument),
}

async fn predict(
    State(state): State<EdgeState>,
    permit: Permit<MayPredict>,
    request: Request,
) -> Result<Response, ApiError> {
    let begin = Instant::now();
    let body = read_json(request).await?;
    let servable = state.serving.permitted_servable(&permit.model, permit.version.as_ref());
    if let Ok(servable) = &servable {
        permit.context.reserve_elements(&servable.signature, &body).await?;
        let read = servable.flat.as_ref().and_then(|flat| read_numbers(flat, &body));
        if let Some((input, rows)) = read {
            drop(body);
            permit.context.reserve_run(servable, rows.rows, input.data().bytes()).await?;
            let run = state.serving.predict_flat(servable, input, rows.rows, permit.context, begin);
            let predicted = run.await.and_then(|prediction| prediction.write(servable, rows.many));
            let base = RowBase::of(rows.many);
            return Ok(answer(servable, predicted.map_err(|error| ApiError::about_rows(error, base))?));
        }
    }
    let model = servable.as_ref().ok().and_then(|servable| {
        let layout = servable.layout_of_rows().ok()?;
        Some((&**layout, &servable.contract))
    });
    let request = PredictRequest::read(&body, model).map_err(|error| match &servable {
        Ok(servable) => {
            error.with_outline(&servable.signature, model.map(|(layout, _)| layout), &servable.contract)
        }
        Err(_) => error,
    })?;
    let servable = servable?;
    let context = permit.context;
    match request.asked() {
        RequestInputs::Rows(rows, base) => {
            // The tensors hold its contents now.
            drop(body);
            let prediction = state.serving.predict(servable, rows, context, begin).await;
            let prediction = prediction.map_err(|error| ApiError::about_rows(error, base))?;
            let body = prediction.write(base == RowBase::Instances)?;
            Ok(answer(&prediction.servable, body))
        }
        RequestInputs::Inputs(documents) => {
            let run = state.serving.infer_documents(servable, &documents, context);
            drop(documents);
            drop(body);
            let inference = run.await?;
            let Servable { name, version, signature, .. } = &*inference.servable;
            let (model, version, outputs) = (name.as_str(), *version, inference.outputs.as_slice());
            json_response(&inference.servable, &TensorsResponse { model, version, signature, outputs })
        }
    }
}
