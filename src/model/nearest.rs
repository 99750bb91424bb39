//! Suggestions for mistyped names.

/// Longest name to compare: a longer one is not a typing error, and comparing it takes long.
const MAX_COMPARED_BYTES: usize = 64;

/// Returns the name in `known` that is most similar to `name`; `None` if none is similar enough.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let near = |known: &'n str| {
        let distance = strsim::damerau_levenshtein(known, name);
        (distance <= (known.len() / 3).max(2)).then_some((distance, known))
    };
    known.filter(|known| known.len() <= MAX_COMPARED_BYTES).filter_map(near).min().map(|(_, known)| known)
}
