//! Conversion of rows to inputs while they are read, so that they are never all in memory as values.

use super::{
    Row,
    check::{check_row, not_whole, row_tensors},
};
use crate::model::{Contract, Layout, Tensor, Violations};

/// The most values in memory before they become elements of tensors.
const BATCH_VALUES: usize = 16 * 1024;

/// A reader that checks rows against a model's contract.
#[derive(Debug)]
pub struct RowsReader<'l> {
    /// `None` if the rows are only counted.
    contract: Option<(&'l Layout, &'l Contract)>,
    /// Valid rows that are not in the tensors yet.
    batch: Vec<Row>,
    /// The number of values in `batch`.
    values: usize,
    count: usize,
    inputs: Vec<(String, Tensor)>,
    violations: Violations,
}

/// The inputs of a model, or all faults of the rows.
type Inputs = Result<Vec<(String, Tensor)>, Violations>;

/// Rows that were read.
#[derive(Debug)]
pub struct Rows {
    count: usize,
    inputs: Option<Inputs>,
}

impl<'l> RowsReader<'l> {
    /// Creates a reader for a model with this layout; without a layout, rows are only counted.
    #[must_use]
    pub fn new(layout: Option<&'l Layout>, contract: &'l Contract) -> Self {
        Self { contract: layout.map(|layout| (layout, contract)), ..Self::counting() }
    }

    /// Creates a reader that only counts rows.
    #[must_use]
    pub fn counting() -> Self {
        let (batch, inputs, violations) = (Vec::new(), Vec::new(), Violations::default());
        Self { contract: None, batch, values: 0, count: 0, inputs, violations }
    }

    /// Returns the number of rows read so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds the next row.
    pub fn push(&mut self, row: Row) {
        let index = self.count;
        self.count += 1;
        let Some((layout, contract)) = self.contract else { return };
        check_row(index, &row, layout, contract, &mut self.violations);
        if self.violations.total > 0 {
            // The rows are refused; the rest is read only to list its faults.
            (self.batch, self.inputs) = (Vec::new(), Vec::new());
            return;
        }
        self.values += row.len().max(1);
        self.batch.push(row);
        if self.values >= BATCH_VALUES {
            self.flush(layout, contract);
        }
    }

    fn flush(&mut self, layout: &Layout, contract: &Contract) {
        match row_tensors(&self.batch, layout, contract) {
            Ok(tensors) if self.inputs.is_empty() => self.inputs = tensors,
            Ok(tensors) => {
                for ((_, whole), (_, part)) in self.inputs.iter_mut().zip(tensors) {
                    if !whole.append(part) {
                        not_whole(&mut self.violations, "the rows are of several shapes".to_owned());
                    }
                }
            }
            Err(message) => not_whole(&mut self.violations, message),
        }
        self.batch.clear();
        self.values = 0;
    }

    /// Ends the list of rows.
    #[must_use]
    pub fn finish(mut self) -> Rows {
        let inputs = self.contract.map(|(layout, contract)| {
            if self.violations.total == 0 && (!self.batch.is_empty() || self.inputs.is_empty()) {
                self.flush(layout, contract);
            }
            let inputs = std::mem::take(&mut self.inputs);
            std::mem::take(&mut self.violations).into_result(|| inputs)
        });
        Rows { count: self.count, inputs }
    }
}

impl Rows {
    /// Returns the number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the inputs of the model, or all faults of the rows; `None` if they were only counted.
    #[must_use]
    pub fn into_inputs(self) -> Option<Inputs> {
        self.inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Cell, Dimension, ElementType, Location, Signature, TensorData, ValueSpec, rows_to_tensors,
    };

    fn layout(contract: &Contract) -> Layout {
        let rows = || Dimension::Dynamic("N".to_owned());
        let inputs = vec![
            ValueSpec::tensor("city", ElementType::String, vec![rows(), Dimension::Fixed(1)]),
            ValueSpec::tensor("age", ElementType::F32, vec![rows()]),
        ];
        Layout::of(&Signature { inputs, outputs: Vec::new() }, contract).unwrap().unwrap()
    }

    fn row(age: u16) -> Row {
        Row::Positional(vec![Cell::Text(age.to_string()), Cell::Integer(age.into())])
    }

    #[test]
    fn many_rows_make_the_same_tensors_as_all_at_once() {
        let contract = Contract::new(Vec::new(), Vec::new());
        let layout = layout(&contract);
        let rows: Vec<Row> = (0..30_000).map(row).collect();
        let mut reader = RowsReader::new(Some(&layout), &contract);
        for row in rows.iter().cloned() {
            reader.push(row);
        }
        let read = reader.finish();
        assert_eq!(read.count(), 30_000);
        let inputs = read.into_inputs().unwrap().unwrap();
        assert_eq!(inputs, rows_to_tensors(&rows, &layout, &contract).unwrap());
        let TensorData::String(texts) = inputs[0].1.data() else { panic!("{:?}", inputs[0]) };
        assert_eq!(texts[29_999], "29999");
    }

    #[test]
    fn a_wrong_row_is_named_and_rows_without_a_layout_are_counted() {
        let contract = Contract::new(Vec::new(), Vec::new());
        let layout = layout(&contract);
        let mut reader = RowsReader::new(Some(&layout), &contract);
        let mut counting = RowsReader::counting();
        for age in 0..20_000 {
            let row = if age % 10_000 == 9_999 { Row::Positional(Vec::new()) } else { row(age) };
            counting.push(row.clone());
            reader.push(row);
        }
        let violations = reader.finish().into_inputs().unwrap().unwrap_err();
        let places: Vec<(usize, &Location)> = violations.listed.iter().map(|v| (v.row, &v.place)).collect();
        assert_eq!(places, [(9_999, &Location::Row), (19_999, &Location::Row)]);
        let counted = counting.finish();
        assert!(counted.count() == 20_000 && counted.into_inputs().is_none());
    }
}
