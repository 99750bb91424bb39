//! Description of a mistake in `model.toml` on one line, with its place and the key that was probably meant.

/// Describes an error with the line that it is on.
pub(super) fn described(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let meant = meant(&message).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    let place = error.span().and_then(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default().trim();
        // An error of a whole table is placed at its header; the message names the key.
        (!line.starts_with('[')).then(|| format!(" (line {number}: `{line}`)"))
    });
    format!("{message}{meant}{}", place.unwrap_or_default())
}

/// Returns the known key that is nearest to the unknown one that a message names.
fn meant(message: &str) -> Option<&str> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let known = known.split('`').skip(1).step_by(2);
    let near = |known: &&str| strsim::damerau_levenshtein(known, unknown) <= (known.len() / 3).max(2);
    known.filter(near).min_by_key(|known| strsim::damerau_levenshtein(known, unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_key_is_suggested() {
        let message =
            |unknown: &str| format!("unknown field `{unknown}`, expected one of `versions`, `labels`");
        assert_eq!(meant(&message("version")), Some("versions"));
        assert_eq!(meant(&message("label")), Some("labels"));
        assert_eq!(meant(&message("nonsense")), None);
        assert_eq!(meant("invalid type: integer"), None);
    }
}
