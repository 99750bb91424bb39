//! Roles of a model's outputs in a native response.

use crate::model::{
    Contract, Dimension, ElementType, OutputForm, OutputForms, Signature, ValueKind, ValueSpec,
};

/// The role of an output in a native response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The prediction itself: a label or a number.
    Prediction,
    /// One probability for each class.
    Probabilities,
    /// Any other output, which the response has under its own name.
    Other,
    /// A value that all rows share: the response repeats it whole with each row, under its own name.
    Constant,
}

/// Assigns the roles. The first output that can be a label or a number is the prediction. Exporters of classifiers put
/// the label first and the probabilities second (skl2onnx, onnxmltools).
pub(super) fn roles(signature: &Signature, contract: &Contract, forms: &OutputForms) -> Vec<Output> {
    let is_constant = |index: usize| forms.get(index) == Some(OutputForm::Constant);
    let mut by_row = signature.outputs.iter().enumerate().filter(|(index, _)| !is_constant(*index));
    let first = by_row.clone().next().map_or(0, |(index, _)| index);
    let prediction = by_row.find(|(_, output)| is_label(output)).map_or(first, |(index, _)| index);
    let probabilities = signature.outputs.iter().enumerate().position(|(index, output)| {
        index != prediction && !is_constant(index) && holds_probabilities(output, contract)
    });
    let role = |index| {
        if is_constant(index) {
            Output::Constant
        } else if index == prediction {
            Output::Prediction
        } else if Some(index) == probabilities {
            Output::Probabilities
        } else {
            Output::Other
        }
    };
    (0..signature.outputs.len()).map(role).collect()
}

fn is_label(output: &ValueSpec) -> bool {
    output.as_tensor().is_some_and(|(element_type, shape)| {
        matches!(element_type, ElementType::I64 | ElementType::String) && shape.len() <= 2
    })
}

fn holds_probabilities(output: &ValueSpec, contract: &Contract) -> bool {
    match &output.kind {
        // One map from class to probability for each row.
        ValueKind::Sequence(items) => {
            matches!(**items, ValueKind::Map { value, .. } if value.is_float())
        }
        ValueKind::Tensor { element_type, shape } => {
            let columns = match shape.as_slice() {
                [_, Dimension::Fixed(columns)] => Some(*columns),
                [_, Dimension::Dynamic(_)] => None,
                _ => return false,
            };
            let named = output.name.to_ascii_lowercase().contains("probab");
            let as_classes = !contract.classes.is_empty() && columns == Some(contract.classes.len());
            element_type.is_float() && (named || as_classes)
        }
        ValueKind::Map { .. } | ValueKind::Optional(_) => false,
    }
}
