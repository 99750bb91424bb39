//! Rows of numbers in the order of the columns: the most frequent request. They are checked like all rows
//! ([`super::rows_to_tensors`]), but without a description of their faults.

use crate::model::{Contract, ElementType, Feature, Layout, RowInputs, Tensor, TensorData};

/// The layout of rows of numbers in a model that takes them as one matrix of floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatLayout {
    input: String,
    element_type: ElementType,
    columns: usize,
    /// True if the input has the shape `[rows]` instead of `[rows, columns]`.
    is_vector: bool,
    /// The least and the greatest number of each column; empty if no column has a range.
    ranges: Vec<(f64, f64)>,
}

/// An element type into which rows of numbers are read.
pub trait FlatElement: Copy {
    /// The element type.
    const ELEMENT_TYPE: ElementType;

    /// Converts a number to the nearest element; `None` if it does not fit the type.
    fn of_number(number: f64) -> Option<Self>;

    /// Wraps the elements for a tensor.
    fn tensor_data(elements: Vec<Self>) -> TensorData;
}

impl FlatElement for f32 {
    const ELEMENT_TYPE: ElementType = ElementType::F32;

    #[expect(clippy::cast_possible_truncation, reason = "rounding to the model's precision is meant")]
    fn of_number(number: f64) -> Option<Self> {
        Some(number as Self).filter(|element| element.is_finite())
    }

    fn tensor_data(elements: Vec<Self>) -> TensorData {
        TensorData::F32(elements.into())
    }
}

impl FlatElement for f64 {
    const ELEMENT_TYPE: ElementType = ElementType::F64;

    fn of_number(number: f64) -> Option<Self> {
        Some(number).filter(|element| element.is_finite())
    }

    fn tensor_data(elements: Vec<Self>) -> TensorData {
        TensorData::F64(elements.into())
    }
}

impl FlatLayout {
    /// Derives the layout; `None` if the model does not take rows as one matrix of 32- or 64-bit floats.
    #[must_use]
    pub fn of(layout: &Layout, contract: &Contract) -> Option<Self> {
        let RowInputs::Matrix { input, element_type, columns, flat } = &layout.inputs else { return None };
        let is_float = matches!(element_type, ElementType::F32 | ElementType::F64);
        if !is_float || *columns == 0 {
            return None;
        }
        let has_range = |feature: &Feature| feature.minimum.is_some() || feature.maximum.is_some();
        let range = |feature: &Feature| {
            (feature.minimum.unwrap_or(f64::NEG_INFINITY), feature.maximum.unwrap_or(f64::INFINITY))
        };
        let ranges = if contract.features.iter().any(has_range) {
            contract.features.iter().map(range).collect()
        } else {
            Vec::new()
        };
        Some(Self {
            input: input.clone(),
            element_type: *element_type,
            columns: *columns,
            is_vector: *flat,
            ranges,
        })
    }

    /// Returns the input that takes the rows.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Returns the type of its elements: 32- or 64-bit floats.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Returns the number of values in a row; at least one.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Converts a number to an element of this column; `None` if the contract or the type refuses it.
    #[must_use]
    pub fn element<T: FlatElement>(&self, column: usize, number: f64) -> Option<T> {
        // Checked before it is rounded: 0.3 as a 32-bit float is more than 0.3.
        if let Some((minimum, maximum)) = self.ranges.get(column)
            && (number < *minimum || number > *maximum)
        {
            return None;
        }
        T::of_number(number)
    }

    /// Builds the input tensor; `None` if the count or type of elements does not match.
    #[must_use]
    pub fn tensor<T: FlatElement>(&self, rows: usize, elements: Vec<T>) -> Option<Tensor> {
        if T::ELEMENT_TYPE != self.element_type {
            return None;
        }
        let shape = if self.is_vector { vec![rows] } else { vec![rows, self.columns] };
        Tensor::new(shape, T::tensor_data(elements)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Dimension, Row, Signature, ValueSpec, rows_to_tensors};

    fn layouts(
        shape: &[Dimension],
        element_type: ElementType,
        contract: &Contract,
    ) -> (Layout, Option<FlatLayout>) {
        let inputs = vec![ValueSpec::tensor("x", element_type, shape.to_vec())];
        let layout = Layout::of(&Signature { inputs, outputs: Vec::new() }, contract).unwrap().unwrap();
        let flat = FlatLayout::of(&layout, contract);
        (layout, flat)
    }

    fn rows() -> Dimension {
        Dimension::Dynamic("N".to_owned())
    }

    #[test]
    fn only_a_matrix_or_a_vector_of_floats_takes_rows_of_numbers() {
        let none = Contract::empty();
        for (shape, element_type, expected) in [
            (&[rows(), Dimension::Fixed(3)][..], ElementType::F32, Some(3)),
            (&[rows(), Dimension::Fixed(3)], ElementType::F64, Some(3)),
            (&[rows()], ElementType::F32, Some(1)),
            (&[rows(), Dimension::Fixed(3)], ElementType::F16, None),
            (&[rows(), Dimension::Fixed(3)], ElementType::I64, None),
            (&[rows(), Dimension::Fixed(0)], ElementType::F32, None),
        ] {
            let columns = layouts(shape, element_type, &none).1.map(|flat| flat.columns());
            assert_eq!(columns, expected, "{shape:?} {element_type}");
        }
        let columns = ["a", "b"].map(|name| ValueSpec::tensor(name, ElementType::F32, vec![rows()])).to_vec();
        let layout = Layout::of(&Signature { inputs: columns, outputs: Vec::new() }, &none).unwrap().unwrap();
        assert_eq!(FlatLayout::of(&layout, &none), None);
    }

    #[test]
    fn a_number_is_taken_exactly_if_it_is_taken_in_a_row() {
        let limits = [
            (None, None),
            (Some(0.3), Some(0.3)),
            (Some(0.0), None),
            (None, Some(-1e39)),
            (Some(1e39), None),
        ];
        let feature =
            |(column, (minimum, maximum))| Feature { minimum, maximum, ..Feature::new(format!("f{column}")) };
        let contract = Contract::new(limits.into_iter().enumerate().map(feature).collect(), Vec::new());
        let numbers = [
            0.0,
            -0.0,
            0.3,
            f64::from(0.3_f32),
            0.3_f64.next_down(),
            1e38,
            1e39,
            -1e39,
            1e308,
            1e-300,
            f64::INFINITY,
            f64::from(f32::MAX),
            3.402_823_5e38,
            3.402_823_567e38,
        ];
        for element_type in [ElementType::F32, ElementType::F64] {
            let (layout, flat) = layouts(&[rows(), Dimension::Fixed(5)], element_type, &contract);
            let flat = flat.unwrap();
            for (column, number) in (0..5).flat_map(|column| numbers.map(|number| (column, number))) {
                // Valid values in the other columns.
                let mut cells = [0.0, 0.3, 0.0, -1e39, 1e39].map(Cell::Float).to_vec();
                cells[column] = Cell::Float(number);
                let violations = rows_to_tensors(&[Row::Positional(cells)], &layout, &contract);
                let listed = violations.map_err(|violations| violations.listed).err().unwrap_or_default();
                let refused =
                    listed.iter().any(|violation| violation.place == crate::model::Location::Column(column));
                let taken = match element_type {
                    ElementType::F32 => flat.element::<f32>(column, number).is_some(),
                    _ => flat.element::<f64>(column, number).is_some(),
                };
                assert_eq!(taken, !refused, "{number:?} in column {column} as {element_type}");
            }
        }
    }

    #[test]
    fn elements_of_another_type_or_number_make_no_tensor() {
        let flat = layouts(&[rows(), Dimension::Fixed(2)], ElementType::F32, &Contract::empty()).1.unwrap();
        assert_eq!(flat.tensor(2, vec![1.0_f32; 4]).unwrap().shape(), [2, 2]);
        assert!(flat.tensor(2, vec![1.0_f32; 3]).is_none());
        assert!(flat.tensor(2, vec![1.0_f64; 4]).is_none());
        let vector = layouts(&[rows()], ElementType::F64, &Contract::empty()).1.unwrap();
        assert_eq!(vector.tensor(3, vec![1.0_f64; 3]).unwrap().shape(), [3]);
        assert_eq!(vector.input(), "x");
    }
}
