//! The check of rows against a model's contract, which makes them a tensor or says everything that is wrong.

use super::{Cell, Place, Row, Violations};
use crate::model::{Contract, ElementType, Feature, Layout, Tensor, TensorData};

/// Checks every row against the contract and puts them into one tensor of shape `[rows, columns]`.
///
/// # Errors
///
/// Everything that is wrong with any row.
pub fn rows_to_tensor(rows: &[Row], layout: &Layout, contract: &Contract) -> Result<Tensor, Violations> {
    let mut violations = Violations::default();
    let mut cells: Vec<&Cell> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match row {
            Row::Positional(values) => positional(index, values, layout, contract, &mut violations),
            Row::Named(values) => named(index, values, layout, contract, &mut violations),
        }
        if violations.total == 0 {
            match row {
                Row::Positional(values) => cells.extend(values),
                Row::Named(values) => cells.extend(in_order(values, contract)),
            }
        }
    }
    if violations.total > 0 {
        return Err(violations);
    }
    let data = elements(&cells, layout.element_type);
    Tensor::new(vec![rows.len(), layout.columns], data).map_err(|error| {
        violations.add(0, || Place::Row, "wrong_count", || error.to_string());
        violations
    })
}

fn positional(
    row: usize,
    values: &[Cell],
    layout: &Layout,
    contract: &Contract,
    violations: &mut Violations,
) {
    if values.len() != layout.columns {
        let message = || {
            let names: Vec<&str> = contract.features.iter().map(|feature| feature.name.as_str()).collect();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            format!("expected {} values{names}, got {}", layout.columns, values.len())
        };
        violations.add(row, || Place::Row, "wrong_count", message);
    }
    for (column, cell) in values.iter().enumerate().take(layout.columns) {
        if let Some((code, message)) = objection(cell, layout.element_type, contract.features.get(column)) {
            violations.add(row, || Place::Column(column), code, || message);
        }
    }
}

fn named(
    row: usize,
    values: &[(String, Cell)],
    layout: &Layout,
    contract: &Contract,
    violations: &mut Violations,
) {
    if contract.features.is_empty() {
        let message = || format!("this model names no features: give a list of {} values", layout.columns);
        return violations.add(row, || Place::Row, "no_feature_names", message);
    }
    let mut given = vec![0_usize; contract.features.len()];
    for (name, cell) in values {
        let place = || Place::Name(name.clone());
        let Some(column) = contract.column(name) else {
            violations.add(row, place, "unknown_feature", || unknown(name, contract));
            continue;
        };
        given[column] += 1;
        match given[column] {
            1 => {
                let feature = contract.features.get(column);
                if let Some((code, message)) = objection(cell, layout.element_type, feature) {
                    violations.add(row, place, code, || message);
                }
            }
            2 => violations.add(row, place, "duplicate", || format!("`{name}` is given more than once")),
            _ => {}
        }
    }
    for (Feature { name, .. }, _) in contract.features.iter().zip(&given).filter(|(_, times)| **times == 0) {
        violations.add(row, || Place::Name(name.clone()), "missing", || format!("`{name}` is required"));
    }
}

/// Names longer than this are nobody's slip of the finger, and comparing them takes long.
const MAX_COMPARED_BYTES: usize = 64;

fn unknown(name: &str, contract: &Contract) -> String {
    let near = |feature: &Feature| {
        let distance = strsim::damerau_levenshtein(&feature.name, name);
        (distance <= (feature.name.len() / 3).max(2)).then(|| (distance, feature.name.clone()))
    };
    let comparable = name.len() <= MAX_COMPARED_BYTES;
    match contract.features.iter().filter(|_| comparable).filter_map(near).min() {
        Some((_, nearest)) => format!("the model has no feature of this name; did you mean `{nearest}`?"),
        None => "the model has no feature of this name".to_owned(),
    }
}

/// The cells of a row that has each feature once, in the order of the columns.
fn in_order<'c>(values: &'c [(String, Cell)], contract: &Contract) -> Vec<&'c Cell> {
    let mut ordered: Vec<(Option<usize>, &Cell)> =
        values.iter().map(|(name, cell)| (contract.column(name), cell)).collect();
    ordered.sort_by_key(|(column, _)| *column);
    ordered.into_iter().map(|(_, cell)| cell).collect()
}

/// What is wrong with a value, if anything.
#[expect(clippy::cast_precision_loss, reason = "only compared with limits that are floats themselves")]
fn objection(
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
        #[expect(clippy::cast_possible_truncation, reason = "this is the question")]
        (ElementType::F32, _) => (number as f32).is_finite(),
        (ElementType::F64, _) => number.is_finite(),
        (_, Cell::Integer(integer)) => integer_fits(*integer, element_type),
        _ => return Some(("not_an_integer", format!("expected {}, got {number}", allowed()))),
    };
    if !fits {
        return Some((
            "does_not_fit",
            format!("expected {}; this number does not fit {element_type}", allowed()),
        ));
    }
    let below = feature.and_then(|feature| feature.minimum).is_some_and(|minimum| number < minimum);
    let above = feature.and_then(|feature| feature.maximum).is_some_and(|maximum| number > maximum);
    (below || above).then(|| ("out_of_range", format!("expected {}, got {number}", allowed())))
}

/// What a column accepts, for example `a number from 0.1 to 15 (cm)`.
fn allowed(element_type: ElementType, feature: Option<&Feature>) -> String {
    let base = match element_type {
        ElementType::F32 | ElementType::F64 => "a number",
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
        Cell::Misplaced(kind) => kind,
    }
}

fn integer_fits(integer: i128, element_type: ElementType) -> bool {
    match element_type {
        ElementType::I8 => i8::try_from(integer).is_ok(),
        ElementType::I16 => i16::try_from(integer).is_ok(),
        ElementType::I32 => i32::try_from(integer).is_ok(),
        ElementType::I64 => i64::try_from(integer).is_ok(),
        ElementType::U8 => u8::try_from(integer).is_ok(),
        ElementType::U16 => u16::try_from(integer).is_ok(),
        ElementType::U32 => u32::try_from(integer).is_ok(),
        ElementType::U64 => u64::try_from(integer).is_ok(),
        ElementType::F32 | ElementType::F64 | ElementType::Bool | ElementType::String => false,
    }
}

/// The elements of cells that [`objection`] had nothing against; any that slipped through is left out, and the
/// tensor's shape check then refuses the whole.
fn elements(cells: &[&Cell], element_type: ElementType) -> TensorData {
    fn integers<T: TryFrom<i128>>(cells: &[&Cell]) -> Vec<T> {
        let integer = |cell: &&Cell| match cell {
            Cell::Integer(integer) => T::try_from(*integer).ok(),
            _ => None,
        };
        cells.iter().filter_map(integer).collect()
    }
    #[expect(clippy::cast_precision_loss, reason = "a whole number sent for a float column becomes a float")]
    let float = |cell: &&Cell| match cell {
        Cell::Integer(integer) => Some(*integer as f64),
        Cell::Float(float) => Some(*float),
        _ => None,
    };
    match element_type {
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
        ElementType::F32 => TensorData::F32(cells.iter().filter_map(float).map(|wide| wide as f32).collect()),
        ElementType::F64 => TensorData::F64(cells.iter().filter_map(float).collect()),
        ElementType::I8 => TensorData::I8(integers(cells)),
        ElementType::I16 => TensorData::I16(integers(cells)),
        ElementType::I32 => TensorData::I32(integers(cells)),
        ElementType::I64 => TensorData::I64(integers(cells)),
        ElementType::U8 => TensorData::U8(integers(cells)),
        ElementType::U16 => TensorData::U16(integers(cells)),
        ElementType::U32 => TensorData::U32(integers(cells)),
        ElementType::U64 => TensorData::U64(integers(cells)),
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Output;

    fn layout(element_type: ElementType) -> Layout {
        Layout { input: "x".to_owned(), element_type, columns: 2, outputs: vec![Output::Prediction] }
    }

    fn contract() -> Contract {
        let feature =
            |name: &str, minimum, maximum| Feature { name: name.to_owned(), unit: None, minimum, maximum };
        let features = vec![feature("width", Some(0.1), Some(15.0)), feature("height", None, None)];
        Contract::new(features, Vec::new())
    }

    fn check(json: &str, element_type: ElementType) -> Result<Tensor, Vec<(Place, &'static str)>> {
        let rows: Vec<Row> = serde_json::from_str(json).unwrap();
        rows_to_tensor(&rows, &layout(element_type), &contract())
            .map_err(|violations| violations.listed.into_iter().map(|v| (v.place, v.code)).collect())
    }

    fn name(name: &str) -> Place {
        Place::Name(name.to_owned())
    }

    #[test]
    fn rows_by_position_and_by_name_make_the_same_tensor() {
        let expected = Tensor::new(vec![2, 2], TensorData::F32(vec![1.0, 2.5, 3.0, 4.0])).unwrap();
        assert_eq!(check(r#"[[1, 2.5], {"height": 4, "width": 3}]"#, ElementType::F32), Ok(expected));
    }

    #[test]
    fn every_fault_of_a_row_is_named() {
        assert_eq!(
            check(r#"[{"widht": 1, "height": "tall", "height": 2}]"#, ElementType::F32),
            Err(vec![
                (name("widht"), "unknown_feature"),
                (name("height"), "not_a_number"),
                (name("height"), "duplicate"),
                (name("width"), "missing"),
            ])
        );
        assert_eq!(
            check("[[null, [[1]], 3]]", ElementType::F32),
            Err(vec![
                (Place::Row, "wrong_count"),
                (Place::Column(0), "not_a_number"),
                (Place::Column(1), "not_a_number"),
            ])
        );
    }

    #[test]
    fn a_number_that_overflows_the_model_is_refused_not_made_infinite() {
        assert_eq!(check("[[1, 1e39]]", ElementType::F32), Err(vec![(Place::Column(1), "does_not_fit")]));
        assert_eq!(check("[[1, -1e39]]", ElementType::F32), Err(vec![(Place::Column(1), "does_not_fit")]));
        assert!(check("[[1, 1e39]]", ElementType::F64).is_ok());
        let sixty_digits = format!("[[1, {}]]", "9".repeat(60));
        assert_eq!(check(&sixty_digits, ElementType::F32), Err(vec![(Place::Column(1), "does_not_fit")]));
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        for (value, accepted) in [("0.1", true), ("15", true), ("0.09", false), ("15.01", false)] {
            assert_eq!(check(&format!("[[{value}, 0]]"), ElementType::F32).is_ok(), accepted, "{value}");
        }
    }

    #[test]
    fn integers_keep_their_last_bit_and_are_never_rounded_or_wrapped() {
        let expected = Tensor::new(vec![1, 2], TensorData::I64(vec![1, 9_007_199_254_740_993])).unwrap();
        assert_eq!(check("[[1, 9007199254740993]]", ElementType::I64), Ok(expected));
        assert_eq!(check("[[1, 300]]", ElementType::U8), Err(vec![(Place::Column(1), "does_not_fit")]));
        assert_eq!(check("[[1, 1.5]]", ElementType::I32), Err(vec![(Place::Column(1), "not_an_integer")]));
    }

    #[test]
    fn messages_say_what_is_allowed() {
        let rows: Vec<Row> = serde_json::from_str("[[20, 1]]").unwrap();
        let violations = rows_to_tensor(&rows, &layout(ElementType::F32), &contract()).unwrap_err();
        assert_eq!(violations.listed[0].message, "expected a number from 0.1 to 15, got 20");
    }
}
