//! What a model answered.

use std::sync::Arc;

use super::ServingError;
use crate::{
    lifecycle::Servable,
    model::{Layout, RowOutputs, Tensor, Value},
};

/// The answer to rows.
#[derive(Debug)]
pub struct Prediction {
    /// The version that answered.
    pub servable: Arc<Servable>,
    /// What its outputs mean.
    pub layout: Arc<Layout>,
    /// What it said of each row.
    pub outputs: RowOutputs,
}

/// The answer to tensors.
#[derive(Debug)]
pub struct Inference {
    /// The version that answered.
    pub servable: Arc<Servable>,
    /// Every output in the order of the signature.
    pub outputs: Vec<Value>,
}

impl Inference {
    /// # Errors
    ///
    /// When an output holds NaN or infinity and the contract does not allow it. Where inputs do too, it is they who are
    /// to blame, and not the model.
    pub(super) fn new(
        servable: Arc<Servable>,
        outputs: Vec<Value>,
        inputs: &[(String, Tensor)],
    ) -> Result<Self, ServingError> {
        if !servable.contract.allows_non_finite() {
            let mut named = servable.signature.outputs.iter().zip(&outputs);
            if let Some((spec, _)) = named.find(|(_, output)| !output.is_finite()) {
                let output = spec.name.clone();
                let to_blame = inputs.iter().any(|(_, input)| !input.data().is_finite());
                return Err(if to_blame {
                    ServingError::NonFiniteInput(output)
                } else {
                    ServingError::NonFiniteOutput(output)
                });
            }
        }
        Ok(Self { servable, outputs })
    }
}
