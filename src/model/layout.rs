//! Mapping of rows of named or positional values, the native form of a request, to a model's inputs and outputs.

mod roles;

pub use roles::Output;

use super::{
    Cell, Contract, Dimension, ElementType, Feature, Missing, NoRows, OutputForms, Signature, ValueSpec,
    element::objection,
};

/// The most columns of a row: more would not fit a body of the accepted size.
const MAX_COLUMNS: usize = 1 << 20;

/// The inputs that take a row, and the outputs that hold its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The inputs that take the values of a row.
    pub inputs: RowInputs,
    /// Meaning of each output, in the order of the signature.
    pub outputs: Vec<Output>,
    /// Replacement of a missing value, for each column; empty if no column has one.
    fills: Vec<Option<Cell>>,
}

/// The inputs that take the values of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowInputs {
    /// All values go into one input.
    Matrix {
        /// Name of the input.
        input: String,
        /// Type of its elements.
        element_type: ElementType,
        /// Number of values in a row.
        columns: usize,
        /// True if the input has the shape `[rows]` instead of `[rows, columns]`.
        flat: bool,
    },
    /// Each value goes into an input of its own, in the order of the features.
    Columns(Vec<ColumnInput>),
}

/// An input that takes one value of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInput {
    /// Name of the input and of the feature.
    pub input: String,
    /// Type of its elements.
    pub element_type: ElementType,
    /// True if it has the shape `[rows]` instead of `[rows, 1]`.
    pub flat: bool,
}

/// A contract whose features do not fit the model's inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The contract names features, but the model does not take rows.
    #[error("features are named, but {0}")]
    NoRows(NoRows),
    /// The numbers of features and of columns differ.
    #[error("{features} features are named, the input `{input}` has {columns} columns")]
    Count {
        /// Name of the input.
        input: String,
        /// Number of its columns.
        columns: usize,
        /// Number of features in the contract.
        features: usize,
    },
    /// Each column is an input, but the features have other names.
    #[error("the features [{features}] are not the inputs [{inputs}]")]
    Names {
        /// Names of the inputs.
        inputs: String,
        /// Names of the features.
        features: String,
    },
    /// The replacement of a missing value is not valid for the column.
    #[error("feature `{feature}`: `missing`: {message}")]
    Missing {
        /// Name of the feature.
        feature: String,
        /// The fault of the replacement.
        message: String,
    },
}

impl Layout {
    /// Derives the layout of a model; `None` if it does not take rows.
    ///
    /// Rows go into one matrix or vector, or into several vectors or matrices of one column, each with any number of
    /// rows.
    ///
    /// # Errors
    ///
    /// When the features of the contract do not fit the inputs.
    pub fn of(signature: &Signature, contract: &Contract) -> Result<Option<Self>, LayoutError> {
        let features = &contract.features;
        let inputs = match signature.inputs.as_slice() {
            [input] => matrix(input, features)?,
            inputs => columns(inputs, features)?,
        };
        let Some(inputs) = inputs else {
            return if features.is_empty() { Ok(None) } else { Err(LayoutError::NoRows(NoRows::Inputs)) };
        };
        let outputs = roles::roles(signature, contract, &OutputForms::default());
        let mut layout = Self { inputs, outputs, fills: Vec::new() };
        if features.iter().any(|feature| !feature.missing.is_refused()) {
            let fill = |(column, feature)| fill(feature, layout.element_type(column));
            layout.fills = features.iter().enumerate().map(fill).collect::<Result<_, _>>()?;
        } else if features.is_empty() {
            layout.fills = layout.fills_of_graph(contract);
        }
        Ok(Some(layout))
    }

    /// Updates the meaning of outputs once the proof found their forms: an output that is the same for all rows
    /// predicts none of them.
    #[must_use]
    pub fn with_forms(mut self, signature: &Signature, contract: &Contract, forms: &OutputForms) -> Self {
        self.outputs = roles::roles(signature, contract, forms);
        self
    }

    /// Returns the number of values in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        match &self.inputs {
            RowInputs::Matrix { columns, .. } => *columns,
            RowInputs::Columns(columns) => columns.len(),
        }
    }

    /// Finds a column by name: its feature's, or, without features, the input's name for an only column.
    #[must_use]
    pub fn column_of(&self, name: &str, contract: &Contract) -> Option<usize> {
        if contract.features.is_empty() {
            (self.only_column()? == name).then_some(0)
        } else {
            contract.column(name)
        }
    }

    /// Returns the name of the only input if it takes one value per row; `None` for any other layout.
    #[must_use]
    pub fn only_column(&self) -> Option<&str> {
        match &self.inputs {
            RowInputs::Matrix { input, columns: 1, .. } => Some(input),
            RowInputs::Matrix { .. } | RowInputs::Columns(_) => None,
        }
    }

    /// Returns the type of a column's values.
    #[must_use]
    pub fn element_type(&self, column: usize) -> Option<ElementType> {
        match &self.inputs {
            RowInputs::Matrix { element_type, .. } => Some(*element_type),
            RowInputs::Columns(columns) => columns.get(column).map(|column| column.element_type),
        }
    }

    /// Returns the input that takes the values of a column, and the column's position in it.
    #[must_use]
    pub fn place(&self, column: usize) -> Option<(&str, usize)> {
        match &self.inputs {
            RowInputs::Matrix { input, .. } => Some((input.as_str(), column)),
            RowInputs::Columns(columns) => columns.get(column).map(|column| (column.input.as_str(), 0)),
        }
    }

    /// Returns NaN for each column without a feature whose missing values the graph handles; empty if there are none.
    fn fills_of_graph(&self, contract: &Contract) -> Vec<Option<Cell>> {
        let known = &contract.graph.columns;
        let may_miss = |column| {
            let facts = self.place(column).and_then(|(input, place)| known.get(input, place));
            let is_float = self.element_type(column).is_some_and(ElementType::is_float);
            is_float && facts.is_some_and(|facts| facts.missing)
        };
        if known.is_empty() || !(0..self.columns()).any(may_miss) {
            return Vec::new();
        }
        (0..self.columns()).map(|column| may_miss(column).then_some(Cell::Float(f64::NAN))).collect()
    }

    /// Returns true if any column has a replacement for missing values.
    pub(super) fn fills_any(&self) -> bool {
        !self.fills.is_empty()
    }

    /// Returns the replacement for missing values of a column; `None` if it has none.
    #[must_use]
    pub fn fill(&self, column: usize) -> Option<&Cell> {
        self.fills.get(column)?.as_ref()
    }
}

fn matrix(input: &ValueSpec, features: &[Feature]) -> Result<Option<RowInputs>, LayoutError> {
    let Some((element_type, shape)) = input.as_tensor().filter(|_| !input.is_optional()) else {
        return Ok(None);
    };
    let (columns, flat) = match shape {
        [Dimension::Dynamic(_)] => (1, true),
        [Dimension::Dynamic(_), Dimension::Fixed(columns)] => (*columns, false),
        [Dimension::Dynamic(_), Dimension::Dynamic(_)] if !features.is_empty() => (features.len(), false),
        _ => return Ok(None),
    };
    if columns > MAX_COLUMNS {
        return Ok(None);
    }
    let input = input.name.clone();
    if !features.is_empty() && features.len() != columns {
        return Err(LayoutError::Count { input, columns, features: features.len() });
    }
    Ok(Some(RowInputs::Matrix { input, element_type, columns, flat }))
}

fn columns(inputs: &[ValueSpec], features: &[Feature]) -> Result<Option<RowInputs>, LayoutError> {
    let Some(columns) = inputs.iter().map(column).collect::<Option<Vec<_>>>() else { return Ok(None) };
    if columns.is_empty() || features.is_empty() {
        return Ok((!columns.is_empty()).then_some(RowInputs::Columns(columns)));
    }
    let named = |feature: &Feature| columns.iter().find(|column| column.input == feature.name).cloned();
    let ordered: Option<Vec<ColumnInput>> = features.iter().map(named).collect();
    if let Some(ordered) = ordered.filter(|ordered| ordered.len() == columns.len()) {
        return Ok(Some(RowInputs::Columns(ordered)));
    }
    let features: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    let inputs: Vec<&str> = columns.iter().map(|column| column.input.as_str()).collect();
    Err(LayoutError::Names { inputs: inputs.join(", "), features: features.join(", ") })
}

fn column(input: &ValueSpec) -> Option<ColumnInput> {
    let (element_type, shape) = input.as_tensor().filter(|_| !input.is_optional())?;
    let flat = match shape {
        [Dimension::Dynamic(_)] => true,
        [Dimension::Dynamic(_), Dimension::Fixed(1)] => false,
        _ => return None,
    };
    Some(ColumnInput { input: input.name.clone(), element_type, flat })
}

/// Returns the replacement of a feature's missing values; `None` if the contract has none for it.
fn fill(feature: &Feature, element_type: Option<ElementType>) -> Result<Option<Cell>, LayoutError> {
    let wrong = |message: String| LayoutError::Missing { feature: feature.name.clone(), message };
    let Some(element_type) = element_type else { return Ok(None) };
    match &feature.missing {
        Missing::Unspecified | Missing::Refuse => Ok(None),
        Missing::Nan if element_type.is_float() => Ok(Some(Cell::Float(f64::NAN))),
        Missing::Nan => Err(wrong(match element_type {
            ElementType::String => {
                r#"texts have no NaN: write "refuse", or a text in its place ({"default": "nan"} is the text nan)"#
                    .to_owned()
            }
            ElementType::Bool => r#"true and false have no NaN: write "refuse", true or false"#.to_owned(),
            _ => format!(r#"{element_type} has no NaN: write "refuse", or a whole number in its place"#),
        })),
        Missing::Default(value) => {
            let cell = Cell::of_json(value).map_err(|error| wrong(error.to_string()))?;
            match objection(&cell, element_type, Some(feature)) {
                Some((_, message)) => Err(wrong(message)),
                None => Ok(Some(cell)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ValueKind;

    fn spec(name: &str, element_type: ElementType, columns: Option<usize>) -> ValueSpec {
        let mut shape = vec![Dimension::Dynamic(String::new())];
        shape.extend(columns.map(Dimension::Fixed));
        ValueSpec::tensor(name, element_type, shape)
    }

    fn contract(features: &[&str], classes: usize) -> Contract {
        Contract::new(
            features.iter().map(|name| Feature::new(*name)).collect(),
            (0..classes).map(|index| format!("c{index}")).collect(),
        )
    }

    fn layout(inputs: Vec<ValueSpec>, contract: &Contract) -> Result<Option<Layout>, String> {
        let outputs = vec![spec("variable", ElementType::F32, Some(1))];
        Layout::of(&Signature { inputs, outputs }, contract).map_err(|error| error.to_string())
    }

    #[test]
    fn a_classifier_answers_with_label_and_probabilities() {
        let maps = ValueKind::Map { key: ElementType::I64, value: ElementType::F32 };
        let zip_map =
            ValueSpec { name: "output_probability".to_owned(), kind: ValueKind::Sequence(Box::new(maps)) };
        for probabilities in [spec("scores", ElementType::F32, Some(3)), zip_map] {
            let signature = Signature {
                inputs: vec![spec("x", ElementType::F32, Some(4))],
                outputs: vec![
                    spec("label", ElementType::I64, None),
                    probabilities,
                    spec("leaf", ElementType::F32, Some(9)),
                ],
            };
            let layout = Layout::of(&signature, &contract(&["a", "b", "c", "d"], 3)).unwrap().unwrap();
            assert_eq!(layout.columns(), 4);
            assert_eq!(layout.outputs, [Output::Prediction, Output::Probabilities, Output::Other]);
        }
    }

    #[test]
    fn a_regressor_answers_with_its_number() {
        let layout = layout(vec![spec("x", ElementType::F64, Some(2))], &contract(&[], 0)).unwrap().unwrap();
        assert_eq!(layout.outputs, [Output::Prediction]);
    }

    #[test]
    fn a_vector_and_several_inputs_take_rows_too() {
        let vector = layout(vec![spec("a", ElementType::F32, None)], &contract(&[], 0)).unwrap().unwrap();
        assert_eq!(vector.columns(), 1);
        let inputs = || vec![spec("a", ElementType::F32, Some(1)), spec("b", ElementType::String, None)];
        let names = |contract: &Contract| match layout(inputs(), contract)?.unwrap().inputs {
            RowInputs::Columns(columns) => {
                Ok(columns.into_iter().map(|column| column.input).collect::<Vec<_>>())
            }
            RowInputs::Matrix { .. } => Err("one input".to_owned()),
        };
        assert_eq!(names(&contract(&[], 0)).unwrap(), ["a", "b"]);
        assert_eq!(names(&contract(&["b", "a"], 0)).unwrap(), ["b", "a"]);
        let message = names(&contract(&["a", "c"], 0)).unwrap_err();
        assert_eq!(message, "the features [a, c] are not the inputs [a, b]");
    }

    #[test]
    fn what_takes_no_rows_has_no_layout() {
        let none = contract(&[], 0);
        for inputs in [
            Vec::new(),
            vec![spec("a", ElementType::F32, Some(1 << 40))],
            vec![ValueSpec::tensor("a", ElementType::F32, Vec::new())],
            vec![ValueSpec::tensor("a", ElementType::F32, vec![Dimension::Fixed(1), Dimension::Fixed(4)])],
            vec![spec("a", ElementType::F32, Some(2)), spec("b", ElementType::F32, None)],
        ] {
            assert_eq!(layout(inputs.clone(), &none), Ok(None), "{inputs:?}");
            assert!(layout(inputs, &contract(&["a", "b", "c"], 0)).is_err());
        }
        let message = layout(vec![spec("a", ElementType::F32, Some(3))], &contract(&["a"], 0)).unwrap_err();
        assert_eq!(message, "1 features are named, the input `a` has 3 columns");
    }

    #[test]
    fn what_stands_in_for_a_missing_value_must_fit_the_column() {
        let missing = |missing, element_type| {
            let feature = Feature { missing, maximum: Some(9.0), ..Feature::new("a") };
            layout(vec![spec("a", element_type, None)], &Contract::new(vec![feature], Vec::new()))
                .map(|layout| layout.unwrap().fill(0).cloned())
        };
        let default = |value: serde_json::Value| Missing::Default(value);
        assert_eq!(missing(default(7.into()), ElementType::I64), Ok(Some(Cell::Integer(7))));
        assert!(missing(Missing::Nan, ElementType::F32).unwrap().is_some());
        assert!(missing(Missing::Nan, ElementType::I64).unwrap_err().contains("INT64 has no NaN"));
        assert!(missing(default(10.into()), ElementType::F32).unwrap_err().contains("at most 9"));
        assert!(missing(default("x".into()), ElementType::F32).unwrap_err().contains("got a text"));
    }
}
