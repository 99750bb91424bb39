//! Comparison of an output with the expected one.

use super::Contract;
use crate::model::{Tensor, TensorData, Value};

/// Tolerance for numbers: `|given - expected| <= absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    absolute: f64,
    relative: f64,
}

impl Contract {
    /// Describes the first difference of an output from the expected one; `None` if they match.
    #[must_use]
    pub fn difference(&self, given: &Value, expected: &Value) -> Option<String> {
        let tolerance = Tolerance { absolute: self.tolerance, relative: self.relative_tolerance };
        difference(given, expected, tolerance)
    }
}

fn difference(given: &Value, expected: &Value, tolerance: Tolerance) -> Option<String> {
    match (given, expected) {
        (Value::Tensor(given), Value::Tensor(expected)) => tensors(given, expected, tolerance),
        (Value::Sequence(given), Value::Sequence(expected)) => {
            if given.len() != expected.len() {
                return Some(format!("it has {} items, not {}", given.len(), expected.len()));
            }
            let item = |(index, (given, expected)): (usize, (&Value, &Value))| {
                difference(given, expected, tolerance).map(|what| format!("item {index}: {what}"))
            };
            given.iter().zip(expected).enumerate().find_map(item)
        }
        (
            Value::Map { keys: given_keys, values: given },
            Value::Map { keys: expected_keys, values: expected },
        ) => {
            if given_keys.len() != expected_keys.len() {
                return Some(format!("it has {} keys, not {}", given_keys.len(), expected_keys.len()));
            }
            (0..expected_keys.len()).find_map(|index| {
                let key = expected_keys.get(index)?;
                match (0..given_keys.len()).find(|place| given_keys.get(*place) == Some(key)) {
                    None => Some(format!("it has no key {key}")),
                    Some(place) => element((given, place), (expected, index), tolerance)
                        .map(|what| format!("key {key} {what}")),
                }
            })
        }
        (Value::Absent, Value::Absent) => None,
        (given, expected) => Some(format!("it is {}, not {}", given.kind(), expected.kind())),
    }
}

fn tensors(given: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Option<String> {
    if given.shape() != expected.shape() {
        return Some(format!("the shape is {:?}, not {:?}", given.shape(), expected.shape()));
    }
    let (given, expected) = (given.data(), expected.data());
    let types = (given.element_type(), expected.element_type());
    if types.0 != types.1 {
        return Some(format!("it holds {}, not {}", types.0, types.1));
    }
    (0..expected.len()).find_map(|index| {
        element((given, index), (expected, index), tolerance).map(|what| format!("element {index} {what}"))
    })
}

fn element(
    (given, given_at): (&TensorData, usize),
    (expected, expected_at): (&TensorData, usize),
    tolerance: Tolerance,
) -> Option<String> {
    let (given, expected) = (given.get(given_at)?, expected.get(expected_at)?);
    match (given.as_float(), expected.as_float()) {
        (Some(given), Some(expected)) => {
            let Tolerance { absolute, relative } = tolerance;
            // Equal infinities do not differ, and NaN matches NaN.
            #[expect(clippy::float_cmp, reason = "this is about equal infinities")]
            let same = given == expected || (given.is_nan() && expected.is_nan());
            let near =
                expected.is_finite() && (given - expected).abs() <= absolute + relative * expected.abs();
            (!same && !near).then(|| {
                let relative = if relative > 0.0 { format!(", relative {relative}") } else { String::new() };
                format!("is {given}, not {expected} (tolerance {absolute}{relative})")
            })
        }
        _ => (given != expected).then(|| format!("is {given}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Value {
        Tensor::new(vec![values.len()], TensorData::F32(values.to_vec().into())).unwrap().into()
    }

    fn differ(given: &Value, expected: &Value, absolute: f64, relative: f64) -> Option<String> {
        difference(given, expected, Tolerance { absolute, relative })
    }

    #[test]
    fn golden_outputs_may_be_off_by_the_tolerance() {
        assert_eq!(differ(&floats(&[0.5, 1.0]), &floats(&[0.5, 1.0]), 0.0, 0.0), None);
        assert_eq!(differ(&floats(&[0.5004]), &floats(&[0.5]), 0.001, 0.0), None);
        assert_eq!(differ(&floats(&[1010.0]), &floats(&[1000.0]), 0.0, 0.01), None);
        assert!(differ(&floats(&[1010.0]), &floats(&[1000.0]), 0.0, 0.001).is_some());
        let message = differ(&floats(&[0.5, 0.75]), &floats(&[0.5, 0.5]), 0.001, 0.0).unwrap();
        assert_eq!(message, "element 1 is 0.75, not 0.5 (tolerance 0.001)");
    }

    #[test]
    fn other_outputs_must_be_equal() {
        let labels =
            |label| Value::Tensor(Tensor::new(vec![1], TensorData::I64(vec![label].into())).unwrap());
        assert_eq!(differ(&labels(1), &labels(1), 1.0, 0.0), None);
        assert_eq!(differ(&labels(1), &labels(2), 1.0, 0.0).unwrap(), "element 0 is 1, not 2");
        assert!(differ(&floats(&[1.0]), &labels(1), 1.0, 0.0).unwrap().contains("FP32, not INT64"));
        assert!(differ(&floats(&[1.0]), &floats(&[1.0, 2.0]), 1.0, 0.0).unwrap().contains("shape"));
        assert_eq!(differ(&Value::Absent, &labels(1), 1.0, 0.0).unwrap(), "it is absent, not tensor");
    }

    #[test]
    fn what_is_no_number_must_be_where_it_must_be() {
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        assert_eq!(differ(&floats(&[nan, infinity]), &floats(&[nan, infinity]), 0.0, 0.1), None);
        assert!(differ(&floats(&[nan]), &floats(&[1.0]), 1.0, 1.0).is_some());
        assert!(differ(&floats(&[1.0]), &floats(&[infinity]), 1.0, 1.0).is_some());
        assert!(differ(&floats(&[-infinity]), &floats(&[infinity]), 1.0, 1.0).is_some());
    }

    #[test]
    fn maps_are_compared_by_key() {
        let map = |keys: &[i64], values: &[f32]| Value::Map {
            keys: TensorData::I64(keys.to_vec().into()),
            values: TensorData::F32(values.to_vec().into()),
        };
        assert_eq!(differ(&map(&[1, 0], &[0.5, 0.25]), &map(&[0, 1], &[0.25, 0.5]), 0.0, 0.0), None);
        let message = differ(&map(&[1, 0], &[0.5, 0.5]), &map(&[0, 1], &[0.25, 0.5]), 0.0, 0.0).unwrap();
        assert_eq!(message, "key 0 is 0.5, not 0.25 (tolerance 0)");
        assert_eq!(differ(&map(&[1], &[0.5]), &map(&[2], &[0.5]), 0.0, 0.0).unwrap(), "it has no key 2");
    }
}
