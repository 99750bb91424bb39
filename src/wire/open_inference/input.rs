//! One input of a request: its elements as JSON, or a part of what follows the JSON.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::parameters::Parameters;
use crate::{
    model::{ElementType, Tensor},
    wire::{
        FieldError,
        elements::{ElementFault, elements_from_json},
        tensor_bytes::elements_from_bytes,
    },
};

/// An input as it is written.
#[derive(Debug, Deserialize)]
pub(super) struct InputDocument<'b> {
    pub(super) name: String,
    /// Signed, so that a negative size can be named as one.
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow, default)]
    data: Option<&'b RawValue>,
}

impl InputDocument<'_> {
    /// The tensor; `binary` is what of the binary part no input has had yet.
    pub(super) fn tensor(&self, place: &str, binary: &mut Bytes) -> Result<Tensor, FieldError> {
        let wrong = |path: String, code: &'static str, message: String| {
            FieldError::new(format!("{place}{path}"), code, message)
        };
        self.parameters.check(place)?;
        if self.parameters.has("shared_memory_region") {
            let message = "shared memory is not offered: send `data` or `binary_data_size`".to_owned();
            return Err(wrong("/parameters/shared_memory_region".to_owned(), "unsupported", message));
        }
        let element_type = ElementType::of_name(&self.datatype).ok_or_else(|| {
            let message = format!("`{}` is no datatype: one of {}", self.datatype, ElementType::names());
            wrong("/datatype".to_owned(), "unknown_datatype", message)
        })?;
        let shape = sizes(&self.shape).map_err(|axis| {
            let message = format!("expected a size, a whole number from 0, got {}", self.shape[axis]);
            wrong(format!("/shape/{axis}"), "wrong_shape", message)
        })?;
        let count = count(&shape).ok_or_else(|| {
            wrong("/shape".to_owned(), "wrong_shape", "it holds too many elements".to_owned())
        })?;
        let binary_bytes = self.parameters.count(place, "binary_data_size")?;
        let data = match (self.data, binary_bytes) {
            (Some(json), None) => elements_from_json(json.get(), element_type, &shape, count).map_err(
                |ElementFault { path, code, message }| wrong(format!("/data{path}"), code, message),
            )?,
            (None, Some(size)) if size <= binary.len() => {
                let bytes = binary.split_to(size);
                elements_from_bytes(element_type, count, bytes)
                    .map_err(|error| wrong(String::new(), "wrong_bytes", error.to_string()))?
            }
            (None, Some(size)) => {
                let message = format!("expected {size} bytes after the JSON, got {}", binary.len());
                return Err(wrong("/parameters/binary_data_size".to_owned(), "wrong_bytes", message));
            }
            (Some(_), Some(_)) => {
                let message = "it has both `data` and `binary_data_size`: one of them".to_owned();
                return Err(wrong(String::new(), "wrong_form", message));
            }
            (None, None) => {
                let message = "it has neither `data` nor the parameter `binary_data_size`".to_owned();
                return Err(wrong(String::new(), "wrong_form", message));
            }
        };
        Tensor::new(shape, data).map_err(|error| wrong(String::new(), "wrong_shape", error.to_string()))
    }
}

/// The sizes of a shape, or which of them is none.
pub(super) fn sizes(shape: &[i64]) -> Result<Vec<usize>, usize> {
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
