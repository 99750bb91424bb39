//! Inference of the Open Inference Protocol, shared by REST and gRPC.

use std::{mem, time::Instant};

use super::{error::ApiError, state::TransportState};
use crate::{
    serving::{Inference, PermittedServable, RequestContext, Servable, ServingError},
    wire::open_inference::{InferRequest, OutputTensor, check_requested, output_tensors},
};

/// Runs a request and takes its inputs. Dropping the future ends the run.
pub(crate) async fn infer(
    state: &TransportState,
    servable: PermittedServable,
    request: &mut InferRequest,
    context: RequestContext,
) -> Result<Inference, ApiError> {
    check_requested(&request.outputs, &servable.signature).map_err(ApiError::InvalidBody)?;
    let deadline = request.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let has_binary_answer = context.has_binary_answer || request.binary_outputs;
    let context = RequestContext { priority: request.priority, deadline, has_binary_answer, ..context };
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
pub(crate) fn outputs<'i>(
    inference: &'i Inference,
    request: &InferRequest,
) -> Result<Vec<OutputTensor<'i>>, ApiError> {
    let Servable { signature, contract, .. } = &*inference.servable;
    let outputs =
        output_tensors(signature, contract, &inference.outputs, &request.outputs, request.binary_outputs);
    Ok(outputs?)
}
