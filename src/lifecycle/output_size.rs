//! The memory that the outputs of a version take, as far as it is known before a run.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    model::{Dimension, Signature, Value, ValueKind},
    system::byte_budget::count,
};

/// The bytes of an element whose type has no size of its own: a text with its place in a list.
const TEXT_BYTES: usize = 48;

/// The most bytes of outputs for one row: by the signature at first, then the most that a run gave.
#[derive(Debug)]
pub struct OutputSize(AtomicU64);

impl OutputSize {
    /// The size that a signature tells; dimensions that it leaves open count as one.
    #[must_use]
    pub fn of(signature: &Signature) -> Self {
        let bytes = signature.outputs.iter().map(|output| bytes_of(&output.kind));
        Self(AtomicU64::new(bytes.fold(0, u64::saturating_add)))
    }

    /// The bytes that the outputs for so many rows may take.
    #[must_use]
    pub fn expected(&self, rows: usize) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_mul(count(rows))
    }

    /// Remembers the outputs of a run of so many rows, if they are larger than any before. Answers their bytes.
    pub fn record(&self, rows: usize, outputs: &[Value]) -> u64 {
        let bytes = outputs.iter().map(|output| count(output.bytes())).fold(0, u64::saturating_add);
        let by_row = bytes.div_ceil(count(rows).max(1));
        if by_row > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(by_row, Ordering::Relaxed);
        }
        bytes
    }
}

fn bytes_of(kind: &ValueKind) -> u64 {
    match kind {
        ValueKind::Tensor { element_type, shape } => {
            let size = |dimension: &Dimension| match dimension {
                Dimension::Fixed(size) => count(*size),
                Dimension::Dynamic(_) => 1,
            };
            let elements = shape.iter().map(size).fold(1, u64::saturating_mul);
            elements.saturating_mul(count(element_type.size_bytes().unwrap_or(TEXT_BYTES)))
        }
        ValueKind::Sequence(inner) | ValueKind::Optional(inner) => bytes_of(inner),
        ValueKind::Map { .. } => count(TEXT_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, Tensor, TensorData, ValueSpec};

    #[test]
    fn a_signature_tells_at_first_and_runs_tell_more() {
        let kind = ValueKind::Tensor {
            element_type: ElementType::F32,
            shape: vec![Dimension::Dynamic("n".to_owned()), Dimension::Fixed(100)],
        };
        let outputs = vec![ValueSpec { name: "y".to_owned(), kind }];
        let size = OutputSize::of(&Signature { inputs: Vec::new(), outputs });
        assert_eq!((size.expected(1), size.expected(10)), (400, 4000));
        let data = TensorData::F32(vec![0.5; 600].into());
        let tensor = Tensor::new(vec![2, 300], data).unwrap();
        assert_eq!(size.record(2, &[Value::Tensor(tensor)]), 2400);
        assert_eq!(size.expected(3), 3600);
    }
}
