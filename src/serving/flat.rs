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
    /// Writes the response of this version: to the list of rows if `many`, else to the first.
    ///
    /// # Errors
    ///
    /// If the outputs do not hold one part for each row.
    pub fn write(mut self, servable: &Servable, many: bool) -> Result<Vec<u8>, ServingError> {
        let writer = servable.rows_writer()?;
        let rows = self.ran.rows().unwrap_or(0..self.rows);
        let mut body = Vec::new();
        // A run that was not shared counts as one, whatever it holds.
        let total = if self.ran.rows().is_some() { self.ran.batch_rows } else { self.rows };
        if self.rows >= MANY_ROWS && writer.can_write(self.ran.batch(), &rows, total) {
            // The write below succeeds, so the inputs are not needed to explain a failure, and the response may be as
            // large.
            self.ran.inputs = Inputs::Named(Vec::new());
        }
        if !writer.write(&mut body, self.ran.batch(), rows, total, many) {
            return Err(self.objection(servable)?);
        }
        trim_heap_later(body.len());
        servable.monitor.answered(self.by.caller);
        Ok(body)
    }

    /// Finds out which output does not hold one part for each row.
    fn objection(mut self, servable: &Servable) -> Result<ServingError, ServingError> {
        let outputs =
            self.ran.take_outputs().ok_or(ServingError::Internal("a batch does not hold its rows"))?;
        let layout = servable.layout_of_rows()?;
        match RowOutputs::new(self.rows, outputs, &servable.signature, &layout.outputs) {
            Ok(_) => Err(ServingError::Internal("outputs that hold rows could not be written")),
            Err(error) => Ok(blamed(servable, self.by, error.into(), Some(Box::new(self.ran.inputs)))),
        }
    }
}
