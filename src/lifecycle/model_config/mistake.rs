//! Description of a mistake in `model.toml` on one line, with its place and the key that was probably meant.

use crate::model::meant_key;

/// Describes an error with the line that it is on.
pub(super) fn described(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let meant = meant_key(&message).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    let place = error.span().and_then(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default().trim();
        // An error of a whole table is placed at its header; the message names the key.
        (!line.starts_with('[')).then(|| format!(" (line {number}: `{line}`)"))
    });
    format!("{message}{meant}{}", place.unwrap_or_default())
}
