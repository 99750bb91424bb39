//! Check of class names against a model's outputs, for graphs that list no labels.

use super::{Inputs, RowSampler, row_sampler::split, run};
use crate::{
    lifecycle::{Reason, Refusal},
    model::{Contract, Layout, Output, Scalar, Tensor, Value},
    runtime::{Instance, RunOptions},
};

/// Rows that are run.
const ROWS: usize = 32;

/// Fewest rows of a class that prove that its column is another one.
const LEAST_ROWS: usize = 4;

/// Checks class names against labels and probabilities. Each label is a position among the names, each name has a
/// column, and each class is the likeliest of some of its rows.
///
/// # Errors
///
/// [`Reason::InvalidContract`] if names and outputs disagree.
pub fn check_classes(
    instance: &mut Instance,
    contract: &Contract,
    layout: &Layout,
    inputs: &[(String, Tensor)],
) -> Result<(), Refusal> {
    let scores = layout.outputs.iter().position(|role| *role == Output::Probabilities);
    let scores = scores.and_then(|place| instance.signature().outputs.get(place));
    // If the graph lists the labels of the columns, they were matched when the contract was read.
    if contract.classes.is_empty() || scores.is_some_and(|spec| contract.graph.scored.contains(&spec.name)) {
        return Ok(());
    }
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    let first = split(inputs).and_then(|rows| rows.into_iter().next());
    let varied = first.and_then(|row| RowSampler::new(contract, false).rows(&[row], ROWS));
    let batches = std::iter::once(inputs.to_vec()).chain(varied);
    let mut check = Check { contract, counts: vec![(0, 0); contract.classes.len()] };
    for batch in batches {
        // The model may not accept rows that were drawn.
        if let Ok(outputs) = run(instance, &batch, &options) {
            check.outputs(&batch, &outputs, layout).map_err(invalid)?;
        }
    }
    let never = check.counts.iter().position(|(compared, agreed)| *compared >= LEAST_ROWS && *agreed == 0);
    if let Some(class) = never {
        return Err(invalid(format!(
            "`classes`: of {} rows of the class {class} none has it as the likeliest column: the names are not in the order \
             of the columns",
            check.counts[class].0
        )));
    }
    Ok(())
}

fn invalid(detail: String) -> Refusal {
    Refusal::new(Reason::InvalidContract, detail)
}

struct Check<'c> {
    contract: &'c Contract,
    /// Rows of each class, and those of them in which it is the likeliest.
    counts: Vec<(usize, usize)>,
}

impl Check<'_> {
    fn outputs(&mut self, inputs: &Inputs, outputs: &[Value], layout: &Layout) -> Result<(), String> {
        let tensor = |role| {
            let position = layout.outputs.iter().position(|known| *known == role)?;
            match outputs.get(position)? {
                Value::Tensor(tensor) => Some(tensor),
                _ => None,
            }
        };
        let Some(rows) = inputs.first().and_then(|(_, tensor)| tensor.shape().first().copied()) else {
            return Ok(());
        };
        let labels = tensor(Output::Prediction).filter(|tensor| tensor.row_width(rows) == Some(1));
        let columns =
            tensor(Output::Probabilities).and_then(|tensor| Some((tensor, tensor.row_width(rows)?)));
        if let Some((_, width)) = columns
            && width != self.counts.len()
        {
            return Err(format!(
                "`classes` has {} names, the model returns {width} probabilities",
                self.counts.len()
            ));
        }
        for row in 0..rows {
            let Some(label) = labels.and_then(|labels| labels.data().get(row)) else { continue };
            let class = match (&self.contract.graph.labels, label) {
                (Some(labels), label) => labels.position(label),
                (None, Scalar::Integer(number)) => usize::try_from(number).ok(),
                (None, _) => continue,
            };
            let Some(class) = class.filter(|class| *class < self.counts.len()) else {
                let names = self.counts.len();
                return Err(format!(
                    "`classes` has {names} names, and none for the label {label} that the model returns"
                ));
            };
            if let Some((probabilities, width)) = columns {
                let is_likeliest = greatest(probabilities, row, width) == Some(class);
                if let Some((compared, agreed)) = self.counts.get_mut(class) {
                    *compared += 1;
                    *agreed += usize::from(is_likeliest);
                }
            }
        }
        Ok(())
    }
}

/// Finds the column of the greatest element of a row.
fn greatest(tensor: &Tensor, row: usize, width: usize) -> Option<usize> {
    let element = |column: usize| tensor.data().get(row * width + column)?.as_float();
    (0..width).max_by(|one, other| {
        element(*one).unwrap_or(f64::NAN).total_cmp(&element(*other).unwrap_or(f64::NAN))
    })
}
