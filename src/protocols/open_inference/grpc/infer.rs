//! Inference, shared by single calls and streams.

use std::{mem, sync::Arc};

use prost::Message;

use super::{
    proto::{ModelInferRequest, ModelInferResponse},
    request::{self, chosen_version},
    response,
};
use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, MayPredict, Permit, is_large, offload},
    protocols::open_inference::operations,
    serving::{RequestContext, Servable},
    system::{byte_budget::ByteCharge, memory::trim_heap_later},
};

/// Runs a model. Dropping the future ends the run.
pub(super) async fn infer(
    state: &EdgeState,
    caller: &Arc<Caller>,
    charge: Option<&ByteCharge>,
    message: ModelInferRequest,
) -> Result<(Arc<Servable>, ModelInferResponse), ApiError> {
    let bytes = Some(message.encoded_len());
    if !is_large(bytes) {
        return answered(state, caller, charge, message).await;
    }
    trim_heap_later(message.encoded_len());
    let (state, caller, charge) = (state.clone(), Arc::clone(caller), charge.cloned());
    offload(bytes, async move { answered(&state, &caller, charge.as_ref(), message).await }).await?
}

async fn answered(
    state: &EdgeState,
    caller: &Caller,
    charge: Option<&ByteCharge>,
    message: ModelInferRequest,
) -> Result<(Arc<Servable>, ModelInferResponse), ApiError> {
    let version = chosen_version(&message.model_version);
    let permit = Permit::<MayPredict>::check(state, caller, Some(&message.model_name), version)?;
    let servable = state.serving.permitted_servable(&permit.model, permit.version.as_ref())?;
    let context = RequestContext { charge: charge.cloned(), has_binary_response: true, ..permit.context };
    let mut asked = request::read(message).map_err(|error| ApiError::InvalidBody(vec![error]))?;
    let inference = operations::infer(state, servable, &mut asked, context).await?;
    let outputs = operations::outputs(&inference, &asked)?;
    let id = mem::take(&mut asked.id);
    let answer = response::write(&inference.servable, id, &outputs, asked.binary_outputs);
    Ok((Arc::clone(&inference.servable), answer))
}
