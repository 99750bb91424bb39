//! The verbs of the path: predict, classify, regress.

use axum::{
    body::Bytes,
    extract::{Request, State},
    response::Response,
};
use serde::Serialize;

use super::{
    run_inputs::{ListOfRows, model_of, read_and_drop, refuse_rows, run, run_rows},
    target::{Target, Verb},
    wire::{
        Columns, Instances, NoResult, NotPredictions, Predictions, TensorFlowRequest, classes, numbers,
        read_examples, read_request,
    },
};
use crate::{
    auth::Caller,
    edge::{
        ApiError, EdgeState, MayPredict,
        rest::{body::read, response::json_response},
    },
    serving::{PermittedServable, Prediction, RequestContext, Servable},
};

impl From<NotPredictions> for ApiError {
    fn from(error: NotPredictions) -> Self {
        Self::OutputNotCarried(error.to_string())
    }
}

impl From<NoResult> for ApiError {
    fn from(error: NoResult) -> Self {
        Self::OutputNotCarried(error.to_string())
    }
}

/// The response by row.
#[derive(Serialize)]
struct ByRow<'p> {
    predictions: Predictions<'p>,
}

/// The response by output.
#[derive(Serialize)]
struct ByOutput<'p> {
    outputs: Columns<'p>,
}

/// The response to examples.
#[derive(Serialize)]
struct Results<R> {
    result: Vec<R>,
}

/// Runs the verb of the path. Bodies are read as JSON whatever their declared type: TensorFlow Serving's documentation
/// has requests that are declared as forms.
pub(super) async fn act(
    State(state): State<EdgeState>,
    caller: Caller,
    target: Target,
    request: Request,
) -> Result<Response, ApiError> {
    let Some(verb) = target.verb()? else {
        return target.other_method();
    };
    let permit = target.permit::<MayPredict>(&state, &caller)?.charged_to(request.extensions());
    let servable = state.serving.permitted_servable(&permit.model, permit.version.as_ref())?;
    let body = read(request.into_body()).await?;
    if verb == Verb::Predict {
        return predict_body(&state, servable, body, permit.context).await;
    }
    permit.context.reserve_elements(&servable.signature, &body).await?;
    refuse_rows(&servable, &body)?;
    let model = model_of(&servable);
    let Instances { given, count } = read_and_drop(body, |body| read_examples(body, model))?;
    let prediction = run_rows(&state, servable, (given, count), Some("/examples"), permit.context).await?;
    let Prediction { servable, layout, outputs } = prediction;
    if verb == Verb::Classify {
        json_response(&servable, &Results { result: classes(&outputs, &layout, &servable.contract)? })
    } else {
        json_response(&servable, &Results { result: numbers(&outputs, &layout)? })
    }
}

/// Responds to a body of the verb `predict`.
pub(in crate::protocols) async fn predict_body(
    state: &EdgeState,
    servable: PermittedServable,
    body: Bytes,
    context: RequestContext,
) -> Result<Response, ApiError> {
    context.reserve_elements(&servable.signature, &body).await?;
    refuse_rows(&servable, &body)?;
    let model = model_of(&servable);
    match read_and_drop(body, |body| read_request(body, model))? {
        TensorFlowRequest::Rows(rows) => {
            rows_response(state, servable, rows, Some("/instances"), context).await
        }
        TensorFlowRequest::Columns(given) => {
            let inference = run(state, servable, given, None, context).await?;
            let (signature, values) = (&inference.servable.signature, inference.outputs.as_slice());
            json_response(&inference.servable, &ByOutput { outputs: Columns { signature, values } })
        }
    }
}

/// Runs a version on rows and responds row by row.
pub(in crate::protocols) async fn rows_response(
    state: &EdgeState,
    servable: PermittedServable,
    rows: Instances,
    list: ListOfRows,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let inference = run(state, servable, rows.given, list, context).await?;
    let Servable { signature, constants, .. } = &*inference.servable;
    let predictions = Predictions::new(rows.count, signature, constants, &inference.outputs)?;
    json_response(&inference.servable, &ByRow { predictions })
}
