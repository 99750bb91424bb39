//! The start: what served before serves again, whatever lies in the repository by now.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Manager;
use crate::{
    lifecycle::{
        Candidate, Deployment, ModelDeployments, Refusal, Servable, Snapshot, Trial,
        aspired::{Aspired, Stage},
        fingerprint::Fingerprint,
        history::{Event, HistoryEntry},
    },
    model::ModelName,
};

/// How long after a failure it is tried again to put into service what served before.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Manager {
    /// Loads what served when the process ended, however it ended. The repository is looked at after that; what lies
    /// there and is the same need not be proven again.
    pub(super) fn restore(&mut self) {
        let remembered = match self.parts.store.deployments() {
            Ok(remembered) => remembered,
            Err(error) => {
                tracing::error!(%error, "what served before cannot be read; the start begins with the repository");
                self.keeps_all_copies = true;
                return;
            }
        };
        // What stands beside the models says which version is the default one and what labels mean.
        let mut found = self.parts.source.look().map(|found| found.models).unwrap_or_default();
        for (name, deployments) in remembered {
            let deployments = match deployments {
                Ok(deployments) => deployments,
                Err(error) => {
                    tracing::error!(
                        model.name = %name, %error,
                        "what served before cannot be read; the start begins with the repository"
                    );
                    // Whoever mends the file finds what it speaks of.
                    self.keeps_all_copies = true;
                    continue;
                }
            };
            if let Some(Ok(config)) = found.remove(&name).map(|model| model.config) {
                self.models.entry(name.clone()).or_default().configure(config);
            }
            self.restore_model(&name, deployments);
        }
    }

    fn restore_model(&mut self, name: &ModelName, deployments: ModelDeployments) {
        let ModelDeployments { serving, previous, rolled_back, unloaded } = deployments;
        let store = Arc::clone(&self.parts.store);
        let reopened = |deployment: Deployment| match store.reopen(deployment.content) {
            // What an older gateway wrote down is the digest of the model's file alone.
            Ok(snapshot) => Some((Deployment { digest: snapshot.digest(), ..deployment }, snapshot)),
            Err(error) => {
                tracing::error!(model.name = %name, %error, "a copy of what served before is lost");
                None
            }
        };
        let serving: Vec<_> = serving.into_iter().filter_map(reopened).collect();
        let previous: Vec<_> = previous.into_iter().filter_map(reopened).collect();
        let model = self.models.entry(name.clone()).or_default();
        (model.previous, model.rolled_back, model.unloaded) = (previous, rolled_back, unloaded);
        model.unrestored = serving;
        self.restore_versions(name);
    }

    /// Puts into service what served when the process ended, as far as that can be done now. The rest is tried again as
    /// long as nothing else serves.
    pub(super) fn restore_versions(&mut self, name: &ModelName) {
        let Some(model) = self.models.get_mut(name) else { return };
        if model.unrestored.is_empty() || model.restored_at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            return;
        }
        if model.unloaded || (model.restored_at.is_some() && !model.loaded.is_empty()) {
            model.unrestored.clear();
            return self.remember(name);
        }
        model.restored_at = Some(Instant::now());
        for (deployment, snapshot) in std::mem::take(&mut model.unrestored) {
            match self.restore_version(name, &deployment, &snapshot) {
                Ok(servable) => self.put_back(name, servable),
                Err(refusal) => {
                    tracing::warn!(
                        model.name = %name,
                        model.version = %deployment.version,
                        model.digest = deployment.digest.short(),
                        "what served before cannot serve again: {refusal}"
                    );
                    let model = self.models.entry(name.clone()).or_default();
                    model.unrestored.push((deployment, snapshot));
                }
            }
        }
        self.serve(name);
    }

    fn put_back(&mut self, name: &ModelName, servable: Servable) {
        let (version, digest) = (servable.version, servable.digest());
        let model = self.models.entry(name.clone()).or_default();
        // No file has this fingerprint, so whatever lies there is looked at; if nothing does, it is as if removed.
        let candidate = Candidate {
            model: name.clone(),
            version,
            file: servable.snapshot.file(),
            root: servable.snapshot.folder().to_path_buf(),
            external: Vec::new(),
            fingerprint: Fingerprint::default(),
            signatures: Fingerprint::default(),
            defect: None,
        };
        let aspired = Aspired { stage: Stage::Loaded, ..Aspired::new(candidate) };
        model.aspired.entry(version).or_insert(aspired);
        model.loaded.insert(version, Arc::new(servable));
        tracing::info!(
            model.name = %name,
            model.version = %version,
            model.digest = digest.short(),
            "a version was put into service as before"
        );
        self.parts.history.add(HistoryEntry {
            digest: Some(digest.to_string()),
            ..HistoryEntry::of(name, version, Event::Restored, "start".to_owned())
        });
    }

    fn restore_version(
        &self,
        name: &ModelName,
        deployment: &Deployment,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Servable, Refusal> {
        if let Some(model) = self.models.get(name) {
            model.check_copy(snapshot)?;
        }
        // Another gateway or another ONNX Runtime may see it otherwise, so it is proven again before it is loaded here.
        let proof = if deployment.proof.is_of_this_gateway() {
            deployment.proof.clone()
        } else {
            self.parts.prover.prove(snapshot)?
        };
        let trial = Trial::without_comparison();
        self.servable((name, deployment.version), Arc::clone(snapshot), proof, trial)
    }
}
