//! The declared form of a tensor: element type and shape.

use super::Place;
use crate::{
    codec::FieldError,
    model::{ElementType, Tensor, TensorData},
};

/// Type and shape of a tensor whose elements are not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorForm {
    /// The type of the elements.
    pub element_type: ElementType,
    /// The size of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Number of elements that the shape holds.
    pub count: usize,
}

impl TensorForm {
    /// Reads the form declared at a place. Sizes are signed, so that an error can name a negative one.
    ///
    /// # Errors
    ///
    /// If the type is unknown, a size is negative, or the number of elements overflows.
    pub fn read(place: Place, datatype: &str, shape: &[i64]) -> Result<Self, FieldError> {
        let wrong = |path: String, code: &'static str, message: String| {
            FieldError::new(format!("{place}{path}"), code, message)
        };
        let element_type = ElementType::of_name(datatype).ok_or_else(|| {
            let message = format!("`{datatype}` is not a datatype: use one of {}", ElementType::names());
            wrong("/datatype".to_owned(), "unknown_datatype", message)
        })?;
        let shape = sizes(shape).map_err(|axis| {
            let message = format!("expected a size, a whole number from 0, got {}", shape[axis]);
            wrong(format!("/shape/{axis}"), "wrong_shape", message)
        })?;
        let count = count(&shape).ok_or_else(|| {
            wrong("/shape".to_owned(), "wrong_shape", "it holds too many elements".to_owned())
        })?;
        Ok(Self { element_type, shape, count })
    }

    /// Creates the tensor from these elements.
    ///
    /// # Errors
    ///
    /// If their number does not match the shape.
    pub fn tensor(self, place: Place, data: TensorData) -> Result<Tensor, FieldError> {
        Tensor::new(self.shape, data)
            .map_err(|error| FieldError::new(place.to_string(), "wrong_shape", error.to_string()))
    }
}

/// Converts the sizes of a shape; the error is the axis of a negative one.
fn sizes(shape: &[i64]) -> Result<Vec<usize>, usize> {
    let size = |(axis, size): (usize, &i64)| usize::try_from(*size).map_err(|_| axis);
    shape.iter().enumerate().map(size).collect()
}

/// Returns the number of elements that a shape holds; `None` if it overflows.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    // A zero makes the product 0 in any position, so the sizes before it must not overflow.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}
