//! Calls of tools: predictions from one row, or from tensors, read by the readers of the native API.

use std::{sync::Arc, time::Instant};

use axum::body::Bytes;
use serde::{Deserialize, Deserializer, de::DeserializeSeed};

use super::tool::Arguments;
use crate::{
    codec::{BodyError, RowBase, TensorsResponse, body::parse_seed},
    edge::{ApiError, EdgeState, MayPredict, Permit},
    model::{Contract, Layout, Row, Rows, RowsReader},
    protocols::{
        native::json::{PredictRequest, RequestInputs},
        tensorflow::run_inputs::model_of,
    },
    serving::Servable,
    system::{
        byte_budget::{ByteCharge, count},
        memory::trim_heap_later,
    },
};

/// Copies of the outputs as text while the response is written: as text in a text, which needs escapes, and as they are.
const TEXTS: u64 = 3;

/// Longest outputs whose copies are not charged.
const SMALL_OUTPUT_BYTES: usize = 16 * 1024;

/// The outputs of a call.
#[derive(Debug)]
pub(super) struct Called {
    /// The version that ran.
    pub(super) servable: Arc<Servable>,
    /// The body of the native response.
    pub(super) output: Vec<u8>,
}

/// Predicts with the model of the permit. Absent arguments are an empty text.
pub(super) async fn call(
    state: &EdgeState,
    permit: Permit<MayPredict>,
    arguments: Bytes,
) -> Result<Called, ApiError> {
    let charge = permit.context.charge.clone();
    let called = run(state, permit, if arguments.is_empty() { Bytes::from_static(b"{}") } else { arguments });
    let called = called.await?;
    reserve_texts(charge, called.output.len()).await?;
    Ok(called)
}

/// Charges the texts in the response, which the estimate for the run does not include.
async fn reserve_texts(charge: Option<ByteCharge>, output: usize) -> Result<(), ApiError> {
    match charge {
        Some(charge) if output > SMALL_OUTPUT_BYTES => {
            Ok(charge.grow(count(output).saturating_mul(TEXTS)).await?)
        }
        _ => Ok(()),
    }
}

async fn run(state: &EdgeState, permit: Permit<MayPredict>, arguments: Bytes) -> Result<Called, ApiError> {
    let begin = Instant::now();
    let Permit { model, version, context } = permit;
    let servable = state.serving.permitted_servable(&model, version.as_ref())?;
    context.reserve_elements(&servable.signature, &arguments).await?;
    let read = read(&servable, &arguments)?;
    match read {
        RequestInputs::Rows(rows, base) => {
            // The tensors hold its contents now.
            drop(arguments);
            let prediction = state.serving.predict(servable, rows, context, begin).await;
            let prediction = prediction.map_err(|error| ApiError::about_rows(error, base))?;
            let output = prediction.write(false)?;
            Ok(Called { servable: prediction.servable, output })
        }
        RequestInputs::Inputs(documents) => {
            let run = state.serving.infer_documents(servable, &documents, context);
            drop(documents);
            drop(arguments);
            let inference = run.await?;
            let Servable { name, version, signature, .. } = &*inference.servable;
            let (model, version, outputs) = (name.as_str(), *version, inference.outputs.as_slice());
            let response = TensorsResponse { model, version, signature, outputs };
            let output = serde_json::to_vec(&response).map_err(|_| ApiError::ResponseNotWritten)?;
            trim_heap_later(output.len());
            Ok(Called { servable: inference.servable, output })
        }
    }
}

/// Reads arguments in the only form that the tool of this version takes.
fn read<'b>(servable: &Servable, arguments: &'b [u8]) -> Result<RequestInputs<'b, Rows>, BodyError> {
    let model = model_of(servable);
    let layout = match Arguments::of(model) {
        Arguments::Features(layout) => {
            let rows = parse_seed(arguments, OneRow { layout, contract: model.contract })?;
            return Ok(RequestInputs::Rows(rows, RowBase::Body));
        }
        Arguments::Values(layout) => Some(layout),
        Arguments::Tensors => None,
    };
    let inputs = PredictRequest::read(arguments, layout.map(|layout| (layout, model.contract)))?.asked();
    match &inputs {
        RequestInputs::Rows(_, base) if layout.is_some() && *base != RowBase::Features => Err(no_row()),
        RequestInputs::Inputs(_) if layout.is_some() => Err(no_row()),
        _ => Ok(inputs),
    }
}

fn no_row() -> BodyError {
    BodyError::invalid(
        "/features",
        "missing",
        "expected one row: a list of values in the order of the columns",
    )
}

/// Seed that reads the arguments as one row, by feature name.
struct OneRow<'m> {
    layout: &'m Layout,
    contract: &'m Contract,
}

impl<'de> DeserializeSeed<'de> for OneRow<'_> {
    type Value = Rows;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows, D::Error> {
        let mut reader = RowsReader::new(Some(self.layout), self.contract);
        reader.push(Row::deserialize(deserializer)?);
        Ok(reader.finish())
    }
}
