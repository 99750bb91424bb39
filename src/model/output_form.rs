//! Relations of outputs to the rows of a run: found by the proof, never from a single response.

use std::{fmt, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Signature, Value, ValueKind};

/// The relation of an output to the rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputForm {
    /// One part for each row ([`Value::holds_rows`]).
    ByRow,
    /// One value, whatever the rows and their number, as a buffer that a model returns.
    Constant,
    /// Anything else: states of several layers, a mean over all rows, a product of each row with each.
    Whole,
}

/// Forms of a model's outputs in the order of the signature; empty if its inputs do not count rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputForms(Vec<OutputForm>);

/// An output that prevents requests with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeOutput {
    /// The name of the output.
    pub name: String,
    /// The shape, for example `[2, N, 4]`.
    pub shape: String,
}

/// The reason for which a model takes no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRows {
    /// The inputs are not columns of a row.
    #[error("the model does not take rows")]
    Inputs,
    /// One of several inputs is a scalar or has no declared shape, so a list of rows would be another value.
    #[error("the model does not take rows, as input `{0}` has no dimension for them")]
    Scalar(String),
    /// An output does not hold one part for each row.
    #[error("the model does not take rows, as {0}")]
    Output(WholeOutput),
}

impl NoRows {
    /// Returns advice on the form of request that the model takes.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Inputs => "send `inputs`, a tensor for each of its inputs",
            Self::Scalar(_) | Self::Output(_) => "send whole tensors as `inputs`",
        }
    }
}

impl fmt::Display for WholeOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "output `{}` {} does not hold one part for each row", self.name, self.shape)
    }
}

impl OutputForms {
    /// Creates the forms of all outputs, in the order of the signature.
    #[must_use]
    pub fn new(forms: Vec<OutputForm>) -> Self {
        Self(forms)
    }

    /// Returns the form of the output at this position; `None` if the proof did not find it.
    #[must_use]
    pub fn get(&self, output: usize) -> Option<OutputForm> {
        self.0.get(output).copied()
    }

    /// Returns true if they can be the forms of `outputs` outputs.
    #[must_use]
    pub fn fit(&self, outputs: usize) -> bool {
        self.0.is_empty() || self.0.len() == outputs
    }

    /// Finds the output that prevents rows: one that is neither by row nor constant, or the first if none is by row.
    #[must_use]
    pub fn whole_output(&self, signature: &Signature) -> Option<WholeOutput> {
        let whole = self.0.iter().position(|form| *form == OutputForm::Whole);
        let none_by_row = !self.0.contains(&OutputForm::ByRow);
        let position = whole.or_else(|| (none_by_row && !self.0.is_empty()).then_some(0))?;
        let spec = signature.outputs.get(position)?;
        let shape = match &spec.kind {
            ValueKind::Tensor { shape, .. } if shape.is_empty() => "(a scalar)".to_owned(),
            ValueKind::Tensor { shape, .. } => {
                let dimensions: Vec<String> = shape.iter().map(ToString::to_string).collect();
                format!("[{}]", dimensions.join(", "))
            }
            other => format!("({other})"),
        };
        Some(WholeOutput { name: spec.name.clone(), shape })
    }

    /// Returns the outputs that are the same for all rows.
    #[must_use]
    pub fn constants(&self) -> Constants {
        let is_constant = |form: &OutputForm| *form == OutputForm::Constant;
        let has_any = self.0.iter().any(is_constant);
        Constants(has_any.then(|| self.0.iter().map(is_constant).collect()))
    }
}

/// Outputs of a model that are the same for all rows, and so are never split into rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constants(Option<Arc<[bool]>>);

impl Constants {
    /// Returns true if the output at this position is one.
    #[must_use]
    pub fn contains(&self, output: usize) -> bool {
        self.0.as_deref().and_then(|flags| flags.get(output)).is_some_and(|is_constant| *is_constant)
    }

    /// Returns true if every other output holds one part for each of `rows` rows.
    #[must_use]
    pub fn hold_rows(&self, outputs: &[Value], rows: usize) -> bool {
        let holds = |(index, output): (usize, &Value)| self.contains(index) || output.holds_rows(rows);
        outputs.iter().enumerate().all(holds)
    }

    /// Returns the parts of some rows, with constants whole; `None` if an output does not hold these rows.
    #[must_use]
    pub fn rows_of(&self, outputs: &[Value], rows: &Range<usize>) -> Option<Vec<Value>> {
        let part = |(index, output): (usize, &Value)| {
            if self.contains(index) { Some(output.clone()) } else { output.rows(rows.clone()) }
        };
        outputs.iter().enumerate().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, ElementType, Tensor, TensorData, ValueSpec};

    fn signature() -> Signature {
        let shape = vec![Dimension::Fixed(2), Dimension::Dynamic("N".to_owned())];
        let outputs = vec![
            ValueSpec::tensor("loss", ElementType::F32, Vec::new()),
            ValueSpec::tensor("h", ElementType::F32, shape),
        ];
        Signature { inputs: Vec::new(), outputs }
    }

    #[test]
    fn the_output_that_stands_against_rows_is_named_with_its_shape() {
        use OutputForm::{ByRow, Constant, Whole};
        for (forms, expected) in [
            (vec![ByRow, Whole], Some("output `h` [2, N] does not hold one part for each row")),
            (vec![Whole, ByRow], Some("output `loss` (a scalar) does not hold one part for each row")),
            (vec![Constant, Constant], Some("output `loss` (a scalar) does not hold one part for each row")),
            (vec![Constant, ByRow], None),
            (Vec::new(), None),
        ] {
            let whole = OutputForms::new(forms.clone()).whole_output(&signature());
            assert_eq!(whole.map(|whole| whole.to_string()).as_deref(), expected, "{forms:?}");
        }
    }

    #[test]
    fn constants_stay_whole_where_rows_are_cut() {
        let values = |numbers: &[i64]| {
            let data = TensorData::I64(numbers.to_vec().into());
            Value::Tensor(Tensor::new(vec![numbers.len()], data).unwrap())
        };
        let constants = OutputForms::new(vec![OutputForm::ByRow, OutputForm::Constant]).constants();
        let outputs = [values(&[1, 2]), values(&[10, 20, 30])];
        assert!(constants.hold_rows(&outputs, 2) && !constants.hold_rows(&outputs, 3));
        assert_eq!(constants.rows_of(&outputs, &(1..2)).unwrap(), [values(&[2]), values(&[10, 20, 30])]);
        assert!(!Constants::default().hold_rows(&outputs, 2));
    }
}
