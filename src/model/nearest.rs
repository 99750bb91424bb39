//! Suggestions for mistyped names.

/// Longest name to compare: a longer one is not a typing error, and comparing it takes long.
const MAX_COMPARED_BYTES: usize = 64;

/// Returns the known key that is most similar to the unknown one that a message of serde names; `None` if none is.
pub(crate) fn meant_key(message: &str) -> Option<&str> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    nearest(unknown, known.split('`').skip(1).step_by(2))
}

/// Returns the name in `known` that is most similar to `name`; `None` if none is similar enough.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let characters = name.chars().count();
    let near = |known: &'n str| {
        let most = (known.len() / 3).max(2);
        // A cheap test first: each character more or less is one edit.
        if known.chars().count().abs_diff(characters) > most {
            return None;
        }
        let distance = strsim::damerau_levenshtein(known, name);
        (distance <= most).then_some((distance, known))
    };
    known.filter(|known| known.len() <= MAX_COMPARED_BYTES).filter_map(near).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_key_is_suggested() {
        let message =
            |unknown: &str| format!("unknown field `{unknown}`, expected one of `versions`, `labels`");
        assert_eq!(meant_key(&message("version")), Some("versions"));
        assert_eq!(meant_key(&message("label")), Some("labels"));
        assert_eq!(meant_key(&message("nonsense")), None);
        assert_eq!(meant_key("invalid type: integer"), None);
    }
}
