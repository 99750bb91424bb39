//! Inference of the Open Inference Protocol, shared by REST and gRPC.

use std::{mem, time::Instant};

use crate::{
    edge::{ApiError, EdgeState},
    protocols::open_inference::wire::{
        InferRequest, OutputError, OutputTensor, check_requested, output_tensors,
    },
    serving::{Inference, PermittedServable, RequestContext, Servable, ServingError},
};

impl From<OutputError> for ApiError {
    fn from(error: OutputError) -> Self {
        Self::OutputNotCarried(error.to_string())
    }
}

/// Runs a request and takes its inputs. Dropping the future ends the run.
pub(in crate::protocols::open_inference) async fn infer(
    state: &EdgeState,
    servable: PermittedServable,
    request: &mut InferRequest,
    context: RequestContext,
) -> Result<Inference, ApiError> {
    check_requested(&request.outputs, &servable.signature).map_err(ApiError::InvalidBody)?;
    let deadline = request.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let has_binary_response = context.has_binary_response || request.binary_outputs;
    let context = RequestContext { priority: request.priority, deadline, has_binary_response, ..context };
    let run = state.serving.infer(servable, mem::take(&mut request.inputs), context);
    match request.timeout {
        Some(timeout) => match tokio::time::timeout(timeout, run).await {
            Ok(Err(ServingError::TooLate)) | Err(_) => Err(ApiError::Timeout),
            Ok(answered) => Ok(answered?),
        },
        None => Ok(run.await?),
    }
}

/// Returns the outputs that a request names.
pub(in crate::protocols::open_inference) fn outputs<'i>(
    inference: &'i Inference,
    request: &InferRequest,
) -> Result<Vec<OutputTensor<'i>>, ApiError> {
    let Servable { signature, contract, .. } = &*inference.servable;
    let outputs =
        output_tensors(signature, contract, &inference.outputs, &request.outputs, request.binary_outputs);
    Ok(outputs?)
}
