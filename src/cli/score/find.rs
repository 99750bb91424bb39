//! The model that scores: an .onnx file, or a version of a model in a repository.

use std::path::{Path, PathBuf};

use super::super::{
    Failure,
    examine::{Examiner, ModelToml, candidate},
};
use crate::{
    config::{Environment, Settings},
    lifecycle::{
        Candidate, CandidateFiles, FolderSource, LoadedCopy, ModelConfig, ModelSource as _, ScannedModel,
        Versions,
    },
    model::{ModelName, ModelVersion, Schedule, VersionSelector, nearest},
    runtime::Runtime,
    scoring::LocalModel,
};

/// The file in a version's folder.
const MODEL_FILE: &str = "model.onnx";

/// The ways to name a model.
const HOW_TO_NAME: &str = "give an .onnx file or a model's folder; for a name, the folder of models by \
                           GATEWAY__MODELS__REPOSITORY=FOLDER or --config FILE, or a running gateway by --url URL";

/// A model file with the configuration that applies to it.
pub(super) struct Found {
    source: FolderSource,
    candidate: Candidate,
    config: ModelConfig,
}

/// Finds the file that the argument names.
pub(super) fn find(
    model: &str,
    version: Option<&VersionSelector>,
    model_toml: &ModelToml,
    settings: &Settings,
) -> Result<Found, Failure> {
    let path = Path::new(model);
    if path.is_file() {
        if version.is_some() {
            return Err("--model-version: the model is a file, which is one version".into());
        }
        let (source, candidate) = candidate(path)?;
        return Ok(Found { source, candidate, config: model_toml.read(path)? });
    }
    if let Some(option) = model_toml.option() {
        return Err(
            format!("{option}: the model is not a file, and has the model.toml of its repository").into()
        );
    }
    let (repository, name, own) = if path.is_dir() {
        in_folder(path)?
    } else {
        let name = model
            .parse::<ModelName>()
            .map_err(|_| format!("{model}: there is no such file, folder or model"))?;
        (settings.models.repository.clone(), name, None)
    };
    let shown = repository.display().to_string();
    let source = FolderSource::new(repository);
    let mut found = source.scan().map_err(|error| {
        format!(
            "{model}: there is no such file or folder, and no repository in {shown}: {error}: {HOW_TO_NAME}"
        )
    })?;
    let Some(scanned) = found.models.remove(&name) else {
        let near = nearest(name.as_str(), found.models.keys().map(ModelName::as_str));
        let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        return Err(format!(
            "{model}: there is no such file or folder, and no such model in {shown}{near}: {HOW_TO_NAME}"
        )
        .into());
    };
    of_version(&name, source, scanned, own.as_ref().or(version))
}

/// Returns the repository, model and version of a folder: `models/iris` or `models/iris/1`.
fn in_folder(folder: &Path) -> Result<(PathBuf, ModelName, Option<VersionSelector>), Failure> {
    let folder = folder.canonicalize()?;
    let name = |folder: &Path| folder.file_name().and_then(|name| name.to_str().map(str::to_owned));
    let version = name(&folder).and_then(|name| name.parse::<ModelVersion>().ok());
    let is_version = version.is_some() && folder.join(MODEL_FILE).is_file();
    let (of_model, version) = match folder.parent() {
        Some(parent) if is_version => (parent.to_path_buf(), version.map(VersionSelector::Number)),
        _ => (folder.clone(), None),
    };
    let shown = folder.display();
    let model = name(&of_model).and_then(|name| name.parse().ok());
    let model = model.ok_or_else(|| format!("{shown}: the folder has no name that a model may have"))?;
    let repository = of_model.parent().ok_or_else(|| format!("{shown} is not in a repository"))?;
    Ok((repository.to_path_buf(), model, version))
}

/// Chooses a version: the one that is named, or the one that the server would serve.
fn of_version(
    name: &ModelName,
    source: FolderSource,
    scanned: ScannedModel,
    selector: Option<&VersionSelector>,
) -> Result<Found, Failure> {
    let ScannedModel { config, mut candidates, .. } = scanned;
    let config = config.map_err(|problem| format!("{name}: {problem}"))?;
    let wanted = match selector {
        Some(VersionSelector::Number(version)) => Some(*version),
        Some(VersionSelector::Label(label)) => {
            let labelled = config.labels.get(label).map(|version| version.0);
            Some(labelled.ok_or_else(|| format!("{name}: model.toml has no label {label}"))?)
        }
        None => match &config.versions {
            Versions::Latest => candidates.keys().next_back().copied(),
            Versions::Exactly(versions) => versions.iter().next_back().copied(),
        },
    };
    let missing = || match wanted {
        Some(version) => format!("{name}: there is no version {version}"),
        None => format!("{name}: there is no version"),
    };
    let candidate = wanted.and_then(|version| candidates.remove(&version)).ok_or_else(missing)?;
    Ok(Found { source, candidate, config: ModelConfig::clone(&config) })
}

/// Proves the file and loads it, as the server would. The examiner holds the private copy.
pub(super) fn load(
    found: &Found,
    settings: &Settings,
    environment: &Environment,
    threads: Option<usize>,
) -> Result<(LocalModel, Examiner), Failure> {
    let Found { source, candidate, config } = found;
    let file = &candidate.files;
    let examiner = Examiner::with(settings, environment)?;
    let loaded = examiner.copy(CandidateFiles::new(source, candidate), config).and_then(|copy| {
        let proof = examiner.prove(&copy)?;
        let schedule = examiner.schedule(config, &proof)?;
        let instances = threads.map_or(schedule.instances, |threads| (threads / schedule.threads).max(1));
        let runtime = Runtime::load(&settings.runtime, environment)?;
        Ok((LoadedCopy::load(runtime, &copy, &proof, &Schedule { instances, ..schedule })?, proof))
    });
    let (loaded, proof) = loaded.map_err(|refusal| {
        format!("{file} would be refused: {}: {}", refusal.reason.code(), refusal.detail)
    })?;
    let model = LocalModel::new(loaded, &proof).map_err(|error| format!("{file}: {error}"))?;
    Ok((model, examiner))
}
