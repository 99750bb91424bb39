//! How rows of named or positional values, the native form of a request, fit a model's inputs and outputs.

use super::{Contract, Dimension, ElementType, Signature, TensorSpec};

/// More columns than this are no row of a request: they would not fit a body of the size that is accepted.
const MAX_COLUMNS: usize = 1 << 20;

/// Where a row goes in and where its prediction comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The name of the one input.
    pub input: String,
    /// The type of its elements.
    pub element_type: ElementType,
    /// How many values a row has.
    pub columns: usize,
    /// What each output means, in the order of the signature.
    pub outputs: Vec<Output>,
}

/// What an output means in a native answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The answer itself: a label or a number.
    Prediction,
    /// One probability for each class.
    Probabilities,
    /// Anything else: answered under its own name.
    Other,
}

/// Why a model cannot be asked row by row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Rows need one place to go.
    #[error("the model has {0} inputs; rows need exactly one")]
    Inputs(usize),
    /// Rows need a matrix of any number of rows and a known number of columns.
    #[error("the input `{0}` is not a matrix with any number of rows and a known number of columns")]
    Shape(String),
    /// A row of so many values fits no request.
    #[error("the input `{0}` has more than {MAX_COLUMNS} columns")]
    Columns(String),
    /// The author's columns are not the model's.
    #[error("the contract names {features} features, the input `{input}` has {columns} columns")]
    Features {
        /// The input.
        input: String,
        /// How many columns it has.
        columns: usize,
        /// How many features the contract names.
        features: usize,
    },
    /// There is nothing to answer with.
    #[error("the model has no outputs")]
    Outputs,
}

impl Layout {
    /// Finds the layout of a model.
    ///
    /// # Errors
    ///
    /// When the model does not take rows: it has several inputs, or its input is no matrix.
    pub fn of(signature: &Signature, contract: &Contract) -> Result<Self, LayoutError> {
        let [input] = signature.inputs.as_slice() else {
            return Err(LayoutError::Inputs(signature.inputs.len()));
        };
        let features = contract.features.len();
        let columns = match input.shape.as_slice() {
            [Dimension::Dynamic(_), Dimension::Fixed(columns)] => *columns,
            [Dimension::Dynamic(_), Dimension::Dynamic(_)] if features > 0 => features,
            _ => return Err(LayoutError::Shape(input.name.clone())),
        };
        if columns > MAX_COLUMNS {
            return Err(LayoutError::Columns(input.name.clone()));
        }
        if features > 0 && features != columns {
            return Err(LayoutError::Features { input: input.name.clone(), columns, features });
        }
        let outputs = output_roles(signature, contract)?;
        Ok(Self { input: input.name.clone(), element_type: input.element_type, columns, outputs })
    }
}

/// The first output that can be a label or a number is the prediction; exporters of classifiers put the label first
/// and the probabilities second (skl2onnx, onnxmltools).
fn output_roles(signature: &Signature, contract: &Contract) -> Result<Vec<Output>, LayoutError> {
    if signature.outputs.is_empty() {
        return Err(LayoutError::Outputs);
    }
    let prediction = signature.outputs.iter().position(is_label).unwrap_or(0);
    let probabilities = signature
        .outputs
        .iter()
        .enumerate()
        .position(|(index, output)| index != prediction && holds_probabilities(output, contract));
    let role = |index| {
        if index == prediction {
            Output::Prediction
        } else if Some(index) == probabilities {
            Output::Probabilities
        } else {
            Output::Other
        }
    };
    Ok((0..signature.outputs.len()).map(role).collect())
}

fn is_label(output: &TensorSpec) -> bool {
    matches!(output.element_type, ElementType::I64 | ElementType::String) && output.shape.len() <= 2
}

fn holds_probabilities(output: &TensorSpec, contract: &Contract) -> bool {
    let float = matches!(output.element_type, ElementType::F32 | ElementType::F64);
    let columns = match output.shape.as_slice() {
        [_, Dimension::Fixed(columns)] => Some(*columns),
        [_, Dimension::Dynamic(_)] => None,
        _ => return false,
    };
    let named = output.name.to_ascii_lowercase().contains("probab");
    float && (named || (!contract.classes.is_empty() && columns == Some(contract.classes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Feature;

    fn spec(name: &str, element_type: ElementType, columns: Option<usize>) -> TensorSpec {
        let mut shape = vec![Dimension::Dynamic(String::new())];
        shape.extend(columns.map(Dimension::Fixed));
        TensorSpec { name: name.to_owned(), element_type, shape }
    }

    fn contract(features: usize, classes: usize) -> Contract {
        let feature = |index| Feature { name: format!("f{index}"), unit: None, minimum: None, maximum: None };
        Contract::new(
            (0..features).map(feature).collect(),
            (0..classes).map(|index| format!("c{index}")).collect(),
        )
    }

    #[test]
    fn a_classifier_answers_with_label_and_probabilities() {
        let signature = Signature {
            inputs: vec![spec("x", ElementType::F32, Some(4))],
            outputs: vec![
                spec("label", ElementType::I64, None),
                spec("scores", ElementType::F32, Some(3)),
                spec("leaf", ElementType::F32, Some(9)),
            ],
        };
        let layout = Layout::of(&signature, &contract(4, 3)).unwrap();
        assert_eq!(layout.columns, 4);
        assert_eq!(layout.outputs, [Output::Prediction, Output::Probabilities, Output::Other]);
    }

    #[test]
    fn a_regressor_answers_with_its_number() {
        let signature = Signature {
            inputs: vec![spec("x", ElementType::F64, Some(2))],
            outputs: vec![spec("variable", ElementType::F32, Some(1))],
        };
        let layout = Layout::of(&signature, &contract(0, 0)).unwrap();
        assert_eq!(layout.outputs, [Output::Prediction]);
    }

    #[test]
    fn says_why_rows_do_not_fit() {
        let output = || vec![spec("y", ElementType::F32, Some(1))];
        let two = Signature {
            inputs: vec![spec("a", ElementType::F32, Some(1)), spec("b", ElementType::F32, Some(1))],
            outputs: output(),
        };
        assert_eq!(Layout::of(&two, &contract(0, 0)), Err(LayoutError::Inputs(2)));
        let vector = Signature { inputs: vec![spec("a", ElementType::F32, None)], outputs: output() };
        assert_eq!(Layout::of(&vector, &contract(0, 0)), Err(LayoutError::Shape("a".to_owned())));
        let wide = Signature { inputs: vec![spec("a", ElementType::F32, Some(1 << 40))], outputs: output() };
        assert_eq!(Layout::of(&wide, &contract(0, 0)), Err(LayoutError::Columns("a".to_owned())));
        let matrix = Signature { inputs: vec![spec("a", ElementType::F32, Some(3))], outputs: output() };
        let error = Layout::of(&matrix, &contract(4, 0)).unwrap_err();
        assert!(error.to_string().contains("names 4 features, the input `a` has 3 columns"));
    }
}
