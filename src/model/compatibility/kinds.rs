//! Kinds of inputs and outputs: valid requests must stay valid, and responses must keep their form.

use crate::model::{Dimension, ValueKind};

/// The relation of one kind to another, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The kinds are the same, except for the names of dimensions.
    Same,
    /// The difference breaks no caller.
    Harmless,
    /// The difference breaks callers.
    Breaks,
}

/// Compares inputs: the effect of the kind `new` on requests for the kind `old`.
//
// Optional kinds are unwrapped here instead of by recursion. In optimized builds, this compiler miscompiles a recursion
// that takes the maximum of two results.
pub(super) fn takes(old: &ValueKind, new: &ValueKind) -> Fit {
    match (old, new) {
        (ValueKind::Optional(old), ValueKind::Optional(new)) => takes_plain(old, new),
        (old, ValueKind::Optional(new)) => takes_plain(old, new).max(Fit::Harmless),
        (old, new) => takes_plain(old, new),
    }
}

/// Compares inputs that are not optional.
fn takes_plain(old: &ValueKind, new: &ValueKind) -> Fit {
    match (old, new) {
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) if old_type == new_type => takes_shape(old, new),
        (old, new) => same_form(old, new),
    }
}

/// Returns the worst of several, `Fit::Same` if there are none.
fn worst(fits: impl Iterator<Item = Fit>) -> Fit {
    let (mut is_harmless, mut breaks) = (false, false);
    for fit in fits {
        is_harmless |= fit == Fit::Harmless;
        breaks |= fit == Fit::Breaks;
    }
    if breaks {
        Fit::Breaks
    } else if is_harmless {
        Fit::Harmless
    } else {
        Fit::Same
    }
}

/// Returns the size of a dimension; `None` if any size is accepted.
fn size(dimension: &Dimension) -> Option<usize> {
    match dimension {
        Dimension::Fixed(size) => Some(*size),
        Dimension::Dynamic(_) => None,
    }
}

/// Compares shapes of inputs. A shape without dimensions accepts any.
fn takes_shape(old: &[Dimension], new: &[Dimension]) -> Fit {
    let dimension = |(old, new): (&Dimension, &Dimension)| match (size(old), size(new)) {
        (old, new) if old == new => Fit::Same,
        (_, None) => Fit::Harmless,
        (_, Some(_)) => Fit::Breaks,
    };
    match (old.len(), new.len()) {
        (0, 0) => Fit::Same,
        (_, 0) => Fit::Harmless,
        (before, now) if before != now => Fit::Breaks,
        _ => worst(old.iter().zip(new).map(dimension)),
    }
}

/// Compares outputs: the effect of the kind `new` on readers of the kind `old`. In responses to rows the first
/// dimension counts them, whatever the exporter declared.
pub(super) fn reads_as(old: &ValueKind, new: &ValueKind, answers_rows: bool) -> Fit {
    match (old, new) {
        (ValueKind::Optional(old), ValueKind::Optional(new)) => reads_as_plain(old, new, answers_rows),
        // An output that could be absent is now always there.
        (ValueKind::Optional(old), new) => reads_as_plain(old, new, answers_rows).max(Fit::Harmless),
        (old, new) => reads_as_plain(old, new, answers_rows),
    }
}

/// Compares outputs that are not optional.
fn reads_as_plain(old: &ValueKind, new: &ValueKind, answers_rows: bool) -> Fit {
    match (old, new) {
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) if old_type == new_type => reads_as_shape(old, new, answers_rows),
        (ValueKind::Sequence(old), ValueKind::Sequence(new)) => reads_as_plain(old, new, answers_rows),
        (old, new) => same_form(old, new),
    }
}

/// Compares shapes of outputs. An open dimension states nothing, and neither does a shape without dimensions.
fn reads_as_shape(old: &[Dimension], new: &[Dimension], answers_rows: bool) -> Fit {
    let dimension = |(axis, (old, new)): (usize, (&Dimension, &Dimension))| match (size(old), size(new)) {
        (old, new) if old == new => Fit::Same,
        (Some(_), Some(_)) if axis > 0 || !answers_rows => Fit::Breaks,
        _ => Fit::Harmless,
    };
    match (old.len(), new.len()) {
        (0, 0) => Fit::Same,
        (0, _) | (_, 0) => Fit::Harmless,
        (before, now) if before != now => Fit::Breaks,
        _ => worst(old.iter().zip(new).enumerate().map(dimension)),
    }
}

/// Returns `Fit::Same` if two kinds differ only in the names of dimensions, else `Fit::Breaks`.
pub(super) fn same_form(old: &ValueKind, new: &ValueKind) -> Fit {
    let is_same = match (old, new) {
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) => old_type == new_type && old.iter().map(size).eq(new.iter().map(size)),
        (ValueKind::Sequence(old), ValueKind::Sequence(new))
        | (ValueKind::Optional(old), ValueKind::Optional(new)) => return same_form(old, new),
        (old, new) => old == new,
    };
    if is_same { Fit::Same } else { Fit::Breaks }
}
