//! The columns of a model in this process, and the rules for their values.

use crate::model::{Contract, FlatLayout, Layout};

/// The columns of a model, and the rules for their values.
#[derive(Debug)]
pub(super) struct RowModel {
    pub(super) layout: Layout,
    pub(super) contract: Contract,
    /// The layout of rows of numbers; `None` if the model does not take one matrix of floats.
    pub(super) flat: Option<FlatLayout>,
}
