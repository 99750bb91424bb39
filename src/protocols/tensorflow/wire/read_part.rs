//! Parser of the parts of a request.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::{BodyError, body::pointer};

/// Parses a text, known to be JSON, into a form that it may not have.
pub(in crate::protocols) fn read<'b, T: Deserialize<'b>>(
    json: &'b RawValue,
    place: &str,
) -> Result<T, BodyError> {
    serde_json::from_str(json.get()).map_err(|error| {
        // Reads again, for the place of the error.
        let mut deserializer = serde_json::Deserializer::from_str(json.get());
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Ok(_) => BodyError::invalid(place, "wrong_form", error.to_string()),
            Err(error) => {
                let (path, message) = (pointer(error.path()), error.inner().to_string());
                // Line and column would be those of a part of the body.
                let message = message.split(" at line ").next().unwrap_or_default();
                BodyError::invalid(&format!("{place}{path}"), "wrong_form", message)
            }
        }
    })
}

/// Creates the error of a request with more values than one may have.
pub(in crate::protocols) fn too_many(place: &str) -> BodyError {
    BodyError::invalid(place, "too_many", "these are too many values for one request")
}
