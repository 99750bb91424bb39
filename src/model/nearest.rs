//! The name that someone who mistyped one may have meant.

/// Names longer than this are nobody's slip of the finger, and comparing them takes long.
const MAX_COMPARED_BYTES: usize = 64;

/// The one of `known` that is most like `name`, if any is much like it.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let near = |known: &'n str| {
        let distance = strsim::damerau_levenshtein(known, name);
        (distance <= (known.len() / 3).max(2)).then_some((distance, known))
    };
    known.filter(|known| known.len() <= MAX_COMPARED_BYTES).filter_map(near).min().map(|(_, known)| known)
}
