//! One input of a request: its elements as JSON, or a part of the bytes after the JSON.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use serde_json::value::RawValue;

use super::{Place, form::TensorForm, parameters::Parameters};
use crate::{
    codec::{
        FieldError,
        elements::{ElementFault, elements_from_json},
        tensor_bytes::elements_from_bytes,
    },
    model::Tensor,
};

/// An input as sent.
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

/// A size in a shape, signed, so that an error can name a negative one.
#[derive(Clone, Copy, Debug)]
struct Size(i64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

/// Every integer up to this one, 2^53, has a float of its own.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size, a whole number from 0")
    }

    fn visit_u64<E: Error>(self, size: u64) -> Result<Size, E> {
        i64::try_from(size).map(Size).map_err(|_| E::invalid_value(Unexpected::Unsigned(size), &self))
    }

    fn visit_i64<E: Error>(self, size: i64) -> Result<Size, E> {
        Ok(Size(size))
    }

    /// Accepts a whole number written with a point or an exponent, within the range that floats hold exactly.
    fn visit_f64<E: Error>(self, size: f64) -> Result<Size, E> {
        let is_exact = size.fract() == 0.0 && size.abs() <= MOST_EXACT;
        let whole = is_exact.then(|| format!("{size:.0}").parse().ok()).flatten();
        whole.map(Size).ok_or_else(|| E::invalid_value(Unexpected::Float(size), &self))
    }
}

impl InputDocument<'_> {
    /// Returns the tensor and takes its bytes from `binary`, the part of the body that no input has taken yet.
    pub(super) fn tensor(&self, place: Place, binary: &mut Bytes) -> Result<Tensor, FieldError> {
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
