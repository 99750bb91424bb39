//! Parameters of requests, inputs and outputs: texts, numbers, true and false by name.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::wire::{FieldError, field_error::escape};

/// Parameters of a request, or of a part of it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    /// Triton's own names that are not a client's to set begin like this.
    const RESERVED: &str = "triton_";

    /// What is wrong with them whatever they are for, if anything; `place` is where they stand.
    pub(super) fn check(&self, place: &str) -> Result<(), FieldError> {
        for (name, value) in &self.0 {
            if value.is_null() || value.is_array() || value.is_object() {
                return Err(fault(place, name, "expected a text, a number, true or false"));
            }
            if name.starts_with(Self::RESERVED) {
                return Err(fault(place, name, "names that begin with `triton_` are not a caller's to set"));
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn truth(&self, place: &str, name: &str) -> Result<Option<bool>, FieldError> {
        let truth =
            |value: &Value| value.as_bool().ok_or_else(|| fault(place, name, "expected true or false"));
        self.0.get(name).map(truth).transpose()
    }

    pub(super) fn count(&self, place: &str, name: &str) -> Result<Option<usize>, FieldError> {
        let count = |value: &Value| {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| fault(place, name, "expected a whole number from 0"))
        };
        self.0.get(name).map(count).transpose()
    }

    pub(super) fn positive_count(&self, place: &str, name: &str) -> Result<Option<usize>, FieldError> {
        match self.count(place, name)? {
            Some(0) => Err(fault(place, name, "expected a whole number from 1")),
            other => Ok(other),
        }
    }

    /// The reserved `timeout` in microseconds; 0 is none.
    pub(super) fn timeout(&self, place: &str) -> Result<Option<Duration>, FieldError> {
        let microseconds = self.count(place, "timeout")?.filter(|microseconds| *microseconds > 0);
        Ok(microseconds
            .map(|microseconds| Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))))
    }
}

fn fault(place: &str, name: &str, message: &str) -> FieldError {
    FieldError::new(format!("{place}/parameters/{}", escape(name)), "wrong_parameter", message)
}
