//! What requests see: the versions that serve, replaced as a whole by one atomic store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::Servable;
use crate::model::{ModelName, ModelVersion};

type Versions = BTreeMap<ModelVersion, Arc<Servable>>;

/// The versions that serve. Reading takes no lock.
#[derive(Debug, Default)]
pub struct ServingMap {
    models: ArcSwap<HashMap<ModelName, Versions>>,
}

impl ServingMap {
    /// The given version of a model, or its newest; the caller keeps it for as long as it likes.
    #[must_use]
    pub fn get(&self, model: &ModelName, version: Option<ModelVersion>) -> Option<Arc<Servable>> {
        let models = self.models.load();
        let versions = models.get(model)?;
        match version {
            Some(version) => versions.get(&version).cloned(),
            None => versions.last_key_value().map(|(_, servable)| Arc::clone(servable)),
        }
    }

    /// The names of all models that serve, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ModelName> {
        let mut names: Vec<ModelName> = self.models.load().keys().cloned().collect();
        names.sort();
        names
    }

    /// Puts a version into service in place of the one of the same number, which is answered.
    pub(super) fn insert(&self, servable: &Arc<Servable>) -> Option<Arc<Servable>> {
        let mut models = HashMap::clone(&self.models.load());
        let versions = models.entry(servable.name.clone()).or_default();
        let replaced = versions.insert(servable.version, Arc::clone(servable));
        self.models.store(Arc::new(models));
        replaced
    }

    /// Takes a version out of service.
    pub(super) fn remove(&self, model: &ModelName, version: ModelVersion) -> Option<Arc<Servable>> {
        let mut models = HashMap::clone(&self.models.load());
        let versions = models.get_mut(model)?;
        let removed = versions.remove(&version);
        if versions.is_empty() {
            models.remove(model);
        }
        self.models.store(Arc::new(models));
        removed
    }

    /// Every version that serves, sorted by name and number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Servable>> {
        let models = self.models.load();
        let mut all: Vec<Arc<Servable>> =
            models.values().flat_map(|versions| versions.values().cloned()).collect();
        all.sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
        all
    }
}
