//! Names of models as generators of clients can use them: in names of operations, schemas and modules.

use std::collections::{HashMap, HashSet};

use crate::model::{Digest, ModelName};

/// Returns an identifier for each name: lower-case letters, digits and single underscores. Names that would have the same
/// one get a part of their digest, and so do names with which `is_taken` returns true.
pub(super) fn identifiers<'n>(
    names: impl Iterator<Item = &'n ModelName> + Clone,
    is_taken: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    for name in names.clone() {
        *uses.entry(key(&plain(name))).or_default() += 1;
    }
    let mut given = HashSet::new();
    let identifier = |name: &ModelName| {
        let plain = plain(name);
        let is_unique = uses.get(&key(&plain)) == Some(&1) || plain == name.as_str();
        if is_unique && !is_taken(&plain) && given.insert(key(&plain)) {
            plain
        } else {
            format!("{plain}_{}", Digest::of(name.as_str().as_bytes()).short())
        }
    };
    names.map(identifier).collect()
}

/// Returns a name in lower case, with an underscore for each run of other characters.
fn plain(name: &ModelName) -> String {
    let mut plain = String::with_capacity(name.as_str().len());
    for character in name.as_str().chars() {
        if character.is_ascii_alphanumeric() {
            plain.push(character.to_ascii_lowercase());
        } else if !plain.ends_with('_') {
            plain.push('_');
        }
    }
    let plain = plain.trim_matches('_');
    let is_number = plain.starts_with(|first: char| first.is_ascii_digit());
    if is_number { format!("model_{plain}") } else { plain.to_owned() }
}

/// Returns the part of an identifier that must differ: generators drop underscores from names of classes.
fn key(identifier: &str) -> String {
    identifier.replace('_', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        let names: Vec<ModelName> = names.iter().map(|name| name.parse().unwrap()).collect();
        identifiers(names.iter(), |identifier| identifier == "default")
    }

    #[test]
    fn most_names_are_their_own_identifiers() {
        assert_eq!(of(&["iris", "wine_2", "7"]), ["iris", "wine_2", "model_7"]);
        assert_eq!(of(&["Wine-quality.v2", "a__b-"]), ["wine_quality_v2", "a_b"]);
    }

    #[test]
    fn names_that_are_alike_get_different_identifiers() {
        let found = of(&["a-b", "a.b", "a_b", "ab", "A_B", "default"]);
        let distinct: HashSet<String> = found.iter().map(|identifier| key(identifier)).collect();
        assert_eq!(distinct.len(), found.len(), "{found:?}");
        assert_eq!(found[2], "a_b", "the name that needs no change keeps it");
        assert!(found[5].starts_with("default_"), "{found:?}");
        assert_eq!(found, of(&["a-b", "a.b", "a_b", "ab", "A_B", "default"]), "they stay the same");
    }
}
