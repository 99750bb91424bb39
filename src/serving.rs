//! Predictions, metadata and readiness, shared by all transports, which hold none of this logic themselves.

mod blame;
mod error;
mod flat;
mod memory;
mod metadata;
mod predict;
mod prediction;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

pub use error::ServingError;
pub use flat::FlatPrediction;
pub use metadata::{ModelMetadata, VersionMetadata};
pub use prediction::{Inference, Prediction, RequestContext};

pub use crate::lifecycle::{
    BatchCounts, Counts, HistoryEntry, Notice, OperationError, Reason, Refusal, ResponseParts, RolledBack,
    RowsWriter, Servable, State as VersionState, Statistics, Total, VersionStatus, short_example_inputs,
};

use crate::{
    auth::{Authorized, MayPredict, Permission},
    config::Settings,
    lifecycle::Lifecycle,
    model::{ModelName, ModelVersion, VersionSelector, nearest},
};

/// The model that `/predict` uses if several serve and none is configured.
const FALLBACK_MODEL: &str = "iris";

/// Most names that an unknown one is compared with, so that a request costs little.
const MAX_COMPARED: usize = 1000;

/// The gateway's models, as protocols see them.
#[derive(Debug)]
pub struct Serving {
    lifecycle: Lifecycle,
    default_model: ArcSwapOption<ModelName>,
    draining: AtomicBool,
    request_timeout_ms: AtomicU64,
}

/// A version that a caller may predict with.
pub type PermittedServable = Authorized<MayPredict, Arc<Servable>>;

/// Readiness to receive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Requests should be sent here.
    Ready,
    /// The models in the repository are still being loaded.
    Starting,
    /// No model serves.
    NoModel,
    /// The repository does not exist, and the settings require it.
    NoRepository,
    /// The gateway is stopping.
    Draining,
}

/// Returns the model for requests that name none, if no setting names it: the only one, else `iris`. The names are
/// sorted, and may be there several times.
pub fn default_among<'n>(
    mut names: impl DoubleEndedIterator<Item = &'n ModelName> + Clone,
) -> Option<&'n ModelName> {
    let mut ends = names.clone();
    let first = ends.next();
    let only = first.filter(|first| ends.next_back().is_none_or(|last| last == *first));
    only.or_else(|| names.find(|name| name.as_str() == FALLBACK_MODEL))
}

impl Serving {
    /// Serves the models of this lifecycle.
    #[must_use]
    pub fn new(lifecycle: Lifecycle, settings: &Settings) -> Self {
        let default_model = ArcSwapOption::from_pointee(settings.models.default.clone());
        let request_timeout_ms = AtomicU64::new(settings.server.request_timeout_ms);
        Self { lifecycle, default_model, draining: AtomicBool::new(false), request_timeout_ms }
    }

    /// Applies settings that changed while the gateway runs, the default model at once. `server/reload.rs` lists the
    /// settings that the lifecycle follows; they are passed to it here and nowhere else.
    pub fn apply_settings(&self, settings: &Settings) {
        self.default_model.store(settings.models.default.clone().map(Arc::new));
        self.request_timeout_ms.store(settings.server.request_timeout_ms, Ordering::Relaxed);
        self.lifecycle.change_settings(settings.into());
    }

    /// Returns the model for requests that name none: the configured one, else the only one in the repository, else
    /// `iris`. It need not be in service: another model must not respond in its place.
    ///
    /// # Errors
    ///
    /// [`ServingError::NoDefaultModel`] if none of these exists, [`ServingError::Starting`] before the first scan.
    pub fn default_model(&self) -> Result<ModelName, ServingError> {
        if let Some(name) = self.default_model.load().as_deref() {
            return Ok(name.clone());
        }
        let status = self.lifecycle.status();
        match default_among(status.iter().map(|status| &status.model)) {
            Some(name) => Ok(name.clone()),
            None if self.lifecycle.first_pass_is_done() => Err(ServingError::NoDefaultModel(Vec::new())),
            None => Err(ServingError::Starting),
        }
    }

    /// Returns the version of the default model that serves.
    ///
    /// # Errors
    ///
    /// As [`Serving::default_model`] and [`Serving::servable`].
    pub fn default_servable(&self) -> Result<Arc<Servable>, ServingError> {
        match self.default_model.load().as_deref() {
            Some(configured) => self.servable(configured, None),
            None => self.servable(&self.default_model()?, None),
        }
    }

    /// Returns the given version of a model, or the latest that serves. The caller keeps it for its whole request.
    ///
    /// # Errors
    ///
    /// [`ServingError::ModelNotFound`] and similar errors, or [`ServingError::ModelUnavailable`] if the model lies in
    /// the repository but does not serve.
    pub fn servable(
        &self,
        model: &ModelName,
        version: Option<&VersionSelector>,
    ) -> Result<Arc<Servable>, ServingError> {
        if let Some(servable) = self.lifecycle.serving().get(model, version) {
            return Ok(servable);
        }
        let status = self.lifecycle.status();
        if !status.iter().any(|status| status.model == *model) {
            let done = self.lifecycle.first_pass_is_done();
            return Err(if done {
                ServingError::ModelNotFound { model: model.clone(), nearest: None }
            } else {
                ServingError::Starting
            });
        }
        match version {
            Some(version) if self.lifecycle.serving().get(model, None).is_some() => {
                Err(ServingError::VersionNotFound { model: model.clone(), version: version.clone() })
            }
            _ => Err(ServingError::ModelUnavailable(model.clone())),
        }
    }

    /// Returns a version as [`Serving::servable`] does, for a caller that may predict with the model.
    ///
    /// # Errors
    ///
    /// As [`Serving::servable`].
    pub fn permitted_servable(
        &self,
        model: &Authorized<MayPredict>,
        version: Option<&VersionSelector>,
    ) -> Result<PermittedServable, ServingError> {
        let servable = self.servable(model, version).map_err(|error| match error {
            ServingError::ModelNotFound { .. } => self.model_not_found(model),
            error => error,
        })?;
        model.transfer(servable).ok_or_else(|| self.model_not_found(model))
    }

    /// Returns the error of a model that is not in the repository, with the most similar name that is. Callers with a
    /// scope for single models must not learn which others exist.
    pub fn model_not_found<P: Permission>(&self, model: &Authorized<P>) -> ServingError {
        let status = self.lifecycle.status();
        let names = status.iter().map(|status| status.model.as_str()).take(MAX_COMPARED);
        let nearest = if model.is_for_all() { nearest(model.as_str(), names) } else { None };
        let nearest = nearest.and_then(|name| name.parse().ok());
        ServingError::ModelNotFound { model: ModelName::clone(model), nearest }
    }

    /// Returns every version in the repository, sorted, with its state.
    #[must_use]
    pub fn status(&self) -> Arc<Vec<VersionStatus>> {
        self.lifecycle.status()
    }

    /// Returns files in the repository, and settings in its `model.toml` files, that have no effect.
    #[must_use]
    pub fn notices(&self) -> Arc<Vec<Notice>> {
        self.lifecycle.notices()
    }

    /// Returns the deployment history of a model, the latest first.
    ///
    /// # Errors
    ///
    /// [`ServingError::ModelNotFound`] if the model has no history and is not in the repository.
    pub fn history(&self, model: &ModelName) -> Result<Vec<HistoryEntry>, ServingError> {
        let history = self.lifecycle.history(model);
        // A removed model still has a history.
        if history.is_empty() && !self.status().iter().any(|status| status.model == *model) {
            return Err(ServingError::ModelNotFound { model: model.clone(), nearest: None });
        }
        Ok(history)
    }

    /// Returns the current revision of the history, and the models with entries added after an earlier revision.
    #[must_use]
    pub fn history_since(&self, revision: u64) -> (u64, Vec<ModelName>) {
        self.lifecycle.history_since(revision)
    }

    /// Loads the files of a model in the repository, even if they were refused before ([`Lifecycle::load`]).
    ///
    /// # Errors
    ///
    /// If there is no such model, or its latest version may not serve.
    pub async fn load(
        &self,
        model: &ModelName,
        allow_breaking_changes: bool,
        by: &str,
    ) -> Result<(), OperationError> {
        self.lifecycle.load(model, allow_breaking_changes, by).await
    }

    /// Takes a model out of service until it is loaded again.
    ///
    /// # Errors
    ///
    /// If there is no such model.
    pub async fn unload(&self, model: &ModelName, by: &str) -> Result<(), OperationError> {
        self.lifecycle.unload(model, by).await
    }

    /// Rolls a model back to its previous deployment.
    ///
    /// # Errors
    ///
    /// If there is no such model, or no previous deployment.
    pub async fn roll_back(&self, model: &ModelName, by: &str) -> Result<RolledBack, OperationError> {
        self.lifecycle.roll_back(model, by).await
    }

    /// Returns every version in service, sorted by name and number.
    #[must_use]
    pub fn servables(&self) -> Vec<Arc<Servable>> {
        self.lifecycle.serving().all()
    }

    /// Returns a number that changes with the versions in service. What is read after it is at least as new.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.lifecycle.serving().generation()
    }

    /// Returns the version of each model for requests that name none, sorted by name.
    #[must_use]
    pub fn default_versions(&self) -> Vec<Arc<Servable>> {
        self.lifecycle.serving().defaults()
    }

    /// Returns the names of the models in service, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ModelName> {
        let mut names: Vec<ModelName> =
            self.servables().into_iter().map(|servable| servable.name.clone()).collect();
        names.dedup();
        names
    }

    /// Returns the versions of a model in service, sorted.
    #[must_use]
    pub fn versions_in_service(&self, model: &ModelName) -> Vec<ModelVersion> {
        let versions = self.servables().into_iter().filter(|servable| servable.name == *model);
        versions.map(|servable| servable.version).collect()
    }

    /// Returns all models of the repository with their versions, sorted by name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelMetadata> {
        metadata::models(&self.lifecycle)
    }

    /// Returns whether requests should be sent here, and if not, the reason.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else if !self.lifecycle.first_pass_is_done() {
            Readiness::Starting
        } else if self.lifecycle.serving().names().is_empty() {
            Readiness::NoModel
        } else if self.lifecycle.lacks_repository() {
            Readiness::NoRepository
        } else {
            Readiness::Ready
        }
    }

    /// Waits until everything in the repository at the start has been tried, except files that were still being
    /// written.
    pub async fn started(&self) {
        self.lifecycle.first_pass().await;
    }

    /// Makes the gateway report that it is not ready.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
