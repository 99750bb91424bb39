//! Lists of names in a sentence.

/// The most names in a list.
const MAX_LISTED: usize = 16;

/// Joins the names; of a long list, the first ones and the number of the rest.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_LISTED).map(AsRef::as_ref).collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Writes the sentence for a list that changed; of long lists, only the first difference.
pub(super) fn became<S: AsRef<str>>(things: &str, before: &[S], now: &[S]) -> String {
    if before.len().max(now.len()) <= MAX_LISTED {
        return format!("the {things} [{}] became [{}]", listed(before), listed(now));
    }
    let differs = |(before, now): (&S, &S)| before.as_ref() != now.as_ref();
    let shorter = before.len().min(now.len());
    let place = before.iter().zip(now).position(differs).unwrap_or(shorter);
    let name =
        |names: &[S]| names.get(place).map_or("none".to_owned(), |name| format!("`{}`", name.as_ref()));
    let (were, are) = (before.len(), now.len());
    format!("the {were} {things} became {are}: at {place}, {} became {}", name(before), name(now))
}
