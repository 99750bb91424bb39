//! The start: what served before serves again, whatever lies in the repository by now.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{
        Candidate, Deployment, ModelDeployments, Reason, Refusal, Servable, Trial,
        fingerprint::Fingerprint,
        history::{Event, HistoryEntry},
        record::{Aspired, Stage},
    },
    model::ModelName,
};

impl Manager {
    /// Loads what served when the process ended, however it ended. The repository is looked at after that; what lies
    /// there and is the same need not be proven again.
    pub(super) fn restore(&mut self) {
        if !self.parts.store.is_lasting() {
            return;
        }
        let remembered = match self.parts.store.deployments() {
            Ok(remembered) => remembered,
            Err(error) => {
                tracing::error!(%error, "what served before cannot be read; the start begins with the repository");
                return;
            }
        };
        for (name, deployments) in remembered {
            match deployments {
                Ok(deployments) => self.restore_model(&name, deployments),
                Err(error) => tracing::error!(
                    model.name = %name, %error,
                    "what served before cannot be read; the start begins with the repository"
                ),
            }
        }
    }

    fn restore_model(&mut self, name: &ModelName, deployments: ModelDeployments) {
        let ModelDeployments { serving, previous, rolled_back, unloaded } = deployments;
        let mut servables = Vec::new();
        for deployment in serving.into_iter().filter(|_| !unloaded) {
            match self.restore_version(name, &deployment) {
                Ok(servable) => servables.push(Arc::new(servable)),
                Err(refusal) => tracing::warn!(
                    model.name = %name,
                    model.version = %deployment.version,
                    model.digest = deployment.digest.short(),
                    "what served before cannot serve again: {refusal}"
                ),
            }
        }
        let store = &self.parts.store;
        let reopened = |deployment: Deployment| Some((store.reopen(deployment.content).ok()?, deployment));
        let previous: Vec<_> = previous
            .into_iter()
            .filter_map(reopened)
            .map(|(snapshot, deployment)| (deployment, snapshot))
            .collect();
        let model = self.models.entry(name.clone()).or_default();
        (model.previous, model.rolled_back, model.unloaded) = (previous, rolled_back, unloaded);
        for servable in servables {
            // No file has this fingerprint, so whatever lies there is looked at; if nothing does, it is as if removed.
            let candidate = Candidate {
                model: name.clone(),
                version: servable.version,
                file: servable.snapshot.file(),
                root: servable.snapshot.folder().to_path_buf(),
                external: Vec::new(),
                fingerprint: Fingerprint::default(),
                signatures: Fingerprint::default(),
                defect: None,
            };
            let aspired = Aspired { stage: Stage::Loaded, ..Aspired::new(candidate) };
            model.aspired.insert(servable.version, aspired);
            model.loaded.insert(servable.version, Arc::clone(&servable));
            tracing::info!(
                model.name = %name,
                model.version = %servable.version,
                model.digest = servable.digest().short(),
                "a version was put into service as before"
            );
            self.parts.history.add(HistoryEntry {
                digest: Some(servable.digest().to_string()),
                ..HistoryEntry::of(name, servable.version, Event::Restored, "start".to_owned())
            });
        }
        let serving = model.serving();
        self.parts.serving.set(name, serving);
    }

    fn restore_version(&self, name: &ModelName, deployment: &Deployment) -> Result<Servable, Refusal> {
        let snapshot = self
            .parts
            .store
            .reopen(deployment.content)
            .map_err(|error| Refusal::new(Reason::Unreadable, error.to_string()))?;
        // Another gateway or another ONNX Runtime may see it otherwise.
        let proof = if deployment.proof.is_of_this_gateway() {
            deployment.proof.clone()
        } else {
            self.parts.prover.prove(&snapshot)?
        };
        let trial = Trial::new(&self.parts.settings.rollback, None);
        self.servable((name, deployment.version), snapshot, proof, trial)
    }
}
