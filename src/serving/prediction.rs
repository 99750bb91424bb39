//! Predictions and inferences, and the circumstances of their requests.

use std::{sync::Arc, time::Instant};

use super::ServingError;
use crate::{
    lifecycle::Servable,
    limits::RequestCharge,
    model::{Layout, RowOutputs, Value},
    runtime::RunResult,
    system::{byte_budget::ByteCharge, memory::trim_heap_later},
    telemetry::Timeline,
};

/// The caller and the urgency of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// The caller, as a number: in a queue each caller gets an equal share.
    pub caller: u64,
    /// Priority in the queue: 0 before 1, and so on.
    pub priority: u8,
    /// The client's deadline, if it is before `server.request_timeout_ms`.
    pub deadline: Option<Instant>,
    /// True if outputs are sent as bytes, not as text.
    pub has_binary_response: bool,
    /// The memory charged to the request; `None` for a request too small to count.
    pub charge: Option<ByteCharge>,
    /// The quotas that the rows are charged to; `None` if there are none, or the rows are charged already.
    pub quota: Option<Arc<RequestCharge>>,
    /// The times of the request; `None` for most.
    pub timeline: Option<Arc<Timeline>>,
}

/// The result for rows.
#[derive(Debug)]
pub struct Prediction {
    /// The version that made the prediction.
    pub servable: Arc<Servable>,
    /// The meaning of its outputs.
    pub layout: Arc<Layout>,
    /// The outputs of each row.
    pub outputs: RowOutputs,
}

impl Prediction {
    /// Writes the response of the version: to the list of rows if `many`, else to the first.
    ///
    /// # Errors
    ///
    /// [`ServingError::Internal`] if the outputs hold rows and cannot be written, which does not happen.
    pub fn write(&self, many: bool) -> Result<Vec<u8>, ServingError> {
        let Self { servable, outputs, .. } = self;
        let (rows, mut body) = (outputs.rows(), Vec::new());
        if !servable.rows_writer()?.write(&mut body, outputs.values(), 0..rows, rows, many) {
            return Err(ServingError::Internal("outputs that hold rows could not be written"));
        }
        trim_heap_later(body.len());
        Ok(body)
    }
}

/// The result for tensors.
#[derive(Debug)]
pub struct Inference {
    /// The version that ran.
    pub servable: Arc<Servable>,
    /// Every output in the order of the signature.
    pub outputs: Vec<Value>,
}

/// Checks the outputs of a run for one request.
///
/// # Errors
///
/// If an output holds NaN or infinity and the contract does not allow it. If the inputs do too, the error blames the
/// request and not the model.
pub(super) fn check_finite(servable: &Servable, ran: &RunResult) -> Result<(), ServingError> {
    if servable.contract.allows_non_finite() {
        return Ok(());
    }
    let is_finite = |index: usize, output: &Value| match ran.rows() {
        Some(rows) if !ran.is_constant(index) => output.rows_are_finite(rows),
        _ => output.is_finite(),
    };
    let mut named = servable.signature.outputs.iter().zip(ran.batch()).enumerate();
    match named.find(|(index, (_, output))| !is_finite(*index, output)).map(|(_, named)| named) {
        Some((spec, _)) if ran.inputs.are_finite() => Err(ServingError::NonFiniteOutput(spec.name.clone())),
        Some((spec, _)) => Err(ServingError::NonFiniteInput(spec.name.clone())),
        None => Ok(()),
    }
}
