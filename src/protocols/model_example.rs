//! Example requests to a model, for its description.

use serde_json::Value;

use crate::{
    codec::{Model, infer_example, row_example, tensors_example},
    edge::ModelExample,
    serving::short_example_inputs,
};

/// Most elements of an example: a person reads it.
const MAX_ELEMENTS: usize = 64;

/// Returns examples that the model should accept: a golden case of its contract, or synthetic values. `None` if they
/// would be long, or the contract allows none.
pub(super) fn model_example(model: Model<'_>) -> Option<ModelExample> {
    let Model { signature, layout, contract } = model;
    let inputs = short_example_inputs(signature, layout, contract, MAX_ELEMENTS)?;
    let row = layout.and_then(|layout| row_example(layout, contract, &inputs));
    let parsed = |text: String| serde_json::from_str::<Value>(&text).ok();
    Some(ModelExample {
        native: parsed(row.unwrap_or_else(|| tensors_example(&inputs)))?,
        tensors: parsed(infer_example(&inputs))?,
    })
}
