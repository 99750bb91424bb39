//! Rows of numbers read straight into a tensor, and responses written straight from the outputs.

use super::{
    ServingError,
    blame::{Requester, blamed},
};
use crate::{
    lifecycle::Servable,
    model::RowOutputs,
    runtime::{Inputs, RunResult},
    system::memory::trim_heap_later,
    wire::RowsAnswer,
};

/// Number of rows from which freeing the inputs before the response is written saves noticeable memory.
const MANY_ROWS: usize = 4096;

/// The outputs of a run on such rows.
#[derive(Debug)]
pub struct FlatPrediction {
    pub(super) ran: RunResult,
    pub(super) rows: usize,
    pub(super) by: Requester,
}

impl FlatPrediction {
    /// Writes the JSON response of this version: for the list of rows if `many`, else for the first.
    ///
    /// # Errors
    ///
    /// If the outputs do not hold one part for each row.
    pub fn write(mut self, servable: &Servable, many: bool) -> Result<Vec<u8>, ServingError> {
        let Servable { name, version, signature, contract, flat, .. } = servable;
        let rows = self.ran.rows().unwrap_or(0..self.rows);
        let mut body = Vec::new();
        // A run that was not shared counts as one, whatever it holds.
        let total = if self.ran.rows().is_some() { self.ran.batch_rows } else { self.rows };
        if let Some(flat) = flat {
            if self.rows >= MANY_ROWS && flat.answers.can_write(self.ran.batch(), &rows, total) {
                // The write below succeeds, so the inputs are not needed to explain a failure, and the response may be
                // as large.
                self.ran.inputs = Inputs::Named(Vec::new());
            }
            if flat.answers.write(&mut body, self.ran.batch(), rows, total, many) {
                trim_heap_later(body.len());
                servable.monitor.answered(self.by.caller);
                return Ok(body);
            }
        }
        // The general path reports what is wrong, or writes a response that has no template.
        let outputs =
            self.ran.take_outputs().ok_or(ServingError::Internal("a batch does not hold its rows"))?;
        let layout = servable.layout_of_rows()?;
        let outputs = match RowOutputs::new(self.rows, outputs, signature, &layout.outputs) {
            Ok(outputs) => outputs,
            Err(error) => {
                return Err(blamed(servable, self.by, error.into(), Some(Box::new(self.ran.inputs))));
            }
        };
        servable.monitor.answered(self.by.caller);
        let answer = RowsAnswer {
            model: name.as_str(),
            version: *version,
            signature,
            contract,
            layout,
            outputs: &outputs,
            many,
        };
        serde_json::to_vec(&answer).map_err(|error| ServingError::ModelFailed(error.to_string()))
    }
}
