//! The API description for each caller: with operations on the models that the caller may read.
//!
//! A description is written when it is first requested, and again after a swap. Callers with the same models share it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{document::Document, template::Template};
use crate::{
    auth::{Action, Caller},
    edge::{ApiError, DescribedModel, EdgeState, ModelExample, offload},
    model::ModelName,
    protocols::{model_example::model_example, tensorflow::run_inputs::model_of},
    serving::{Servable, Serving},
};

/// Most bytes of all descriptions that are kept. The latest is kept in any case.
const MAX_KEPT_BYTES: usize = 48 * 1024 * 1024;

/// Most descriptions that are kept.
const MAX_KEPT: usize = 64;

/// API descriptions: the one for all clients, and those with models.
#[derive(Debug)]
pub(super) struct ModelDocuments {
    template: Template,
    generic: Document,
    /// Descriptions with models, the latest used last.
    kept: Mutex<Vec<(Key, Document)>>,
    /// Held while one is written, so that there is one writer at a time.
    writing: tokio::sync::Mutex<()>,
}

/// Everything that the contents of a description depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// The generation of the versions in service.
    generation: u64,
    /// The model for requests that name none.
    default: Option<ModelName>,
    /// The models to describe, sorted; `None` stands for all.
    models: Option<Vec<ModelName>>,
}

impl ModelDocuments {
    /// Prepares the descriptions.
    pub(super) fn new(description: utoipa::openapi::OpenApi) -> Arc<Self> {
        let template = Template::new(description);
        let generic = Document::new(template.generic());
        Arc::new(Self { template, generic, kept: Mutex::default(), writing: tokio::sync::Mutex::default() })
    }

    /// Returns the description for clients without a token, of no model in particular.
    pub(super) fn generic(&self) -> &Document {
        &self.generic
    }

    /// Returns the description for a caller: of the models whose metadata the caller may read.
    pub(super) async fn of(
        self: &Arc<Self>,
        state: &EdgeState,
        caller: &Caller,
    ) -> Result<Document, ApiError> {
        let serving = &state.serving;
        let generation = serving.generation();
        let models = caller.scopes.models(Action::Read).map(|names| {
            let in_service = names.into_iter().filter(|name| serving.servable(name, None).is_ok());
            in_service.cloned().collect::<Vec<_>>()
        });
        if models.as_ref().is_some_and(Vec::is_empty) {
            return Ok(self.generic.clone());
        }
        let key = Key { generation, default: serving.default_model().ok(), models };
        if let Some(document) = self.find(&key) {
            return Ok(document);
        }
        let _writing = self.writing.lock().await;
        if let Some(document) = self.find(&key) {
            return Ok(document);
        }
        let (documents, serving, wanted) = (Arc::clone(self), Arc::clone(serving), key.clone());
        // On another thread, as it takes long if there are many models.
        let document = offload(None, async move { documents.written(&serving, &wanted) }).await?;
        self.keep(key, document.clone());
        Ok(document)
    }

    fn written(&self, serving: &Serving, key: &Key) -> Document {
        let mut servables = serving.default_versions();
        if let Some(names) = &key.models {
            servables.retain(|servable| names.binary_search(&servable.name).is_ok());
        }
        let parts: Vec<_> = servables
            .iter()
            .map(|servable| (&**servable, servable.digest().short(), example(servable)))
            .collect();
        let models: Vec<_> = parts
            .iter()
            .map(|(servable, digest, example)| DescribedModel {
                name: &servable.name,
                version: servable.version,
                digest,
                model: model_of(servable),
                constants: &servable.constants,
                takes_instances: servable.proof.against_rows().is_none(),
                is_default: key.default.as_ref() == Some(&servable.name),
                example: example.as_ref(),
            })
            .collect();
        Document::new(self.template.write(&models))
    }

    fn find(&self, key: &Key) -> Option<Document> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(other, _)| other == key)?;
        let entry = kept.remove(found);
        let document = entry.1.clone();
        kept.push(entry);
        Some(document)
    }

    /// Keeps a description, in place of those of earlier generations and of those used least recently.
    fn keep(&self, key: Key, document: Document) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| other.generation >= key.generation);
        kept.push((key, document));
        let mut bytes: usize = kept.iter().map(|(_, document)| document.len()).sum();
        while kept.len() > 1 && (bytes > MAX_KEPT_BYTES || kept.len() > MAX_KEPT) {
            bytes -= kept.remove(0).1.len();
        }
    }
}

fn example(servable: &Servable) -> Option<ModelExample> {
    model_example(model_of(servable))
}
