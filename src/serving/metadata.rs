//! Metadata of models and versions, for all transports.

use std::sync::Arc;

use crate::{
    lifecycle::{Lifecycle, Servable, VersionStatus},
    model::{ModelName, VersionSelector},
};

/// A model and its versions.
#[derive(Clone, Debug)]
pub struct ModelMetadata {
    /// The model's name.
    pub name: ModelName,
    /// Every version in the repository or in service, by number.
    pub versions: Vec<VersionMetadata>,
    /// Files and settings of the model that have no effect, with the expected form.
    pub problems: Vec<String>,
}

/// A version of a model.
#[derive(Clone, Debug)]
pub struct VersionMetadata {
    /// The version's state.
    pub status: VersionStatus,
    /// The servable, if the version serves.
    pub servable: Option<Arc<Servable>>,
}

pub(super) fn models(lifecycle: &Lifecycle) -> Vec<ModelMetadata> {
    let mut models: Vec<ModelMetadata> = Vec::new();
    for status in lifecycle.status().iter() {
        let servable = lifecycle.serving().get(&status.model, Some(&VersionSelector::Number(status.version)));
        let version = VersionMetadata { status: status.clone(), servable };
        match models.last_mut() {
            Some(model) if model.name == status.model => model.versions.push(version),
            _ => models.push(ModelMetadata {
                name: status.model.clone(),
                versions: vec![version],
                problems: Vec::new(),
            }),
        }
    }
    for notice in lifecycle.notices().iter() {
        let Some(name) = &notice.model else { continue };
        let at = models.binary_search_by(|model| model.name.cmp(name)).unwrap_or_else(|at| {
            models
                .insert(at, ModelMetadata { name: name.clone(), versions: Vec::new(), problems: Vec::new() });
            at
        });
        models[at].problems.push(notice.reason());
    }
    models
}
