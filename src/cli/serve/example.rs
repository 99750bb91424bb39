//! Example requests to a model, as JSON that can be pasted.

use crate::{
    codec::{infer_example, row_example, tensors_example},
    lifecycle::example_inputs,
    serving::Servable,
};

/// A request that a model should accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// The path of the request.
    pub(super) path: String,
    /// The body, on one line.
    pub(super) body: String,
    /// A description of the inputs.
    pub(super) origin: &'static str,
}

/// Lists example requests, the best first. A model need not accept synthetic ones.
pub(super) fn examples(servable: &Servable) -> Vec<Example> {
    let Servable { name, contract, .. } = servable;
    let layout = servable.layout.as_deref();
    let has_golden = !contract.golden.is_empty();
    let inputs = example_inputs(&servable.signature, layout, contract);
    let mut found = Vec::new();
    for (index, inputs) in inputs.iter().enumerate() {
        let origin =
            if index == 0 && has_golden { "a golden case of its contract" } else { "synthetic values" };
        let path = format!("/models/{name}/predict");
        if let Some(body) = layout.and_then(|layout| row_example(layout, contract, inputs)) {
            found.push(Example { path, body, origin });
            continue;
        }
        found.push(Example { path, body: tensors_example(inputs), origin });
        // The limit for bodies of the Open Inference Protocol is higher.
        found.push(Example { path: format!("/v2/models/{name}/infer"), body: infer_example(inputs), origin });
    }
    found
}
