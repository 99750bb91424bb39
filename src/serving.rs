//! What every transport calls: predict, metadata, readiness. No transport holds any of this logic itself.

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
pub use prediction::{Inference, Prediction, Terms};

pub use crate::lifecycle::{
    BatchCounts, Counts, Flat, HistoryEntry, Notice, OperationError, Reason, Refusal, RolledBack, Servable,
    State as VersionState, Total, VersionStatus,
};

use crate::{
    config::Settings,
    lifecycle::Lifecycle,
    model::{ModelName, ModelVersion, VersionSelector},
};

/// The model that `/predict` asks when several serve and none is configured.
const FALLBACK_MODEL: &str = "iris";

/// The gateway's models, behind whatever asks for them.
#[derive(Debug)]
pub struct Serving {
    lifecycle: Lifecycle,
    default_model: ArcSwapOption<ModelName>,
    draining: AtomicBool,
    request_timeout_ms: AtomicU64,
}

/// Whether requests should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They should.
    Ready,
    /// The models that lie in the repository are still being loaded.
    Starting,
    /// No model serves.
    NoModel,
    /// The repository is not there, and the settings demand it.
    NoRepository,
    /// The gateway is about to stop.
    Draining,
}

impl Serving {
    /// Serves what this lifecycle loads.
    #[must_use]
    pub fn new(lifecycle: Lifecycle, settings: &Settings) -> Self {
        let default_model = ArcSwapOption::from_pointee(settings.models.default.clone());
        let request_timeout_ms = AtomicU64::new(settings.server.request_timeout_ms);
        Self { lifecycle, default_model, draining: AtomicBool::new(false), request_timeout_ms }
    }

    /// Follows settings that changed while the gateway runs: the default model does at once. This is the one place where
    /// the lifecycle is to be given the others, which `server/reload.rs` lists as given to it.
    pub fn apply_settings(&self, settings: &Settings) {
        self.default_model.store(settings.models.default.clone().map(Arc::new));
        self.request_timeout_ms.store(settings.server.request_timeout_ms, Ordering::Relaxed);
        self.lifecycle.change_settings(settings.into());
    }

    /// The model that a request without a model's name means: the configured one, else the only one in the repository,
    /// else `iris`. Whether it serves does not matter: another one must not answer in its place.
    ///
    /// # Errors
    ///
    /// [`ServingError::NoDefaultModel`] when none of these exists, [`ServingError::Starting`] when it is too early to
    /// tell.
    pub fn default_model(&self) -> Result<ModelName, ServingError> {
        if let Some(name) = self.default_model.load().as_deref() {
            return Ok(name.clone());
        }
        let status = self.lifecycle.status();
        // Sorted by name: if the last is the first, there is one.
        let only = status.first().filter(|first| status.last().is_some_and(|last| last.model == first.model));
        let fallback = || status.iter().find(|status| status.model.as_str() == FALLBACK_MODEL);
        match only.or_else(fallback) {
            Some(status) => Ok(status.model.clone()),
            None if self.lifecycle.first_pass_is_done() => Err(ServingError::NoDefaultModel),
            None => Err(ServingError::Starting),
        }
    }

    /// The version of the default model that serves.
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

    /// The version of a model that serves: the given one, or the newest. The caller keeps it for its whole request.
    ///
    /// # Errors
    ///
    /// [`ServingError::ModelNotFound`] and its like, or [`ServingError::ModelUnavailable`] when the model lies in
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
                ServingError::ModelNotFound(model.clone())
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

    /// Every version that lies in the repository, sorted, with its state.
    #[must_use]
    pub fn status(&self) -> Arc<Vec<VersionStatus>> {
        self.lifecycle.status()
    }

    /// Files in the repository, and words of the settings about it, that have no effect.
    #[must_use]
    pub fn notices(&self) -> Arc<Vec<Notice>> {
        self.lifecycle.notices()
    }

    /// What was done to a model, the newest first.
    ///
    /// # Errors
    ///
    /// [`ServingError::ModelNotFound`] when nothing is known of it.
    pub fn history(&self, model: &ModelName) -> Result<Vec<HistoryEntry>, ServingError> {
        let history = self.lifecycle.history(model);
        // A model that was removed has one all the same.
        if history.is_empty() && !self.status().iter().any(|status| status.model == *model) {
            return Err(ServingError::ModelNotFound(model.clone()));
        }
        Ok(history)
    }

    /// Tries what lies in the repository of a model, whatever was refused before ([`Lifecycle::load`]).
    ///
    /// # Errors
    ///
    /// When there is no such model, or its newest version may not serve.
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
    /// When there is no such model.
    pub async fn unload(&self, model: &ModelName, by: &str) -> Result<(), OperationError> {
        self.lifecycle.unload(model, by).await
    }

    /// Puts what served before into service again.
    ///
    /// # Errors
    ///
    /// When there is no such model, or nothing to go back to.
    pub async fn roll_back(&self, model: &ModelName, by: &str) -> Result<RolledBack, OperationError> {
        self.lifecycle.roll_back(model, by).await
    }

    /// Every version that is in service, sorted by name and number.
    #[must_use]
    pub fn servables(&self) -> Vec<Arc<Servable>> {
        self.lifecycle.serving().all()
    }

    /// The models that are in service, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ModelName> {
        let mut names: Vec<ModelName> =
            self.servables().into_iter().map(|servable| servable.name.clone()).collect();
        names.dedup();
        names
    }

    /// The versions of a model that are in service, sorted.
    #[must_use]
    pub fn versions_in_service(&self, model: &ModelName) -> Vec<ModelVersion> {
        let versions = self.servables().into_iter().filter(|servable| servable.name == *model);
        versions.map(|servable| servable.version).collect()
    }

    /// All models of the repository with their versions, sorted by name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelMetadata> {
        metadata::models(&self.lifecycle)
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else if !self.lifecycle.first_pass_is_done() {
            Readiness::Starting
        } else if self.lifecycle.serving().names().is_empty() {
            Readiness::NoModel
        } else if self.lifecycle.misses_repository() {
            Readiness::NoRepository
        } else {
            Readiness::Ready
        }
    }

    /// Waits until everything that lay in the repository at the start has been tried, but for what was still being
    /// written.
    pub async fn started(&self) {
        self.lifecycle.first_pass().await;
    }

    /// From now on the gateway is not ready.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
