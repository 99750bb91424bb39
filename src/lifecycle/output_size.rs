//! Memory of a version's outputs, as far as it is known before a run.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    model::{Dimension, OutputForm, OutputForms, Signature, Value, ValueKind},
    system::byte_budget::count,
};

/// Bytes of an element whose type has no fixed size: a string and its place in a list.
const TEXT_BYTES: usize = 48;

/// Largest size of the outputs in bytes: first by the signature, then the maximum over all runs.
#[derive(Debug)]
pub struct OutputSize {
    /// Outputs with a part for each row: bytes of one part.
    by_row: AtomicU64,
    /// All other outputs: their size does not depend on the number of rows.
    whole: AtomicU64,
    /// Outputs with a number for each pair of rows: bytes of one number.
    by_pair: u64,
}

impl OutputSize {
    /// Estimates the size from a signature. A dynamic dimension counts as one, or as the number of rows if the proof
    /// found that the output is not by row.
    #[must_use]
    pub fn of(signature: &Signature, forms: &OutputForms) -> Self {
        let pairs = signature.outputs.iter().enumerate().filter(|(index, output)| {
            forms.get(*index) == Some(OutputForm::Whole) && open_dimensions(&output.kind) > 1
        });
        let by_pair = pairs.map(|(_, output)| bytes_of(&output.kind)).fold(0, u64::saturating_add);
        let (by_row, whole): (Vec<_>, Vec<_>) =
            signature.outputs.iter().map(|output| &output.kind).partition(|kind| may_be_by_row(kind));
        let bytes = |kinds: Vec<&ValueKind>| kinds.into_iter().map(bytes_of).fold(0, u64::saturating_add);
        Self { by_row: AtomicU64::new(bytes(by_row)), whole: AtomicU64::new(bytes(whole)), by_pair }
    }

    /// Returns the bytes that the outputs for this number of rows may take.
    #[must_use]
    pub fn expected(&self, rows: usize) -> u64 {
        let by_row = self.by_row.load(Ordering::Relaxed).saturating_mul(count(rows));
        let by_pair = self.by_pair.saturating_mul(count(rows)).saturating_mul(count(rows));
        by_row.max(by_pair).saturating_add(self.whole.load(Ordering::Relaxed))
    }

    /// Records the outputs of a run with this number of rows, if they are larger than any before. Returns their bytes.
    pub fn record(&self, rows: usize, outputs: &[Value]) -> u64 {
        let rows = rows.max(1);
        let (mut by_row, mut whole) = (0_u64, 0_u64);
        for output in outputs {
            let bytes = if output.holds_rows(rows) { &mut by_row } else { &mut whole };
            *bytes = bytes.saturating_add(count(output.bytes()));
        }
        raise(&self.by_row, by_row.div_ceil(count(rows)));
        raise(&self.whole, whole);
        by_row.saturating_add(whole)
    }
}

/// Raises a number to at least this value. It is written only if it changes, which keeps the cache line shared.
fn raise(number: &AtomicU64, least: u64) {
    if least > number.load(Ordering::Relaxed) {
        number.fetch_max(least, Ordering::Relaxed);
    }
}

/// Returns true if an output may have as many parts as there are rows.
fn may_be_by_row(kind: &ValueKind) -> bool {
    match kind {
        ValueKind::Tensor { shape, .. } => matches!(shape.first(), Some(Dimension::Dynamic(_))),
        ValueKind::Optional(inner) => may_be_by_row(inner),
        ValueKind::Sequence(_) | ValueKind::Map { .. } => true,
    }
}

fn open_dimensions(kind: &ValueKind) -> usize {
    match kind {
        ValueKind::Tensor { shape, .. } => {
            shape.iter().filter(|dimension| matches!(dimension, Dimension::Dynamic(_))).count()
        }
        ValueKind::Optional(inner) => open_dimensions(inner),
        ValueKind::Sequence(_) | ValueKind::Map { .. } => 0,
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
        let size = OutputSize::of(&Signature { inputs: Vec::new(), outputs }, &OutputForms::default());
        assert_eq!((size.expected(1), size.expected(10)), (400, 4000));
        let data = TensorData::F32(vec![0.5; 600].into());
        let tensor = Tensor::new(vec![2, 300], data).unwrap();
        assert_eq!(size.record(2, &[Value::Tensor(tensor)]), 2400);
        assert_eq!(size.expected(3), 3600);
    }

    #[test]
    fn outputs_that_are_not_by_row_do_not_grow_with_the_rows() {
        let fixed = [5, 5].map(Dimension::Fixed).to_vec();
        let open = ["a", "b"].map(|name| Dimension::Dynamic(name.to_owned())).to_vec();
        let outputs = [fixed, open].map(|shape| ValueSpec::tensor("y", ElementType::F32, shape));
        let size = OutputSize::of(
            &Signature { inputs: Vec::new(), outputs: outputs.to_vec() },
            &OutputForms::default(),
        );
        assert_eq!((size.expected(1), size.expected(10)), (104, 140));
        let square = |side: usize| {
            Value::Tensor(
                Tensor::new(vec![side, side], TensorData::F32(vec![0.5; side * side].into())).unwrap(),
            )
        };
        assert_eq!(size.record(1, &[square(5), square(20)]), 1700);
        assert_eq!((size.expected(1), size.expected(10)), (1704, 1740));
    }

    #[test]
    fn an_output_of_pairs_of_rows_grows_with_their_square_before_any_run() {
        let open = |name: &str| Dimension::Dynamic(name.to_owned());
        let outputs = vec![ValueSpec::tensor("products", ElementType::F32, vec![open("n"), open("m")])];
        let forms = OutputForms::new(vec![OutputForm::Whole]);
        let size = OutputSize::of(&Signature { inputs: Vec::new(), outputs }, &forms);
        assert_eq!((size.expected(1), size.expected(1000)), (4, 4_000_000));
    }
}
