//! Kinds of inputs and outputs: a request that fitted must fit, an answer must read as it did.

use crate::model::{Dimension, ValueKind};

/// The relation of one kind to another; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// They are the same but for the names of dimensions.
    Same,
    /// They differ in what breaks no caller.
    Harmless,
    /// Callers break.
    Breaks,
}

/// Judges an input of the kind `new` by requests that were sent to one of the kind `old`.
//
// Optional kinds are looked into here, and not by a call of itself: what this compiler makes of a recursion that takes the
// greater of two is wrong in an optimized build.
pub(super) fn takes(old: &ValueKind, new: &ValueKind) -> Fit {
    match (old, new) {
        (ValueKind::Optional(old), ValueKind::Optional(new)) => takes_plain(old, new),
        (old, ValueKind::Optional(new)) => takes_plain(old, new).max(Fit::Harmless),
        (old, new) => takes_plain(old, new),
    }
}

/// Judges an input that is always there.
fn takes_plain(old: &ValueKind, new: &ValueKind) -> Fit {
    match (old, new) {
        (
            ValueKind::Tensor { element_type: old_type, shape: old },
            ValueKind::Tensor { element_type: new_type, shape: new },
        ) if old_type == new_type => takes_shape(old, new),
        (old, new) => same_form(old, new),
    }
}

/// The worst of several, `Fit::Same` if there are none.
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

/// The size of a dimension; `None` if any is taken.
fn size(dimension: &Dimension) -> Option<usize> {
    match dimension {
        Dimension::Fixed(size) => Some(*size),
        Dimension::Dynamic(_) => None,
    }
}

/// A shape without dimensions stands for any.
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

/// Judges an output of the kind `new` by readers of one of the kind `old`. Where rows are answered, the first dimension
/// counts them, whatever the exporter declared.
pub(super) fn reads_as(old: &ValueKind, new: &ValueKind, answers_rows: bool) -> Fit {
    match (old, new) {
        (ValueKind::Optional(old), ValueKind::Optional(new)) => reads_as_plain(old, new, answers_rows),
        // What was absent at times is now always there.
        (ValueKind::Optional(old), new) => reads_as_plain(old, new, answers_rows).max(Fit::Harmless),
        (old, new) => reads_as_plain(old, new, answers_rows),
    }
}

/// Judges an output that is always there.
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

/// Dimensions that an exporter leaves open say nothing, and neither does a shape without any.
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

/// `Fit::Same` if two kinds are the same but for the names of dimensions, else `Fit::Breaks`.
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
