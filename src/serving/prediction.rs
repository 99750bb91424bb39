//! What a model answered, row by row.

use std::sync::Arc;

use super::ServingError;
use crate::{
    lifecycle::Servable,
    model::{Output, Scalar, Tensor},
};

/// The outputs of a run, checked to hold one row for each row that was asked.
#[derive(Debug)]
pub struct Prediction {
    /// The version that answered.
    pub servable: Arc<Servable>,
    /// How many rows were asked.
    pub rows: usize,
    outputs: Vec<Tensor>,
    widths: Vec<usize>,
}

impl Prediction {
    /// # Errors
    ///
    /// When an output does not hold `rows` rows, or holds NaN or infinity.
    pub(super) fn new(
        servable: Arc<Servable>,
        rows: usize,
        outputs: Vec<Tensor>,
    ) -> Result<Self, ServingError> {
        let mut widths = Vec::with_capacity(outputs.len());
        for (spec, output) in servable.signature.outputs.iter().zip(&outputs) {
            if !output.data().is_finite() {
                return Err(ServingError::NonFiniteOutput(spec.name.clone()));
            }
            let Some(width) = output.row_width(rows) else {
                let shape = output.shape();
                let cause = format!("output `{}` of shape {shape:?} does not hold {rows} rows", spec.name);
                return Err(ServingError::ModelFailed(cause));
            };
            widths.push(width);
        }
        Ok(Self { servable, rows, outputs, widths })
    }

    /// The outputs in the order of the signature: name, meaning, and the values of this row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&str, Output, Vec<Scalar<'_>>)> {
        let outputs = self.outputs.iter().zip(&self.widths);
        let declared = self.servable.signature.outputs.iter().zip(&self.servable.layout.outputs);
        declared.zip(outputs).map(move |((spec, role), (output, &width))| {
            let range = row * width..(row + 1) * width;
            (spec.name.as_str(), *role, range.filter_map(|index| output.data().get(index)).collect())
        })
    }

    /// What a predicted value means: the class of this number, or the value itself.
    #[must_use]
    pub fn label<'p>(&'p self, value: Scalar<'p>) -> Scalar<'p> {
        let class = match value {
            Scalar::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let label = class.and_then(|class| self.servable.contract.classes.get(class));
        label.map_or(value, |label| Scalar::Text(label))
    }

    /// The names of the classes whose probabilities an output of this width holds.
    #[must_use]
    pub fn class_names(&self, width: usize) -> Vec<String> {
        let classes = &self.servable.contract.classes;
        if classes.len() == width {
            classes.clone()
        } else {
            (0..width).map(|class| class.to_string()).collect()
        }
    }
}
