//! What is known of a model while requests to it are read.

use crate::model::{Contract, Layout, RowsReader, Signature};

/// The model that a request is read for.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    /// What it takes and gives.
    pub signature: &'m Signature,
    /// How it takes rows, if it does.
    pub layout: Option<&'m Layout>,
    /// What its features are called, and which values they may have.
    pub contract: &'m Contract,
}

impl<'m> Model<'m> {
    /// A reader of rows for it.
    pub(super) fn rows(self) -> RowsReader<'m> {
        RowsReader::new(self.layout, self.contract)
    }
}
