//! The API description of models that no server has loaded.

use super::{description, template::Template};
use crate::{
    codec::Model,
    config::Settings,
    edge::{DescribedModel, ModelExample},
    model::{Constants, Contract, Layout, ModelName, ModelVersion, Signature},
    protocols::model_example::model_example,
    serving::default_among,
};

/// A model that was proven, as a server would put it into service.
#[derive(Debug)]
pub struct OfflineModel {
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The short digest of its files.
    pub digest: String,
    /// The signature, with the output shapes that the proof observed.
    pub signature: Signature,
    /// Outputs that are the same for all rows.
    pub constants: Constants,
    /// The author's contract.
    pub contract: Contract,
    /// The layout of rows. `None` if the model does not take rows.
    pub layout: Option<Layout>,
    /// True if the model takes a list of rows, of features or of each input.
    pub takes_instances: bool,
}

/// Writes the API description with operations on these models, which are sorted by name: the one that a server with
/// these settings has for callers that may read all of them.
#[must_use]
pub fn openapi_of(settings: &Settings, models: &[OfflineModel]) -> Vec<u8> {
    let names = models.iter().map(|model| &model.name);
    let default = settings.models.default.as_ref().or_else(|| default_among(names));
    let examples: Vec<Option<ModelExample>> =
        models.iter().map(|model| model_example(parts_of(model))).collect();
    let described: Vec<DescribedModel<'_>> = models
        .iter()
        .zip(&examples)
        .map(|(model, example)| DescribedModel {
            name: &model.name,
            version: model.version,
            digest: &model.digest,
            model: parts_of(model),
            constants: &model.constants,
            takes_instances: model.takes_instances,
            is_default: default == Some(&model.name),
            example: example.as_ref(),
        })
        .collect();
    Template::new(description(settings)).write(&described)
}

fn parts_of(model: &OfflineModel) -> Model<'_> {
    Model { signature: &model.signature, layout: model.layout.as_ref(), contract: &model.contract }
}
