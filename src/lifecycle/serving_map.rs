//! What requests see: the versions that serve, replaced as a whole by one atomic store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::Servable;
use crate::model::{ModelName, ModelVersion, VersionLabel, VersionSelector};

/// What serves of one model. None of it points to a version that is not in it.
#[derive(Clone, Debug, Default)]
pub struct ServingModel {
    /// By number.
    pub versions: BTreeMap<ModelVersion, Arc<Servable>>,
    /// The one that requests without a version mean.
    pub default: Option<ModelVersion>,
    /// Names for versions.
    pub labels: BTreeMap<VersionLabel, ModelVersion>,
}

/// The versions that serve. Reading takes no lock.
#[derive(Debug, Default)]
pub struct ServingMap {
    models: ArcSwap<HashMap<ModelName, ServingModel>>,
}

impl ServingMap {
    /// The version of a model that is meant, or its default one; the caller keeps it for as long as it likes.
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

    /// What serves of a model.
    #[must_use]
    pub fn model(&self, model: &ModelName) -> Option<ServingModel> {
        self.models.load().get(model).cloned()
    }

    /// The names of all models that serve, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ModelName> {
        let mut names: Vec<ModelName> = self.models.load().keys().cloned().collect();
        names.sort();
        names
    }

    /// Every version that serves, sorted by name and number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Servable>> {
        let models = self.models.load();
        let mut all: Vec<Arc<Servable>> =
            models.values().flat_map(|model| model.versions.values().cloned()).collect();
        all.sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
        all
    }

    /// Puts all of this into service at once, in place of what served of the model.
    pub(super) fn set(&self, name: &ModelName, serving: ServingModel) {
        let mut models = HashMap::clone(&self.models.load());
        if serving.versions.is_empty() {
            models.remove(name);
        } else {
            models.insert(name.clone(), serving);
        }
        self.models.store(Arc::new(models));
    }
}
