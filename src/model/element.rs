//! Conversion of a received value to an element of a tensor.

use half::{bf16, f16};

use super::{Buffer, Cell, ElementType, Feature, TensorData, element_types};

/// Returns the fault of a value as an element of this type, as a stable code and a sentence; `None` if it is valid. A
/// feature may narrow the range.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "only compared with limits that are floats themselves")]
pub fn objection(
    cell: &Cell,
    element_type: ElementType,
    feature: Option<&Feature>,
) -> Option<(&'static str, String)> {
    let allowed = || allowed(element_type, feature);
    let number = match (element_type, cell) {
        (ElementType::String, Cell::Text(text)) => {
            return text
                .contains('\0')
                .then(|| ("invalid_text", "a text must not hold a NUL character".to_owned()));
        }
        (ElementType::Bool, Cell::Bool(_)) => return None,
        (ElementType::String | ElementType::Bool, other) => {
            return Some(("wrong_type", format!("expected {}, got {}", allowed(), kind(other))));
        }
        (_, Cell::Integer(integer)) => *integer as f64,
        (_, Cell::Float(float)) => *float,
        (_, other) => {
            return Some(("not_a_number", format!("expected {}, got {}", allowed(), kind(other))));
        }
    };
    let fits = match (element_type, cell) {
        (ElementType::F16, _) => f16::from_f64(number).is_finite(),
        (ElementType::Bf16, _) => bf16::from_f64(number).is_finite(),
        #[expect(clippy::cast_possible_truncation, reason = "this is the question")]
        (ElementType::F32, _) => (number as f32).is_finite(),
        (ElementType::F64, _) => number.is_finite(),
        (_, Cell::Integer(integer)) => integer_fits(*integer, element_type),
        // A negative zero, however it is written, is the whole number zero.
        _ if number == 0.0 && number.is_sign_negative() => true,
        _ if number.abs() > INTEGERS => false,
        _ if number.fract() == 0.0 => {
            let message = format!("expected {}; this number has a fraction", allowed());
            return Some(("not_an_integer", message));
        }
        _ => return Some(("not_an_integer", format!("expected {}, got {number}", allowed()))),
    };
    if !fits {
        let number = match cell {
            Cell::Integer(integer) => integer.to_string(),
            _ => "this number".to_owned(),
        };
        let message = format!("expected {}; {number} does not fit {element_type}", allowed());
        return Some(("does_not_fit", message));
    }
    let below = feature.and_then(|feature| feature.minimum).is_some_and(|minimum| number < minimum);
    let above = feature.and_then(|feature| feature.maximum).is_some_and(|maximum| number > maximum);
    (below || above).then(|| ("out_of_range", format!("expected {}, got {number}", allowed())))
}

/// 2⁶⁴: a number beyond this fits no integer type, with or without a fraction.
const INTEGERS: f64 = 18_446_744_073_709_551_616.0;

/// Describes the values that a column accepts, for example `a number from 0.1 to 15 (cm)`.
fn allowed(element_type: ElementType, feature: Option<&Feature>) -> String {
    let base = match element_type {
        float if float.is_float() => "a number",
        ElementType::Bool => return "true or false".to_owned(),
        ElementType::String => return "a text".to_owned(),
        _ => "a whole number",
    };
    let range = match feature.map(|feature| (feature.minimum, feature.maximum)) {
        Some((Some(minimum), Some(maximum))) => format!(" from {minimum} to {maximum}"),
        Some((Some(minimum), None)) => format!(" of at least {minimum}"),
        Some((None, Some(maximum))) => format!(" of at most {maximum}"),
        _ => String::new(),
    };
    let unit = feature.and_then(|feature| feature.unit.as_deref()).map(|unit| format!(" ({unit})"));
    format!("{base}{range}{}", unit.unwrap_or_default())
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Integer(_) | Cell::Float(_) => "a number",
        Cell::Text(_) => "a text",
        Cell::Bool(_) => "true or false",
        Cell::Null => "null",
        Cell::Misplaced(kind) => kind,
    }
}

fn integer_fits(integer: i128, element_type: ElementType) -> bool {
    macro_rules! fits {
        ($($variant:ident $type:ty),*) => {
            match element_type {
                $(ElementType::$variant => <$type>::try_from(integer).is_ok(),)*
                ElementType::F16
                | ElementType::Bf16
                | ElementType::F32
                | ElementType::F64
                | ElementType::Bool
                | ElementType::String => false,
            }
        };
    }
    element_types!(integers => fits)
}

/// Parses the strings that stand for numbers that JSON cannot carry; `None` for any other string.
#[must_use]
pub fn non_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Returns the string that stands for a number that JSON cannot carry, as [`non_finite`] parses it.
#[must_use]
pub fn non_finite_text(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// Converts cells that passed [`objection`]. An invalid one would be left out, so that the tensor's shape check refuses
/// the whole.
pub(super) fn elements(cells: &[&Cell], element_type: ElementType) -> TensorData {
    fn integers<T: TryFrom<i128>>(cells: &[&Cell]) -> Buffer<T> {
        let integer = |cell: &&Cell| match cell {
            Cell::Integer(integer) => T::try_from(*integer).ok(),
            Cell::Float(0.0) => T::try_from(0).ok(),
            _ => None,
        };
        cells.iter().filter_map(integer).collect()
    }
    #[expect(clippy::cast_precision_loss, reason = "a whole number sent for a float column becomes a float")]
    let float = |cell: &&Cell| match cell {
        Cell::Integer(integer) => Some(*integer as f64),
        Cell::Float(float) => Some(*float),
        Cell::Text(text) => non_finite(text),
        _ => None,
    };
    macro_rules! convert {
        ($($variant:ident $type:ty),*) => {
            match element_type {
                ElementType::F16 => TensorData::F16(cells.iter().filter_map(float).map(f16::from_f64).collect()),
                ElementType::Bf16 => TensorData::Bf16(cells.iter().filter_map(float).map(bf16::from_f64).collect()),
                #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
                ElementType::F32 => TensorData::F32(cells.iter().filter_map(float).map(|wide| wide as f32).collect()),
                ElementType::F64 => TensorData::F64(cells.iter().filter_map(float).collect()),
                $(ElementType::$variant => TensorData::$variant(integers(cells)),)*
                ElementType::Bool => {
                    let truth = |cell: &&Cell| match cell {
                        Cell::Bool(truth) => Some(*truth),
                        _ => None,
                    };
                    TensorData::Bool(cells.iter().filter_map(truth).collect())
                }
                ElementType::String => {
                    let text = |cell: &&Cell| match cell {
                        Cell::Text(text) => Some(text.clone()),
                        _ => None,
                    };
                    TensorData::String(cells.iter().filter_map(text).collect())
                }
            }
        };
    }
    element_types!(integers => convert)
}
