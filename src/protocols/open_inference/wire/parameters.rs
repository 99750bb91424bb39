//! Parameters of requests, inputs and outputs: texts, numbers and booleans by name.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Place;
use crate::{
    codec::{FieldError, field_error::escape},
    model::{Cell, number},
};

/// Parameters of a request, or of a part of it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(from = "Option<Map<String, Value>>")]
pub struct Parameters(Map<String, Value>);

impl From<Option<Map<String, Value>>> for Parameters {
    /// Treats `null` like an absent field, as clients write it for a field that they leave out.
    fn from(parameters: Option<Map<String, Value>>) -> Self {
        Self(parameters.unwrap_or_default())
    }
}

impl Parameters {
    /// Prefix of Triton's own parameters, which clients may not set.
    const RESERVED: &str = "triton_";

    /// The priority of requests that can wait.
    const LEAST_URGENT: u8 = 10;

    /// Checks the values and names of all parameters at a place.
    ///
    /// # Errors
    ///
    /// If a value is not a text, a number or a boolean, or a name is reserved.
    pub fn check(&self, place: Place) -> Result<(), FieldError> {
        for (name, value) in &self.0 {
            if value.is_null() || value.is_array() || value.is_object() {
                return Err(fault(place, name, "expected a text, a number, true or false"));
            }
            if name.starts_with(Self::RESERVED) {
                return Err(fault(place, name, "names that begin with `triton_` are reserved"));
            }
        }
        Ok(())
    }

    /// Checks the parameters of an input or output.
    ///
    /// # Errors
    ///
    /// As [`Parameters::check`], and if they name shared memory.
    pub fn check_tensor(&self, place: Place) -> Result<(), FieldError> {
        self.check(place)?;
        let region = "shared_memory_region";
        if self.0.contains_key(region) {
            let place = format!("{place}/parameters/{region}");
            return Err(FieldError::new(place, "unsupported", "shared memory is not supported"));
        }
        Ok(())
    }

    pub(super) fn truth(&self, place: Place, name: &str) -> Result<Option<bool>, FieldError> {
        let truth =
            |value: &Value| value.as_bool().ok_or_else(|| fault(place, name, "expected true or false"));
        self.0.get(name).map(truth).transpose()
    }

    pub(super) fn count(&self, place: Place, name: &str) -> Result<Option<usize>, FieldError> {
        let count = |value: &Value| {
            let number = value.as_number().and_then(|written| match number(&written.to_string()) {
                Cell::Integer(number) => usize::try_from(number).ok(),
                _ => None,
            });
            number.ok_or_else(|| fault(place, name, "expected a whole number from 0"))
        };
        self.0.get(name).map(count).transpose()
    }

    pub(super) fn positive_count(&self, place: Place, name: &str) -> Result<Option<usize>, FieldError> {
        match self.count(place, name)? {
            Some(0) => Err(fault(place, name, "expected a whole number from 1")),
            other => Ok(other),
        }
    }

    /// Returns the reserved `timeout`, sent in microseconds; `None` if it is absent or 0.
    ///
    /// # Errors
    ///
    /// If it is not a whole number from 0.
    pub fn timeout(&self, place: Place) -> Result<Option<Duration>, FieldError> {
        let microseconds = self.count(place, "timeout")?.filter(|microseconds| *microseconds > 0);
        Ok(microseconds
            .map(|microseconds| Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))))
    }

    /// Returns the reserved `priority`, sent as 1 (most urgent) to 10, as 0 to 9. An absent one or 0 counts as 1, so a
    /// caller can only be more patient than others.
    ///
    /// # Errors
    ///
    /// If it is not a whole number from 0 to 10.
    pub fn priority(&self, place: Place) -> Result<u8, FieldError> {
        let priority = self.count(place, "priority")?.unwrap_or_default().saturating_sub(1);
        match u8::try_from(priority) {
            Ok(priority) if priority < Self::LEAST_URGENT => Ok(priority),
            _ => Err(fault(place, "priority", "expected a whole number from 0 to 10")),
        }
    }
}

impl FromIterator<(String, Value)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

fn fault(place: Place, name: &str, message: &str) -> FieldError {
    FieldError::new(format!("{place}/parameters/{}", escape(name)), "wrong_parameter", message)
}
