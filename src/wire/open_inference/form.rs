//! What a tensor is said to be: the type of its elements, and its shape.

use crate::{
    model::{ElementType, Tensor, TensorData},
    wire::FieldError,
};

/// Type and shape of a tensor whose elements are not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorForm {
    /// The type of its elements.
    pub element_type: ElementType,
    /// The size of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// How many elements the shape holds.
    pub count: usize,
}

impl TensorForm {
    /// Reads what is said at `place`, a JSON pointer. Sizes are signed, so that a negative one can be named as one.
    ///
    /// # Errors
    ///
    /// A type that there is none of, a negative size, or more elements than can be counted.
    pub fn read(place: &str, datatype: &str, shape: &[i64]) -> Result<Self, FieldError> {
        let wrong = |path: String, code: &'static str, message: String| {
            FieldError::new(format!("{place}{path}"), code, message)
        };
        let element_type = ElementType::of_name(datatype).ok_or_else(|| {
            let message = format!("`{datatype}` is no datatype: one of {}", ElementType::names());
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

    /// The tensor of these elements.
    ///
    /// # Errors
    ///
    /// When they are not as many as the shape holds.
    pub fn tensor(self, place: &str, data: TensorData) -> Result<Tensor, FieldError> {
        Tensor::new(self.shape, data)
            .map_err(|error| FieldError::new(place, "wrong_shape", error.to_string()))
    }
}

/// The sizes of a shape, or which of them is none.
fn sizes(shape: &[i64]) -> Result<Vec<usize>, usize> {
    let size = |(axis, size): (usize, &i64)| usize::try_from(*size).map_err(|_| axis);
    shape.iter().enumerate().map(size).collect()
}

/// How many elements a shape holds, if they can be counted.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    // A zero makes the product 0 wherever it stands: the sizes before it must not overflow it.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}
