//! Observed shapes of an output, which replace wrong declarations of its exporter.

use crate::model::{Dimension, Signature, Value, ValueKind, ValueSpec};

/// The shapes of one output over several runs.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// The number of rows, and the shape.
    seen: Vec<(usize, Vec<usize>)>,
    rows_differed: bool,
}

impl Shapes {
    /// Records the shape of a run with this number of rows.
    pub(super) fn see(&mut self, rows: usize, rows_differed: bool, output: &Value) {
        self.rows_differed |= rows_differed;
        if let Value::Tensor(tensor) = output {
            self.seen.push((rows, tensor.shape().to_vec()));
        }
    }

    /// Returns the output with its observed shape. The declared shape stays where it may be right.
    pub(super) fn found(&self, spec: &ValueSpec, signature: &Signature) -> ValueSpec {
        let ValueKind::Tensor { element_type, shape: declared } = &spec.kind else { return spec.clone() };
        let Some((_, first)) = self.seen.first() else { return spec.clone() };
        let shape = if self.seen.iter().all(|(_, shape)| shape.len() == first.len()) {
            // A declaration of another rank says nothing about these axes.
            let declared = Some(declared).filter(|declared| declared.len() == first.len());
            let declared = |axis: usize| declared.and_then(|declared| declared.get(axis));
            (0..first.len()).map(|axis| self.dimension(axis, declared(axis), signature)).collect()
        } else {
            Vec::new()
        };
        ValueSpec::tensor(spec.name.clone(), *element_type, shape)
    }

    fn dimension(&self, axis: usize, declared: Option<&Dimension>, signature: &Signature) -> Dimension {
        let sizes = || self.seen.iter().filter_map(|(rows, shape)| Some((*rows, *shape.get(axis)?)));
        let Some((first_rows, first)) = sizes().next() else { return Dimension::Dynamic(String::new()) };
        let is_constant = sizes().all(|(_, size)| size == first);
        let has_several = sizes().any(|(rows, _)| rows != first_rows);
        let follows_rows = has_several && sizes().all(|(rows, size)| rows == size);
        match declared {
            Some(dimension @ Dimension::Dynamic(_)) if follows_rows || !is_constant => dimension.clone(),
            Some(Dimension::Fixed(size)) if is_constant && *size == first => Dimension::Fixed(first),
            _ if follows_rows => rows_of(signature),
            // Longer texts and inputs of other sizes may give outputs of other sizes.
            _ if is_constant && has_several && self.rows_differed && signature.has_rows_of_one_size() => {
                Dimension::Fixed(first)
            }
            Some(dimension @ Dimension::Dynamic(_)) => dimension.clone(),
            _ => Dimension::Dynamic(String::new()),
        }
    }
}

/// Returns the dimension of the rows, as the first input declares it.
fn rows_of(signature: &Signature) -> Dimension {
    let shape = signature.inputs.first().and_then(ValueSpec::as_tensor).map(|(_, shape)| shape);
    match shape.and_then(|shape| shape.first()) {
        Some(rows @ Dimension::Dynamic(_)) => rows.clone(),
        _ => Dimension::Dynamic(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, Tensor, TensorData};

    fn dynamic(symbol: &str) -> Dimension {
        Dimension::Dynamic(symbol.to_owned())
    }

    /// Determines the shape of an output from its declared shape, and its shapes for one, two and three rows.
    fn found(columns: Dimension, declared: Vec<Dimension>, shapes: [&[usize]; 3]) -> String {
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, vec![dynamic("N"), columns])];
        let signature = Signature { inputs, outputs: Vec::new() };
        let mut seen = Shapes::default();
        for (rows, shape) in (1..).zip(shapes) {
            let data = TensorData::Bool(vec![true; shape.iter().product()]);
            seen.see(rows, true, &Tensor::new(shape.to_vec(), data).unwrap().into());
        }
        seen.found(&ValueSpec::tensor("y", ElementType::Bool, declared), &signature).kind.to_string()
    }

    #[test]
    fn what_is_declared_wrongly_is_corrected() {
        let fixed = Dimension::Fixed;
        let four = || fixed(4);
        assert_eq!(found(four(), vec![fixed(1)], [&[1], &[2], &[3]]), "BOOL [N]", "a label of LightGBM");
        assert_eq!(
            found(four(), vec![dynamic("M")], [&[1, 1], &[2, 1], &[3, 1]]),
            "BOOL [N, 1]",
            "a number of CatBoost"
        );
        assert_eq!(found(four(), Vec::new(), [&[1, 3], &[2, 3], &[3, 3]]), "BOOL [N, 3]");
        assert_eq!(
            found(four(), vec![dynamic("b"), dynamic("")], [&[1, 3], &[2, 3], &[3, 3]]),
            "BOOL [b, 3]"
        );
        assert_eq!(found(four(), vec![fixed(2), dynamic("N")], [&[2, 1], &[2, 2], &[2, 3]]), "BOOL [2, N]");
        assert_eq!(found(four(), Vec::new(), [&[], &[], &[]]), "BOOL []");
        assert_eq!(found(four(), vec![dynamic("k"), fixed(2)], [&[1, 2], &[1, 2], &[2, 2]]), "BOOL [k, 2]");
    }

    #[test]
    fn what_other_inputs_may_change_is_not_fixed() {
        let shapes: [&[usize]; 3] = [&[1, 1], &[2, 1], &[3, 1]];
        assert_eq!(found(dynamic("T"), vec![dynamic("N"), dynamic("T")], shapes), "BOOL [N, T]");
        assert_eq!(found(dynamic("T"), Vec::new(), shapes), "BOOL [N, ?]");
        assert_eq!(found(dynamic("T"), Vec::new(), [&[1], &[1, 2], &[1, 3]]), "BOOL []");
    }
}
