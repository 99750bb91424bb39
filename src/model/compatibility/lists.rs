//! Lists of names in a sentence.

/// Names that a list in a sentence shows.
const MAX_LISTED: usize = 16;

/// The names, or the first of them and how many there are more.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_LISTED).map(AsRef::as_ref).collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// The sentence for a list that became another one; of long lists, the first difference.
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
