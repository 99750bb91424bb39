//! Models of which something has changed, for clients that show them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    model::ModelName,
    serving::{Notice, Serving, VersionStatus},
};

/// The state of the models as clients know it.
#[derive(Debug)]
pub(super) struct Known {
    status: Arc<Vec<VersionStatus>>,
    notices: Arc<Vec<Notice>>,
    revision: u64,
}

impl Known {
    pub(super) fn of(serving: &Serving) -> Self {
        let (revision, _) = serving.history_since(0);
        Self { status: serving.status(), notices: serving.notices(), revision }
    }

    /// Adds the models that differ from what was known, and knows them from now on.
    pub(super) fn advance(&mut self, serving: &Serving, changed: &mut BTreeSet<ModelName>) {
        let (revision, models) = serving.history_since(self.revision);
        self.revision = revision;
        changed.extend(models);
        let (status, notices) = (serving.status(), serving.notices());
        // The same list is the usual case, and needs no look at its entries.
        if !Arc::ptr_eq(&status, &self.status) {
            changed.extend(differing(&self.status, &status, |status| Some(&status.model)));
        }
        if !Arc::ptr_eq(&notices, &self.notices) {
            changed.extend(differing(&self.notices, &notices, |notice| notice.model.as_ref()));
        }
        (self.status, self.notices) = (status, notices);
    }
}

/// Returns the models whose entries differ between two lists.
fn differing<T: PartialEq>(
    before: &[T],
    now: &[T],
    model: impl Fn(&T) -> Option<&ModelName>,
) -> Vec<ModelName> {
    let mut by_model: BTreeMap<&ModelName, (Vec<&T>, Vec<&T>)> = BTreeMap::new();
    for entry in before {
        if let Some(name) = model(entry) {
            by_model.entry(name).or_default().0.push(entry);
        }
    }
    for entry in now {
        if let Some(name) = model(entry) {
            by_model.entry(name).or_default().1.push(entry);
        }
    }
    by_model.into_iter().filter(|(_, (before, now))| before != now).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_differs_if_one_of_its_entries_does_comes_or_goes() {
        let entries = |entries: &[(&str, u32)]| -> Vec<(ModelName, u32)> {
            entries.iter().map(|(name, state)| (name.parse().unwrap(), *state)).collect()
        };
        let before = entries(&[("a", 1), ("b", 1), ("b", 2), ("gone", 1)]);
        let now = entries(&[("a", 1), ("b", 1), ("b", 3), ("new", 1)]);
        let names = differing(&before, &now, |entry| Some(&entry.0));
        assert_eq!(names.iter().map(ModelName::as_str).collect::<Vec<_>>(), ["b", "gone", "new"]);
        assert!(differing(&now, &now, |entry| Some(&entry.0)).is_empty());
    }
}
