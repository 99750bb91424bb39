//! Inputs for examples of requests: those of a golden case, or synthetic ones.

use super::{
    Inputs, first_rows,
    row_sampler::split,
    synthetic_inputs::{ATTEMPTS, RANK_WITH_BATCHES, synthetic_inputs},
};
use crate::model::{Contract, Dimension, Layout, Signature, ValueSpec};

/// Returns inputs that the model should accept, the best first: the first golden case, then synthetic inputs in the
/// order in which a proof tries them. If the model takes rows, each is one row.
#[must_use]
pub fn example_inputs(signature: &Signature, layout: Option<&Layout>, contract: &Contract) -> Vec<Inputs> {
    let golden = contract.golden.first().map(|case| case.inputs.clone());
    let synthetic = ATTEMPTS
        .iter()
        .filter_map(|attempt| synthetic_inputs(signature, layout, contract, *attempt).ok().flatten());
    let mut found: Vec<Inputs> = Vec::new();
    for inputs in golden.into_iter().chain(synthetic) {
        let row = layout.and_then(|_| split(&inputs)?.into_iter().next());
        let example = row.unwrap_or(inputs);
        if !found.contains(&example) {
            found.push(example);
        }
    }
    found
}

/// Returns the first of [`example_inputs`], without making the others. `None` if it has more than `most` elements, or is
/// synthetic and as small as models of images or sounds do not take.
#[must_use]
pub fn short_example_inputs(
    signature: &Signature,
    layout: Option<&Layout>,
    contract: &Contract,
    most: usize,
) -> Option<Inputs> {
    let count = |inputs: &Inputs| inputs.iter().map(|(_, tensor)| tensor.data().len()).sum::<usize>();
    let inputs = match contract.golden.first() {
        Some(case) if layout.is_some() => first_rows(&case.inputs),
        Some(case) if count(&case.inputs) <= most => case.inputs.clone(),
        _ if least_elements(signature) > most || takes_sizes(signature) => return None,
        _ => synthetic_inputs(signature, layout, contract, *ATTEMPTS.first()?).ok().flatten()?,
    };
    Some(inputs).filter(|inputs| count(inputs) <= most)
}

/// Returns true if an input has an open dimension beside those of rows and columns, as an image of any size.
fn takes_sizes(signature: &Signature) -> bool {
    let is_open = |dimension: &Dimension| matches!(dimension, Dimension::Dynamic(_));
    let mut shapes = signature.inputs.iter().filter_map(|spec| spec.as_tensor()).map(|(_, shape)| shape);
    shapes.any(|shape| shape.len() >= RANK_WITH_BATCHES && shape.iter().skip(1).any(is_open))
}

/// Returns the number of elements if every open dimension is one.
fn least_elements(signature: &Signature) -> usize {
    let elements = |spec: &ValueSpec| {
        let sizes = spec.as_tensor().into_iter().flat_map(|(_, shape)| shape);
        sizes.fold(1_usize, |product, dimension| match dimension {
            Dimension::Fixed(size) => product.saturating_mul(*size),
            Dimension::Dynamic(_) => product,
        })
    };
    signature.inputs.iter().map(elements).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, TensorData};

    #[test]
    fn a_golden_case_comes_first_and_each_row_once() {
        let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2)];
        let signature = Signature {
            inputs: vec![ValueSpec::tensor("x", ElementType::F32, shape.clone())],
            outputs: vec![ValueSpec::tensor("y", ElementType::F32, shape)],
        };
        let json = r#"{"golden":[{"inputs":{"x":[[5,6],[7,8]]},"outputs":{"y":[[5,6],[7,8]]}}]}"#;
        let contract = Contract::parse(json, &signature).unwrap();
        let layout = Layout::of(&signature, &contract).unwrap();
        let rows: Vec<TensorData> = example_inputs(&signature, layout.as_ref(), &contract)
            .into_iter()
            .map(|inputs| inputs[0].1.data().clone())
            .collect();
        assert_eq!(
            rows,
            [[5.0, 6.0], [1.0, 1.0], [0.0, 0.0]].map(|row| TensorData::F32(row.to_vec().into()))
        );
    }
}
