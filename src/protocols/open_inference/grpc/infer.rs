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
    limits::RequestCharge,
    protocols::open_inference::operations,
    serving::{RequestContext, Servable},
    system::{byte_budget::ByteCharge, memory::trim_heap_later},
    telemetry::Timeline,
};

/// The charges and the times of a call; `None` for what is not limited, and for times that are not kept.
#[derive(Clone, Copy)]
pub(super) struct Charges<'c> {
    pub(super) bytes: Option<&'c ByteCharge>,
    pub(super) rows: Option<&'c Arc<RequestCharge>>,
    pub(super) timeline: Option<&'c Arc<Timeline>>,
}

/// Runs a model. Dropping the future ends the run.
pub(super) async fn infer(
    state: &EdgeState,
    caller: &Arc<Caller>,
    charges: Charges<'_>,
    message: ModelInferRequest,
) -> Result<(Arc<Servable>, ModelInferResponse), ApiError> {
    let bytes = Some(message.encoded_len());
    if !is_large(bytes) {
        return answered(state, caller, charges, message).await;
    }
    trim_heap_later(message.encoded_len());
    let (state, caller) = (state.clone(), Arc::clone(caller));
    let (of_bytes, of_rows) = (charges.bytes.cloned(), charges.rows.cloned());
    let timeline = charges.timeline.cloned();
    let run = async move {
        let charges =
            Charges { bytes: of_bytes.as_ref(), rows: of_rows.as_ref(), timeline: timeline.as_ref() };
        answered(&state, &caller, charges, message).await
    };
    offload(bytes, run).await?
}

async fn answered(
    state: &EdgeState,
    caller: &Caller,
    charges: Charges<'_>,
    message: ModelInferRequest,
) -> Result<(Arc<Servable>, ModelInferResponse), ApiError> {
    let version = chosen_version(&message.model_version);
    let permit = Permit::<MayPredict>::check(state, caller, Some(&message.model_name), version)?;
    let servable = state.serving.permitted_servable(&permit.model, permit.version.as_ref())?;
    let Charges { bytes, rows, timeline } = charges;
    let (charge, quota, timeline) = (bytes.cloned(), rows.cloned(), timeline.cloned());
    let context = RequestContext { charge, quota, timeline, has_binary_response: true, ..permit.context };
    let mut asked = request::read(message).map_err(|error| ApiError::InvalidBody(vec![error]))?;
    let inference = operations::infer(state, servable, &mut asked, context).await?;
    let outputs = operations::outputs(&inference, &asked)?;
    let id = mem::take(&mut asked.id);
    let answer = response::write(&inference.servable, id, &outputs, asked.binary_outputs);
    Ok((Arc::clone(&inference.servable), answer))
}
