//! Checking names of classes against what a model answers, where its graph lists no labels.

use super::{Inputs, Varied, run, varied::split};
use crate::{
    lifecycle::{Reason, Refusal},
    model::{Contract, Layout, Output, Scalar, Tensor, Value},
    runtime::{Instance, RunOptions},
};

/// Rows that are answered.
const ROWS: usize = 32;

/// Checks that labels are places among the names, that each name has a column of probabilities, and that the label is the
/// likeliest class of some row.
///
/// # Errors
///
/// [`Reason::InvalidContract`] when names and answers do not go together.
pub fn check_classes(
    instance: &mut Instance,
    contract: &Contract,
    layout: &Layout,
    inputs: &[(String, Tensor)],
) -> Result<(), Refusal> {
    // Labels that the graph lists were matched when the contract was read.
    if contract.classes.is_empty() || contract.graph.labels.is_some() {
        return Ok(());
    }
    let options = RunOptions::new().map_err(|error| Refusal::new(Reason::RunFailed, error.message()))?;
    let first = split(inputs).and_then(|rows| rows.into_iter().next());
    let varied = first.and_then(|row| Varied::new(contract, false).rows(&[row], ROWS));
    let batches = std::iter::once(inputs.to_vec()).chain(varied);
    let mut check = Check { names: contract.classes.len(), compared: 0, agreed: 0 };
    for batch in batches {
        // Rows that were drawn may be more than the model takes.
        if let Ok(outputs) = run(instance, &batch, &options) {
            check.outputs(&batch, &outputs, layout).map_err(invalid)?;
        }
    }
    if check.compared >= ROWS && check.agreed == 0 {
        return Err(invalid(format!(
            "`classes`: of {} rows none has its label as the likeliest class: the names are not in the order of the columns",
            check.compared
        )));
    }
    Ok(())
}

fn invalid(detail: String) -> Refusal {
    Refusal::new(Reason::InvalidContract, detail)
}

struct Check {
    names: usize,
    /// Rows of a label and probabilities.
    compared: usize,
    /// Rows of which the label is the likeliest class.
    agreed: usize,
}

impl Check {
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
            && width != self.names
        {
            return Err(format!(
                "`classes` has {} names, the model answers {width} probabilities",
                self.names
            ));
        }
        for row in 0..rows {
            let Some(Scalar::Integer(label)) = labels.and_then(|labels| labels.data().get(row)) else {
                continue;
            };
            let Some(class) = usize::try_from(label).ok().filter(|class| *class < self.names) else {
                return Err(format!(
                    "`classes` has {} names for the labels 0 to {}, the model answers the label {label}",
                    self.names,
                    self.names - 1
                ));
            };
            if let Some((probabilities, width)) = columns {
                self.compared += 1;
                self.agreed += usize::from(greatest(probabilities, row, width) == Some(class));
            }
        }
        Ok(())
    }
}

/// The column of the greatest element of a row.
fn greatest(tensor: &Tensor, row: usize, width: usize) -> Option<usize> {
    let element = |column: usize| tensor.data().get(row * width + column)?.as_float();
    (0..width).max_by(|one, other| {
        element(*one).unwrap_or(f64::NAN).total_cmp(&element(*other).unwrap_or(f64::NAN))
    })
}
