//! A model as far as requests to it are read by it.

use crate::model::{Contract, Layout, RowsReader, Signature};

/// The model that a request is read for.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    /// The inputs and outputs.
    pub signature: &'m Signature,
    /// The place of each column; `None` if it takes no rows.
    pub layout: Option<&'m Layout>,
    /// The names of features, and the values that they may have.
    pub contract: &'m Contract,
}

impl<'m> Model<'m> {
    /// A reader of rows for it.
    pub(super) fn rows(self) -> RowsReader<'m> {
        RowsReader::new(self.layout, self.contract)
    }
}
