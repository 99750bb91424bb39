//! What a model answered.

use std::{sync::Arc, time::Instant};

use super::ServingError;
use crate::{
    lifecycle::Servable,
    model::{Layout, RowOutputs, Value},
    runtime::Ran,
    system::byte_budget::ByteCharge,
};

/// For whom a model is asked, and how urgently.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Who asks, as a number: where requests wait, each caller gets as much as the others.
    pub caller: u64,
    /// Whose turn it is first where requests wait: 0 before 1, and so on.
    pub priority: u8,
    /// When the caller does not wait any more, if that is before `server.request_timeout_ms`.
    pub deadline: Option<Instant>,
    /// True if outputs are answered as bytes, not as text.
    pub has_binary_answer: bool,
    /// The memory that is charged to the request; nothing for one that is too small to matter.
    pub charge: Option<ByteCharge>,
}

/// The answer to rows.
#[derive(Debug)]
pub struct Prediction {
    /// The version that answered.
    pub servable: Arc<Servable>,
    /// What its outputs mean.
    pub layout: Arc<Layout>,
    /// What it said of each row.
    pub outputs: RowOutputs,
}

/// The answer to tensors.
#[derive(Debug)]
pub struct Inference {
    /// The version that answered.
    pub servable: Arc<Servable>,
    /// Every output in the order of the signature.
    pub outputs: Vec<Value>,
}

/// Checks what a run gave for one request.
///
/// # Errors
///
/// When an output holds NaN or infinity and the contract does not allow it. Where inputs do too, it is they who are to
/// blame, and not the model.
pub(super) fn check_finite(servable: &Servable, ran: &Ran) -> Result<(), ServingError> {
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
