//! One input of a request: its elements as JSON, or a part of what follows the JSON.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::{form::TensorForm, parameters::Parameters};
use crate::{
    model::{Cell, Tensor},
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
    shape: Vec<Size>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow, default)]
    data: Option<&'b RawValue>,
}

/// A size in a shape, signed, so that a negative one can be named as one.
#[derive(Clone, Copy, Debug)]
struct Size(i64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match Cell::deserialize(deserializer)? {
            Cell::Integer(size) => i64::try_from(size).ok(),
            Cell::Float(0.0) => Some(0),
            _ => None,
        };
        size.map(Self).ok_or_else(|| D::Error::custom("expected a size, a whole number from 0"))
    }
}

impl InputDocument<'_> {
    /// The tensor; `binary` is what of the binary part no input has had yet.
    pub(super) fn tensor(&self, place: &str, binary: &mut Bytes) -> Result<Tensor, FieldError> {
        let wrong = |path: String, code: &'static str, message: String| {
            FieldError::new(format!("{place}{path}"), code, message)
        };
        self.parameters.check_tensor(place)?;
        let sizes: Vec<i64> = self.shape.iter().map(|Size(size)| *size).collect();
        let form = TensorForm::read(place, &self.datatype, &sizes)?;
        let TensorForm { element_type, count, .. } = form;
        let binary_bytes = self.parameters.count(place, "binary_data_size")?;
        let data = match (self.data, binary_bytes) {
            (Some(json), None) => elements_from_json(json.get(), element_type, &form.shape, count).map_err(
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
        form.tensor(place, data)
    }
}
