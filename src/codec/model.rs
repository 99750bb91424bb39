//! The parts of a model that reading a request needs.

use crate::model::{Contract, Layout, RowsReader, Signature};

/// The model that a request is read for.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    /// The inputs and outputs.
    pub signature: &'m Signature,
    /// The position of each column; `None` if the model takes no rows.
    pub layout: Option<&'m Layout>,
    /// The names of features, and their allowed values.
    pub contract: &'m Contract,
}

impl<'m> Model<'m> {
    /// Returns a reader of rows for this model.
    pub(crate) fn rows(self) -> RowsReader<'m> {
        RowsReader::new(self.layout, self.contract)
    }
}
