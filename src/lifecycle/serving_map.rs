//! The versions that requests see, replaced as a whole by one atomic store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::Servable;
use crate::model::{ModelName, ModelVersion, VersionLabel, VersionSelector};

/// The serving versions of one model. Default and labels only point to versions that are in it.
#[derive(Clone, Debug, Default)]
pub struct ServingModel {
    /// Versions by number.
    pub versions: BTreeMap<ModelVersion, Arc<Servable>>,
    /// The version for requests that name none.
    pub default: Option<ModelVersion>,
    /// Labels of versions.
    pub labels: BTreeMap<VersionLabel, ModelVersion>,
}

/// The versions that serve. Reading takes no lock.
#[derive(Debug, Default)]
pub struct ServingMap {
    models: ArcSwap<HashMap<ModelName, ServingModel>>,
    /// Number of replacements.
    generation: AtomicU64,
}

impl ServingMap {
    /// Returns the selected version of a model, or its default one. It stays loaded for as long as the caller keeps it.
    #[must_use]
    pub fn get(&self, model: &ModelName, version: Option<&VersionSelector>) -> Option<Arc<Servable>> {
        let models = self.models.load();
        let model = models.get(model)?;
        let version = match version {
            Some(VersionSelector::Number(version)) => version,
            Some(VersionSelector::Label(label)) => model.labels.get(label)?,
            None => model.default.as_ref()?,
        };
        model.versions.get(version).cloned()
    }

    /// Returns the serving versions of a model.
    #[must_use]
    pub fn model(&self, model: &ModelName) -> Option<ServingModel> {
        self.models.load().get(model).cloned()
    }

    /// Returns the names of all models that serve, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ModelName> {
        let mut names: Vec<ModelName> = self.models.load().keys().cloned().collect();
        names.sort();
        names
    }

    /// Returns every version that serves, sorted by name and number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Servable>> {
        let models = self.models.load();
        let mut all: Vec<Arc<Servable>> =
            models.values().flat_map(|model| model.versions.values().cloned()).collect();
        all.sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
        all
    }

    /// Returns a number that changes with every replacement. What is read after it is at least as new.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the version of each model for requests that name none, sorted by name.
    #[must_use]
    pub fn defaults(&self) -> Vec<Arc<Servable>> {
        let models = self.models.load();
        let default = |model: &ServingModel| model.versions.get(&model.default?).cloned();
        let mut defaults: Vec<Arc<Servable>> = models.values().filter_map(default).collect();
        defaults.sort_by(|left, right| left.name.cmp(&right.name));
        defaults
    }

    /// Replaces the serving versions of a model in one atomic store.
    pub(super) fn set(&self, name: &ModelName, serving: ServingModel) {
        let mut models = HashMap::clone(&self.models.load());
        if serving.versions.is_empty() {
            models.remove(name);
        } else {
            models.insert(name.clone(), serving);
        }
        self.models.store(Arc::new(models));
        self.generation.fetch_add(1, Ordering::Release);
    }
}
