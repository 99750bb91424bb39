//! The list of tools: the models in service that a caller may read and predict with, in pages.
//!
//! A tool is written when it is first listed, and again after a swap.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::value::RawValue;

use super::tool::tool;
use crate::{
    auth::{Action, Caller},
    edge::{ApiError, EdgeState, MayPredict, MayRead, Permit, offload},
    model::ModelName,
    serving::Servable,
};

/// Most tools of a page.
const MAX_PAGE_TOOLS: usize = 50;

/// Bytes of tools from which a page is full.
const PAGE_BYTES: usize = 256 * 1024;

/// Most bytes of tools that are kept.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The tools that were written.
#[derive(Debug, Default)]
pub(super) struct Tools {
    kept: Mutex<Kept>,
    /// Held while tools are written, so that there is one writer at a time.
    writing: tokio::sync::Mutex<()>,
}

/// The tools of one generation of the versions in service.
#[derive(Debug, Default)]
struct Kept {
    generation: u64,
    tools: HashMap<ModelName, Arc<RawValue>>,
    bytes: usize,
}

/// A part of the list.
#[derive(Debug)]
pub(super) struct Page {
    /// The tools, sorted by name.
    pub(super) tools: Vec<Arc<RawValue>>,
    /// The last name if there are more, with which the next page begins.
    pub(super) next: Option<ModelName>,
}

impl Tools {
    /// Returns the tools of a caller that come after this name; from the first on if it is `None`.
    ///
    /// # Errors
    ///
    /// [`ApiError::InsufficientScope`] if the caller may read no model, or predict with none.
    pub(super) async fn page(
        self: &Arc<Self>,
        state: &EdgeState,
        caller: &Caller,
        after: Option<ModelName>,
    ) -> Result<Page, ApiError> {
        Permit::<MayRead>::check_any(caller)?;
        Permit::<MayPredict>::check_any(caller)?;
        let generation = state.serving.generation();
        let mut servables = state.serving.default_versions();
        servables.retain(|servable| {
            let name = &servable.name;
            let may = |action| caller.may(action, Some(name));
            after.as_ref().is_none_or(|after| name > after) && may(Action::Read) && may(Action::Predict)
        });
        let has_more = servables.len() > MAX_PAGE_TOOLS;
        servables.truncate(MAX_PAGE_TOOLS);
        let names: Vec<ModelName> = servables.iter().map(|servable| servable.name.clone()).collect();
        let tools = match self.find(generation, &names) {
            Some(tools) => tools,
            None => self.written(generation, servables, &names).await?,
        };
        Ok(cut(tools, names, has_more))
    }

    /// Returns these tools, and writes those that are missing.
    async fn written(
        self: &Arc<Self>,
        generation: u64,
        servables: Vec<Arc<Servable>>,
        names: &[ModelName],
    ) -> Result<Vec<Arc<RawValue>>, ApiError> {
        let _writing = self.writing.lock().await;
        if let Some(tools) = self.find(generation, names) {
            return Ok(tools);
        }
        let tools = Arc::clone(self);
        // On another thread, as it takes long if there are many models.
        offload(None, async move {
            let written = servables.iter().map(|servable| tools.get_or_write(generation, servable));
            written.collect::<Option<Vec<_>>>()
        })
        .await?
        .ok_or(ApiError::ResponseNotWritten)
    }

    fn get_or_write(&self, generation: u64, servable: &Servable) -> Option<Arc<RawValue>> {
        if let Some(tool) = self.lock(generation).tools.get(&servable.name) {
            return Some(Arc::clone(tool));
        }
        let tool: Arc<RawValue> = tool(servable)?.into();
        self.lock(generation).keep(generation, servable.name.clone(), &tool);
        Some(tool)
    }

    /// Returns these tools if all of them are kept.
    fn find(&self, generation: u64, names: &[ModelName]) -> Option<Vec<Arc<RawValue>>> {
        let kept = self.lock(generation);
        let is_current = kept.generation == generation;
        let find = |name| kept.tools.get(name).filter(|_| is_current).map(Arc::clone);
        names.iter().map(find).collect()
    }

    /// Returns the tools that are kept, without those of earlier generations.
    fn lock(&self, generation: u64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.generation < generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        kept
    }
}

impl Kept {
    /// Keeps a tool, in place of all others if there is no room, unless a later generation has begun.
    fn keep(&mut self, generation: u64, name: ModelName, tool: &Arc<RawValue>) {
        if self.generation != generation {
            return;
        }
        let bytes = tool.get().len();
        if self.bytes + bytes > MAX_KEPT_BYTES {
            *self = Self { generation, ..Self::default() };
        }
        self.bytes += bytes;
        self.tools.insert(name, Arc::clone(tool));
    }
}

/// Ends a page once it is full.
fn cut(mut tools: Vec<Arc<RawValue>>, names: Vec<ModelName>, has_more: bool) -> Page {
    let mut bytes = 0;
    let full = tools.iter().position(|tool| {
        bytes += tool.get().len();
        bytes >= PAGE_BYTES
    });
    let fits = full.map_or(tools.len(), |last| last + 1);
    let has_more = has_more || fits < tools.len();
    tools.truncate(fits);
    let last = names.into_iter().nth(fits.saturating_sub(1));
    Page { tools, next: last.filter(|_| has_more) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lengths: &[usize], has_more: bool) -> (usize, Option<String>) {
        let tool = |length: &usize| -> Arc<RawValue> {
            RawValue::from_string(format!("\"{}\"", "x".repeat(*length))).unwrap().into()
        };
        let names = (0..lengths.len()).map(|index| format!("m{index}").parse().unwrap()).collect();
        let page = cut(lengths.iter().map(tool).collect(), names, has_more);
        (page.tools.len(), page.next.map(|name| name.to_string()))
    }

    #[test]
    fn a_page_ends_once_it_is_full() {
        assert_eq!(of(&[], false), (0, None));
        assert_eq!(of(&[10, 10], false), (2, None));
        assert_eq!(of(&[10, 10], true), (2, Some("m1".to_owned())));
        assert_eq!(of(&[PAGE_BYTES, 10], false), (1, Some("m0".to_owned())));
        assert_eq!(of(&[10, PAGE_BYTES], false), (2, None));
    }

    #[test]
    fn tools_of_an_earlier_generation_are_not_kept() {
        let tools = Tools::default();
        let name: ModelName = "iris".parse().unwrap();
        let tool: Arc<RawValue> = RawValue::from_string("{}".to_owned()).unwrap().into();
        tools.lock(1).keep(1, name.clone(), &tool);
        let names = std::slice::from_ref(&name);
        assert!(tools.find(1, names).is_some() && tools.find(2, names).is_none());
        tools.lock(1).keep(1, name.clone(), &tool);
        assert!(tools.find(1, names).is_none() && tools.find(2, names).is_none());
    }
}
