//! Sets of objects: the files of one model, which change together.

use std::collections::{BTreeMap, BTreeSet};

use super::bucket::Object;

/// Most bytes of a name, and of one of its parts: those of a file system.
const MAX_NAME_BYTES: usize = 1024;
const MAX_PART_BYTES: usize = 255;

/// Most refused names that a notice is made of.
pub(super) const MAX_REFUSED: usize = 20;

/// The objects of a set by their names in its folder.
pub(super) type ObjectSet = BTreeMap<String, Object>;

/// A listing, part by part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Sets by the names of their folders. Objects without a folder are one set, whose name is empty.
    pub(super) sets: BTreeMap<String, ObjectSet>,
    /// Names that are not mirrored, with the reason; at most `MAX_REFUSED`.
    pub(super) refused: BTreeMap<String, &'static str>,
}

impl Listing {
    /// Sorts objects into sets. Hidden ones are ignored, as in a folder.
    pub(super) fn new(objects: Vec<Object>) -> Self {
        let mut listing = Self::default();
        let folders: BTreeSet<String> = objects.iter().flat_map(|object| folders_of(&object.name)).collect();
        for object in objects {
            let reason = if folders.contains(&object.name) {
                // Tools mark folders by empty objects of their names.
                (object.size > 0).then_some("is an object and a folder, and no file can be both")
            } else {
                objection(&object.name)
            };
            if let Some(reason) = reason {
                if listing.refused.len() < MAX_REFUSED {
                    listing.refused.insert(object.name.escape_debug().to_string(), reason);
                }
            } else if !folders.contains(&object.name) && !is_ignored(&object) {
                let (set, name) = object.name.split_once('/').unwrap_or(("", &object.name));
                let name = name.to_owned();
                listing.sets.entry(set.to_owned()).or_default().insert(name, object);
            }
        }
        listing
    }

    /// Returns the bytes of all objects.
    pub(super) fn bytes(&self) -> u64 {
        let sizes = self.sets.values().flat_map(BTreeMap::values).map(|object| object.size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// Lists the folders that contain an object.
fn folders_of(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned())
}

/// Returns true for hidden objects, and for the empty ones by which tools mark folders.
fn is_ignored(object: &Object) -> bool {
    let last = object.name.rsplit('/').next().unwrap_or_default();
    object.name.split('/').any(|part| part.starts_with('.')) || (object.size == 0 && !last.contains('.'))
}

/// Returns the reason why no file gets this name. `None` if one may.
fn objection(name: &str) -> Option<&'static str> {
    let has = |is_odd: fn(&str) -> bool| name.split('/').any(is_odd);
    if name.is_empty() || has(|part| matches!(part, "" | "." | "..")) {
        Some("is not the name of a file below the prefix")
    } else if has(|part| part.contains(|letter: char| letter.is_control() || letter == '\\')) {
        Some("has characters that no file should have")
    } else if name.len() > MAX_NAME_BYTES || has(|part| part.len() > MAX_PART_BYTES) {
        Some("is too long for a file")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, size: u64) -> Object {
        Object { name: name.to_owned(), size, tag: None, modified_ms: 0 }
    }

    #[test]
    fn each_model_is_a_set() {
        let names = ["iris/1/model.onnx", "iris/model.toml", "wine.onnx", "wine.toml", "iris/.cache/x", ".y"];
        let listing = Listing::new(names.iter().map(|name| object(name, 5)).collect());
        let found: Vec<(&str, Vec<&str>)> = listing
            .sets
            .iter()
            .map(|(set, objects)| (set.as_str(), objects.keys().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            found,
            [("", vec!["wine.onnx", "wine.toml"]), ("iris", vec!["1/model.onnx", "model.toml"])]
        );
        assert_eq!((listing.refused.len(), listing.bytes()), (0, 20));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_and_the_rest_is_not() {
        let long = "x".repeat(256);
        for bad in
            ["../a.onnx", "/etc/a.onnx", "a/./b", "a/../../b", "a//b", "a\\b.onnx", "a\nb.onnx", "", &long]
        {
            let listing = Listing::new(vec![object(bad, 1), object("iris/1/model.onnx", 1)]);
            let refused: Vec<String> = listing.refused.into_keys().collect();
            assert_eq!(refused, [bad.escape_debug().to_string()]);
            assert_eq!(listing.sets.keys().collect::<Vec<_>>(), ["iris"]);
        }
        let many = (0..100).map(|index| object(&format!("../{index}"), 1)).collect();
        assert_eq!(Listing::new(many).refused.len(), MAX_REFUSED);
    }

    #[test]
    fn folders_may_be_marked_and_may_not_be_files() {
        let listing = |size| Listing::new(vec![object("iris", size), object("iris/1/model.onnx", 1)]);
        assert!(listing(0).refused.is_empty() && !listing(0).sets.contains_key(""));
        assert!(listing(9).refused.contains_key("iris") && !listing(9).sets.contains_key(""));
        assert!(Listing::new(vec![object("iris/1", 0)]).sets.is_empty());
    }
}
