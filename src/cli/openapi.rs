//! `onnx-gateway openapi`

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use serde_json::Value;

use super::{
    Failure,
    examine::{Examiner, ModelToml},
    load_settings,
    named_models::NamedModels,
    output,
};
use crate::{
    config::{Environment, Settings},
    lifecycle::{
        Candidate, CandidateFiles, LoadedCopy, ModelConfig, ModelSource, Refusal, ScannedModel, Versions,
        source_for_command,
    },
    model::Schedule,
    protocols::{OfflineModel, openapi_of},
    runtime::Runtime,
};

/// The models to describe.
#[derive(Debug, Args)]
pub(super) struct OpenapiArguments {
    /// Model files, or one folder of models, in place of `models.repository`
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    model_toml: ModelToml,
    /// Print the document on one line
    #[arg(long)]
    json: bool,
}

/// Prints the API description that the server would have for callers that may read all models. Fails after that if it
/// would not serve some of them.
pub(super) fn openapi(files: &[PathBuf], arguments: &OpenapiArguments) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let mut settings = load_settings::settings(files, &environment)?.settings;
    if !arguments.models.is_empty() {
        NamedModels::new(&arguments.models, PathBuf::new())?.select(&mut settings.models);
    }
    let config = config_of_file(arguments, &settings.models.files)?;
    let Found { models, problems } = find(&settings, config.as_ref(), &environment)?;
    let document = openapi_of(&settings, &models);
    let text = if arguments.json {
        String::from_utf8(document)?
    } else {
        serde_json::to_string_pretty(&serde_json::from_slice::<Value>(&document)?)?
    };
    output::print(&format!("{text}\n"))?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// The models of a repository, and why others would not serve.
#[derive(Default)]
struct Found {
    models: Vec<OfflineModel>,
    problems: Vec<String>,
}

/// Returns the configuration of the only file; `None` if each model has the one that its source finds.
fn config_of_file(arguments: &OpenapiArguments, files: &[PathBuf]) -> Result<Option<ModelConfig>, Failure> {
    let OpenapiArguments { models: named, model_toml, .. } = arguments;
    match (files, model_toml.option()) {
        // As the command line names it, for messages.
        ([file], _) => Ok(Some(model_toml.read(named.first().unwrap_or(file))?.of_one_version())),
        (_, Some(option)) => Err(format!("{option}: give one model file, to which it applies").into()),
        (_, None) => Ok(None),
    }
}

/// Finds the models that would serve, with `only_config` in place of the configuration that the source finds.
fn find(
    settings: &Settings,
    only_config: Option<&ModelConfig>,
    environment: &Environment,
) -> Result<Found, Failure> {
    let examiner = Examiner::with(settings, environment)?;
    let runtime = Runtime::load(&settings.runtime, environment)?;
    let repository = settings.models.folder().display().to_string();
    let failed = |error| format!("models.repository: {repository} cannot be read: {error}");
    let source = source_for_command(&settings.models).map_err(failed)?;
    let scan = source.scan().map_err(failed)?;
    let mut found = Found::default();
    for (name, ScannedModel { config, candidates, .. }) in scan.models {
        let config = match only_config.map_or(config, |config| Ok(Arc::new(config.clone()))) {
            Ok(config) => config,
            Err(problem) => {
                found.problems.push(format!("{name}: {problem}"));
                continue;
            }
        };
        let is_wanted = |candidate: &Candidate| match &config.versions {
            Versions::Latest => true,
            Versions::Exactly(versions) => versions.contains(&candidate.version),
        };
        // The latest that serves is for requests that name none.
        for candidate in candidates.into_values().rev().filter(is_wanted) {
            match described((&examiner, runtime), &*source, &candidate, &config) {
                Ok(model) => {
                    found.models.push(model);
                    break;
                }
                Err(refusal) => found.problems.push(format!("{}: {refusal}", candidate.files)),
            }
        }
    }
    Ok(found)
}

/// Proves a candidate and loads it, as the server would.
fn described(
    (examiner, runtime): (&Examiner, Runtime),
    source: &dyn ModelSource,
    candidate: &Candidate,
    config: &ModelConfig,
) -> Result<OfflineModel, Refusal> {
    let progress = output::Progress::start(&format!("proving {}", candidate.files));
    let copy = examiner.copy(CandidateFiles::new(source, candidate), config)?;
    let proof = examiner.prove(&copy)?;
    let schedule = Schedule { instances: 1, ..examiner.schedule(config, &proof)? };
    let LoadedCopy { contract, layout, .. } = LoadedCopy::load(runtime, &copy, &proof, &schedule)?;
    drop(progress);
    Ok(OfflineModel {
        name: candidate.model.clone(),
        version: candidate.version,
        digest: copy.digest().short(),
        takes_instances: proof.against_rows().is_none(),
        constants: proof.output_forms.constants(),
        signature: proof.signature,
        contract,
        layout,
    })
}
