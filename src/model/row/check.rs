//! Checks of rows against a model's contract, which convert them to tensors or list every fault.

use super::{Cell, Location, Row, Violation};
use crate::model::{
    Contract, Layout, Tensor, Violations,
    element::{elements, objection},
    layout::RowInputs,
    nearest::nearest,
};

/// Checks every row against the contract and converts them to the inputs of the model, one row for each place along the
/// outermost dimension.
///
/// # Errors
///
/// All faults of all rows.
pub fn rows_to_tensors(
    rows: &[Row],
    layout: &Layout,
    contract: &Contract,
) -> Result<Vec<(String, Tensor)>, Violations> {
    let mut violations = Violations::default();
    for (index, row) in rows.iter().enumerate() {
        check_row(index, row, layout, contract, &mut violations);
    }
    if violations.total > 0 {
        return Err(violations);
    }
    row_tensors(rows, layout, contract).map_err(|message| {
        not_whole(&mut violations, message);
        violations
    })
}

/// Adds all faults of a row.
pub(super) fn check_row(
    index: usize,
    row: &Row,
    layout: &Layout,
    contract: &Contract,
    violations: &mut Violations,
) {
    match row {
        Row::Positional(values) => positional(index, values, layout, contract, violations),
        Row::Named(values) => named(index, values, layout, contract, violations),
    }
}

/// Adds that the tensors of rows do not fit together, though each row is valid.
pub(super) fn not_whole(violations: &mut Violations, message: String) {
    add(violations, 0, || Location::Row, "wrong_count", || message);
}

/// Converts valid rows to the inputs of the model.
pub(super) fn row_tensors(
    rows: &[Row],
    layout: &Layout,
    contract: &Contract,
) -> Result<Vec<(String, Tensor)>, String> {
    let mut cells: Vec<&Cell> = Vec::with_capacity(rows.len().saturating_mul(layout.columns()));
    for row in rows {
        match row {
            // Most requests take this branch, so it does the least work.
            Row::Positional(values) if !layout.fills_any() => cells.extend(values),
            row => cells.extend(in_order(row, layout, contract)),
        }
    }
    tensors(&cells, rows.len(), layout)
}

/// Converts cells, row by row, to the inputs of the model.
fn tensors(cells: &[&Cell], rows: usize, layout: &Layout) -> Result<Vec<(String, Tensor)>, String> {
    let tensor = |name: &str, shape, data| {
        Tensor::new(shape, data).map(|tensor| (name.to_owned(), tensor)).map_err(|error| error.to_string())
    };
    match &layout.inputs {
        RowInputs::Matrix { input, element_type, columns, flat } => {
            let shape = if *flat { vec![rows] } else { vec![rows, *columns] };
            Ok(vec![tensor(input, shape, elements(cells, *element_type))?])
        }
        RowInputs::Columns(columns) => {
            let column = |(index, column): (usize, &crate::model::layout::ColumnInput)| {
                let cells: Vec<&Cell> = cells.iter().skip(index).step_by(columns.len()).copied().collect();
                let shape = if column.flat { vec![rows] } else { vec![rows, 1] };
                tensor(&column.input, shape, elements(&cells, column.element_type))
            };
            columns.iter().enumerate().map(column).collect()
        }
    }
}

fn add(
    violations: &mut Violations,
    row: usize,
    place: impl FnOnce() -> Location,
    code: &'static str,
    message: impl FnOnce() -> String,
) {
    violations.add(|| Violation { row, place: place(), code, message: message() });
}

fn positional(
    row: usize,
    values: &[Cell],
    layout: &Layout,
    contract: &Contract,
    violations: &mut Violations,
) {
    let columns = layout.columns();
    if values.len() != columns {
        let message = || {
            let names: Vec<&str> = contract.features.iter().map(|feature| feature.name.as_str()).collect();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            format!("expected {columns} values{names}, got {}", values.len())
        };
        add(violations, row, || Location::Row, "wrong_count", message);
    }
    for (column, cell) in values.iter().enumerate().take(columns) {
        if let Some((code, message)) = column_objection(column, cell, layout, contract) {
            add(violations, row, || Location::Column(column), code, || message);
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
    let names: Vec<&str> = match layout.only_column() {
        Some(input) if contract.features.is_empty() => vec![input],
        _ => contract.features.iter().map(|feature| feature.name.as_str()).collect(),
    };
    if names.is_empty() {
        let message = || format!("this model names no features: give a list of {} values", layout.columns());
        return add(violations, row, || Location::Row, "no_feature_names", message);
    }
    let mut given = vec![0_usize; names.len()];
    for (name, cell) in values {
        let place = || Location::Name(name.clone());
        let Some(column) = layout.column_of(name, contract) else {
            add(violations, row, place, "unknown_feature", || unknown(name, &names));
            continue;
        };
        given[column] += 1;
        match given[column] {
            1 => {
                if let Some((code, message)) = column_objection(column, cell, layout, contract) {
                    add(violations, row, place, code, || message);
                }
            }
            2 => add(violations, row, place, "duplicate", || format!("`{name}` is given more than once")),
            _ => {}
        }
    }
    for (column, name) in names.iter().enumerate() {
        if given[column] == 0 && layout.fill(column).is_none() {
            add(
                violations,
                row,
                || Location::Name((*name).to_owned()),
                "missing",
                || format!("`{name}` is required"),
            );
        }
    }
}

/// Returns the fault of a value of this column; `None` for a missing one that has a replacement.
fn column_objection(
    column: usize,
    cell: &Cell,
    layout: &Layout,
    contract: &Contract,
) -> Option<(&'static str, String)> {
    if *cell == Cell::Null && layout.fill(column).is_some() {
        return None;
    }
    let objection = objection(cell, layout.element_type(column)?, contract.features.get(column));
    objection.map(|(code, message)| match cell {
        Cell::Null => (
            code,
            format!("{message}: give a value, or let `missing` in the contract say what stands in for it"),
        ),
        _ => (code, message),
    })
}

fn unknown(name: &str, names: &[&str]) -> String {
    match nearest(name, names.iter().copied()) {
        Some(nearest) => format!("the model has no feature of this name; did you mean `{nearest}`?"),
        None => "the model has no feature of this name".to_owned(),
    }
}

/// Returns the cells of a valid row in the order of the columns, with replacements for missing ones.
fn in_order<'c>(row: &'c Row, layout: &'c Layout, contract: &Contract) -> Vec<&'c Cell> {
    let mut ordered: Vec<&Cell> = match row {
        Row::Positional(values) => values.iter().collect(),
        Row::Named(values) => {
            let mut ordered = vec![&Cell::Null; layout.columns()];
            for (name, cell) in values {
                if let Some(place) =
                    layout.column_of(name, contract).and_then(|column| ordered.get_mut(column))
                {
                    *place = cell;
                }
            }
            ordered
        }
    };
    for (column, cell) in ordered.iter_mut().enumerate() {
        if **cell == Cell::Null
            && let Some(fill) = layout.fill(column)
        {
            *cell = fill;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Feature, Missing, Signature, TensorData, ValueSpec};

    fn layout(element_type: ElementType) -> Layout {
        let shape = vec![Dimension::Dynamic(String::new()), Dimension::Fixed(2)];
        let inputs = vec![ValueSpec::tensor("x", element_type, shape)];
        Layout::of(&Signature { inputs, outputs: Vec::new() }, &contract()).unwrap().unwrap()
    }

    fn contract() -> Contract {
        let width = Feature { minimum: Some(0.1), maximum: Some(15.0), ..Feature::new("width") };
        Contract::new(vec![width, Feature::new("height")], Vec::new())
    }

    fn check(json: &str, element_type: ElementType) -> Result<Tensor, Vec<(Location, &'static str)>> {
        let rows: Vec<Row> = serde_json::from_str(json).unwrap();
        rows_to_tensors(&rows, &layout(element_type), &contract())
            .map(|mut inputs| inputs.remove(0).1)
            .map_err(|violations| violations.listed.into_iter().map(|v| (v.place, v.code)).collect())
    }

    fn name(name: &str) -> Location {
        Location::Name(name.to_owned())
    }

    #[test]
    fn rows_by_position_and_by_name_make_the_same_tensor() {
        let expected = Tensor::new(vec![2, 2], TensorData::F32(vec![1.0, 2.5, 3.0, 4.0].into())).unwrap();
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
                (Location::Row, "wrong_count"),
                (Location::Column(0), "not_a_number"),
                (Location::Column(1), "not_a_number"),
            ])
        );
    }

    #[test]
    fn a_number_that_overflows_the_model_is_refused_not_made_infinite() {
        assert_eq!(check("[[1, 1e39]]", ElementType::F32), Err(vec![(Location::Column(1), "does_not_fit")]));
        assert_eq!(check("[[1, -1e39]]", ElementType::F32), Err(vec![(Location::Column(1), "does_not_fit")]));
        assert!(check("[[1, 1e39]]", ElementType::F64).is_ok());
        let sixty_digits = format!("[[1, {}]]", "9".repeat(60));
        assert_eq!(check(&sixty_digits, ElementType::F32), Err(vec![(Location::Column(1), "does_not_fit")]));
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        for (value, accepted) in [("0.1", true), ("15", true), ("0.09", false), ("15.01", false)] {
            assert_eq!(check(&format!("[[{value}, 0]]"), ElementType::F32).is_ok(), accepted, "{value}");
        }
    }

    #[test]
    fn integers_keep_their_last_bit_and_are_never_rounded_or_wrapped() {
        let expected =
            Tensor::new(vec![1, 2], TensorData::I64(vec![1, 9_007_199_254_740_993].into())).unwrap();
        assert_eq!(check("[[1, 9007199254740993]]", ElementType::I64), Ok(expected));
        assert_eq!(check("[[1, 300]]", ElementType::U8), Err(vec![(Location::Column(1), "does_not_fit")]));
        assert_eq!(check("[[1, 1.5]]", ElementType::I32), Err(vec![(Location::Column(1), "not_an_integer")]));
    }

    #[test]
    fn messages_say_what_is_allowed() {
        let rows: Vec<Row> = serde_json::from_str("[[20, 1]]").unwrap();
        let violations = rows_to_tensors(&rows, &layout(ElementType::F32), &contract()).unwrap_err();
        assert_eq!(violations.listed[0].message, "expected a number from 0.1 to 15, got 20");
    }

    #[test]
    fn each_column_may_be_an_input_of_its_own() {
        let rows = || Dimension::Dynamic("N".to_owned());
        let inputs = vec![
            ValueSpec::tensor("city", ElementType::String, vec![rows(), Dimension::Fixed(1)]),
            ValueSpec::tensor("age", ElementType::F32, vec![rows()]),
        ];
        let signature = Signature { inputs, outputs: Vec::new() };
        let age = Feature { missing: Missing::Nan, ..Feature::new("age") };
        let contract = Contract::new(vec![age, Feature::new("city")], Vec::new());
        let layout = Layout::of(&signature, &contract).unwrap().unwrap();
        let rows: Vec<Row> = serde_json::from_str(r#"[[40, "Rome"], {"city": "Oslo"}]"#).unwrap();
        let inputs = rows_to_tensors(&rows, &layout, &contract).unwrap();
        let shapes: Vec<(&str, &[usize])> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        assert_eq!(shapes, [("age", [2].as_slice()), ("city", [2, 1].as_slice())]);
        let texts = TensorData::String(vec!["Rome".to_owned(), "Oslo".to_owned()]);
        assert_eq!(inputs[1].1.data(), &texts);
        let TensorData::F32(ages) = inputs[0].1.data() else { panic!("{inputs:?}") };
        assert!((ages[0] - 40.0).abs() < f32::EPSILON && ages[1].is_nan());
    }
}
