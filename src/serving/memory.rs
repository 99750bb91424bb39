//! The memory of a request, charged before it is allocated, and its rows, charged before they run.

use super::{RequestContext, Servable, ServingError};
use crate::{
    model::{Signature, ValueKind},
    system::byte_budget::count,
};

/// Memory of the outputs as a multiple of their tensors: the tensors, and the response. Binary is as long as the
/// tensors, text up to three times as long.
const BINARY_COPIES: u64 = 2;
const TEXT_COPIES: u64 = 4;

/// Bytes of an element whose type has no fixed size: a short text with its place in a list.
const TEXT_BYTES: usize = 48;

/// Fewest bytes of an element while it is read.
const LEAST_ELEMENT_BYTES: usize = 8;

/// Longest text whose elements are not charged: its tensor is too small to count.
const SHORT_TEXT_BYTES: usize = 16 * 1024;

impl RequestContext {
    /// Charges the elements that a text may hold: each but the last is followed by a comma or the end of a line.
    ///
    /// # Errors
    ///
    /// [`ServingError::OverBudget`] if there is no room for them.
    pub async fn reserve_elements(&self, signature: &Signature, text: &[u8]) -> Result<(), ServingError> {
        match &self.charge {
            Some(charge) if text.len() > SHORT_TEXT_BYTES => {
                let separators = text.iter().filter(|byte| matches!(**byte, b',' | b'\n')).count();
                let bytes = separators.saturating_add(1).saturating_mul(element_bytes(signature));
                Ok(charge.grow(count(bytes)).await?)
            }
            _ => Ok(()),
        }
    }

    /// Charges a run on inputs of this size: its rows to the quotas, and the expected outputs and their text to the
    /// budget.
    ///
    /// # Errors
    ///
    /// [`ServingError::OverLimit`] if a quota is used up, [`ServingError::OverBudget`] if there is no room for the outputs.
    pub async fn reserve_run(
        &self,
        servable: &Servable,
        rows: usize,
        inputs: usize,
    ) -> Result<(), ServingError> {
        if let Some(quota) = &self.quota {
            quota.charge_rows(&servable.name, rows).await?;
        }
        let Some(charge) = &self.charge else { return Ok(()) };
        // The text of the inputs is freed by now, or is their memory.
        charge.settle(count(inputs));
        let outputs = servable.output_size.expected(rows);
        let copies = if self.has_binary_response { BINARY_COPIES } else { TEXT_COPIES };
        // Reserved only: the outputs do not exist before the run.
        Ok(charge.reserve(outputs.saturating_mul(copies)).await?)
    }
}

/// Returns the most bytes that one element of an input takes.
fn element_bytes(signature: &Signature) -> usize {
    let sizes = signature.inputs.iter().map(|input| match &input.kind {
        ValueKind::Tensor { element_type, .. } => element_type.size_bytes().unwrap_or(TEXT_BYTES),
        _ => TEXT_BYTES,
    });
    sizes.max().unwrap_or_default().max(LEAST_ELEMENT_BYTES)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::{Dimension, ElementType, ValueSpec},
        system::byte_budget::{ByteBudget, ByteCharge, ShareKey},
    };

    #[tokio::test]
    async fn the_elements_of_a_text_are_charged_before_it_is_read() {
        let budget = Arc::new(ByteBudget::new(1 << 20));
        let charge = ByteCharge::new(&budget, ShareKey::Caller(1));
        let context = RequestContext { charge: Some(charge), ..RequestContext::default() };
        let signature = |element_type| {
            let inputs = vec![ValueSpec::tensor("x", element_type, vec![Dimension::Fixed(1)])];
            Signature { inputs, outputs: Vec::new() }
        };
        let text = "1,".repeat(20_000);
        context.reserve_elements(&signature(ElementType::F32), b"1,2").await.unwrap();
        assert_eq!(budget.usage().taken, 0);
        context.reserve_elements(&signature(ElementType::F32), text.as_bytes()).await.unwrap();
        assert_eq!(budget.usage().taken, 8 * 20_001);
        let refused = context.reserve_elements(&signature(ElementType::String), text.as_bytes()).await;
        assert!(matches!(refused, Err(ServingError::OverBudget(_))), "{refused:?}");
    }
}
