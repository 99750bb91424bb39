//! Outputs that a response of the protocol cannot carry.

use crate::model::ElementType;

/// Maximum number of elements that are sorted.
pub(super) const MAX_ELEMENTS: usize = 1_000_000;

/// An output that the protocol cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The output holds values that do not make one tensor.
    #[error(
        "output `{0}` is a {1} that does not make one tensor, which this protocol cannot carry: request other outputs \
         by name, or use /models/NAME/predict"
    )]
    NotATensor(String, &'static str),
    /// Classes were requested of an output that is not numeric.
    #[error("output `{name}` is of type {element_type}, whose elements cannot be ranked")]
    NotClassifiable {
        /// The name of the output.
        name: String,
        /// The type of its elements.
        element_type: ElementType,
    },
    /// Classes were requested of too many elements.
    #[error("output `{0}` has more than {MAX_ELEMENTS} elements, too many to be classified")]
    TooManyElements(String),
}
