//! Publication of the serving map, its record on disk, and the removal of what is not needed any more.

use std::sync::Arc;

use super::Manager;
use crate::{
    lifecycle::{
        history::{Event, HistoryEntry},
        managed_model::{ManagedModel, Withdrawn},
    },
    model::{ModelName, ModelVersion},
    system::{code_pages, memory},
};

impl Manager {
    /// Publishes the versions that are loaded, and records them.
    pub(super) fn publish_serving_map(&mut self, name: &ModelName) {
        self.pending.change(name);
        self.remember(name);
        if let Some(model) = self.models.get_mut(name) {
            let serving = model.serving();
            self.parts.serving.set(name, serving);
        }
    }

    /// Moves labels whose settings or whose versions changed.
    pub(super) fn relabel(&mut self, name: &ModelName) {
        let Some(model) = self.models.get_mut(name) else { return };
        let before =
            (model.labels().clone(), self.parts.serving.model(name).and_then(|serving| serving.default));
        let serving = model.serving();
        if before != (serving.labels.clone(), serving.default) {
            self.parts.serving.set(name, serving);
        }
    }

    /// Records what serves of a model, before any request sees it.
    pub(super) fn remember(&mut self, name: &ModelName) {
        self.needs_sweep = true;
        let deployments = self.models.get(name).map(ManagedModel::deployments).unwrap_or_default();
        match self.parts.store.remember(name, &deployments) {
            Ok(followed) => self.apply(name, &followed),
            // The cause of a failure that affects all models is logged once.
            Err(_) if self.parts.store.problem().is_some() => {}
            Err(error) => self.report_unwritten(&error),
        }
    }

    /// Removes copies that are not needed any more.
    pub(super) fn sweep(&mut self) {
        if std::mem::take(&mut self.needs_sweep) && !self.keeps_all_copies {
            let needed = |model: &ManagedModel| model.deployments().contents().collect::<Vec<_>>();
            let needed = self.models.values().flat_map(needed).collect();
            self.needs_sweep = !self.parts.store.sweep(&needed);
        }
    }

    /// Drops retired versions that no request holds, so that no request's thread has to.
    pub(super) fn drop_retired(&mut self) {
        let before = self.retired.len();
        let pending = &mut self.pending;
        self.retired.retain(|servable| {
            let is_held = Arc::strong_count(servable) > 1;
            if !is_held {
                // A load may wait for its memory.
                pending.change(&servable.name);
            }
            is_held
        });
        if self.retired.len() < before {
            self.needs_sweep = true;
            self.needs_trim = true;
        }
    }

    /// Returns memory that only a load or an unload needed: freed heap, and code that requests do not run. The
    /// allocator would keep the heap from swap to swap.
    pub(super) fn trim_heap(&mut self) {
        if std::mem::take(&mut self.needs_trim) {
            memory::trim_heap();
            code_pages::release_code_pages();
        }
    }

    /// Takes a version out of service.
    pub(super) fn unload(&mut self, name: &ModelName, version: ModelVersion) {
        let keep = self.parts.settings.models.keep_previous;
        let at = self.moment();
        let Some(model) = self.models.get_mut(name) else { return };
        let Some(Withdrawn { servable, is_removed, is_superseded }) = model.unload(version, keep, at) else {
            return;
        };
        let by = model.wanted_by();
        self.publish_serving_map(name);
        tracing::info!(model.name = %name, model.version = %version, "a version was taken out of service");
        if !is_superseded {
            let event = if is_removed { Event::Removed } else { Event::Unloaded };
            let digest = Some(servable.digest().to_string());
            self.parts.history.add(HistoryEntry { digest, ..HistoryEntry::of(name, version, event, by) });
        }
        self.retired.push(servable);
    }
}
