//! Inspection of model files as by the server, in a separate process, without a server.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tempfile::TempDir;

use super::{Failure, load_settings, output};
use crate::{
    config::{Environment, RuntimeSettings, Settings, StoreKind, StoreUrl, environment},
    lifecycle::{
        Candidate, CandidateFiles, Defect, FolderSource, ModelConfig, Proof, Prover, Refusal, Snapshot,
        Store, config_of, decide_schedule, download_model,
    },
    model::Schedule,
    runtime::Runtime,
};

/// A model file and how to show it.
#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// The model, an .onnx file, or its URL in an object store (s3://, gs://, az://, https://); external data files are
    /// read from the folder that it is in
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) model_toml: ModelToml,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The choice of the `model.toml` for a model file. Without one, it is the file that `serve` would use.
#[derive(Debug, Default, Args)]
pub(super) struct ModelToml {
    /// The model.toml to apply, in place of the one that belongs to the file: NAME.toml beside NAME.onnx, or
    /// NAME/model.toml for NAME/VERSION/model.onnx
    #[arg(long, value_name = "FILE")]
    model_toml: Option<PathBuf>,
    /// Apply no model.toml
    #[arg(long, conflicts_with = "model_toml")]
    no_model_toml: bool,
}

impl ModelToml {
    /// Returns the option that was given; `None` without one.
    pub(super) fn option(&self) -> Option<&'static str> {
        match (&self.model_toml, self.no_model_toml) {
            (Some(_), _) => Some("--model-toml"),
            (None, true) => Some("--no-model-toml"),
            (None, false) => None,
        }
    }

    /// Reads the configuration that applies to a model's file, and says on standard error which file has it unless the
    /// command line names it.
    pub(super) fn read(&self, model: &Path) -> Result<ModelConfig, Failure> {
        Ok(self.read_own(model)?.unwrap_or_default())
    }

    /// Reads the configurations for a file and the one that takes its place, which has that of the old one if none of
    /// its own.
    pub(super) fn read_both(&self, old: &Path, new: &Path) -> Result<(ModelConfig, ModelConfig), Failure> {
        if self.option().is_some() {
            let config = self.read(new)?;
            return Ok((config.clone(), config));
        }
        let old_config = self.read(old)?;
        let new_config = match self.read_own(new)? {
            Some(config) => config,
            None => old_config.clone(),
        };
        Ok((old_config, new_config))
    }

    /// Returns the file that applies to a model's file; `None` if none does.
    pub(super) fn file(&self, model: &Path) -> Option<PathBuf> {
        if self.no_model_toml {
            return None;
        }
        self.model_toml.clone().or_else(|| {
            let file = config_of(model);
            let found = fs::symlink_metadata(&file);
            let is_missing = found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            (!is_missing).then_some(file)
        })
    }

    /// Reads the configuration; `None` if none applies.
    fn read_own(&self, model: &Path) -> Result<Option<ModelConfig>, Failure> {
        let Some(file) = self.file(model) else { return Ok(None) };
        if self.model_toml.is_some() {
            return Ok(Some(read(&file)?));
        }
        let shown = file.display();
        let config = read(&file).map_err(|error| {
            format!("{error}\n{shown} belongs to {}; --no-model-toml ignores it", model.display())
        })?;
        output::progress(&format!("applying {shown}; --no-model-toml ignores it"));
        Ok(Some(config))
    }
}

/// An examiner that copies and proves single files.
pub(super) struct Examiner {
    store: Store,
    prover: Prover,
    runtime: RuntimeSettings,
}

impl Examiner {
    /// Creates an examiner with the settings that the server would use.
    pub(super) fn new(files: &[PathBuf]) -> Result<Self, Failure> {
        let environment = Environment::of_process();
        Self::with(&load_settings::settings(files, &environment)?.settings, &environment)
    }

    /// Creates an examiner with these settings.
    pub(super) fn with(settings: &Settings, environment: &Environment) -> Result<Self, Failure> {
        let runtime = Runtime::load(&settings.runtime, environment)?;
        let prover = Prover {
            program: environment::this_program(),
            library: environment.working_directory.join(runtime.library()),
            settings: settings.admission.clone(),
            memory_limit_bytes: settings.runtime.memory_limit_bytes,
        };
        Ok(Self { store: Store::temporary()?, prover, runtime: settings.runtime.clone() })
    }

    /// Takes a private copy of a file and all it needs, with the `model.toml` that applies to it.
    pub(super) fn copy(
        &self,
        files: CandidateFiles<'_>,
        config: &ModelConfig,
    ) -> Result<Arc<Snapshot>, Refusal> {
        match files.defect() {
            Some(Defect::Unusable(refusal)) => Err(refusal.clone()),
            Some(defect @ Defect::Incomplete(_)) => Err(defect.clone().into_refusal()),
            None => self.store.take(files, config.contract.as_ref(), &config.pin),
        }
    }

    /// Proves a copy.
    pub(super) fn prove(&self, snapshot: &Snapshot) -> Result<Proof, Refusal> {
        self.prover.prove(snapshot)
    }

    /// Returns the schedule of a proven copy, as if it were the only model on this machine.
    pub(super) fn schedule(&self, config: &ModelConfig, proof: &Proof) -> Result<Schedule, Refusal> {
        decide_schedule(&self.runtime, &config.scheduler, proof, Runtime::cpus(), None)
    }

    /// Proves a file for a comparison, as the server proves both versions. Pins are not checked: the file need not be
    /// served.
    pub(super) fn compared(
        &self,
        file: &Path,
        config: &ModelConfig,
    ) -> Result<(Arc<Snapshot>, Proof), Failure> {
        self.examined(file, config, |copy| self.prover.prove(copy))
    }

    /// Reads what a file declares, for files that cannot be proven.
    pub(super) fn declared(
        &self,
        file: &Path,
        config: &ModelConfig,
    ) -> Result<(Arc<Snapshot>, Proof), Failure> {
        self.examined(file, config, |copy| self.prover.declare(copy))
    }

    /// Copies a file with its contract, and examines the copy.
    fn examined(
        &self,
        file: &Path,
        config: &ModelConfig,
        find: impl FnOnce(&Snapshot) -> Result<Proof, Refusal>,
    ) -> Result<(Arc<Snapshot>, Proof), Failure> {
        let config = ModelConfig { contract: config.contract.clone(), ..ModelConfig::default() };
        let (source, candidate) = candidate(file)?;
        let copied = self.copy(CandidateFiles::new(&source, &candidate), &config);
        let found = copied.and_then(|copy| find(&copy).map(|proof| (copy, proof)));
        Ok(found.map_err(|refusal| format!("{}: {refusal}", file.display()))?)
    }
}

/// A model's file on this machine.
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    /// The folder of a file that was downloaded, which is removed afterwards.
    _folder: Option<TempDir>,
}

impl LocalFile {
    /// Returns the file itself. That of an object store is downloaded, with the files that belong to it. `files` are
    /// the settings files.
    pub(super) fn of(file: &Path, files: &[PathBuf]) -> Result<Self, Failure> {
        let Some(url) = StoreUrl::of_repository(file) else {
            return Ok(Self { path: file.to_path_buf(), _folder: None });
        };
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
        let url = url.map_err(|error| failed(&error))?;
        let store = load_settings::settings(files, &Environment::of_process())?.settings.models.store;
        let objection = (url.kind == StoreKind::WebDav).then(|| store.objection(&url.place)).flatten();
        if let Some(objection) = objection {
            return Err(failed(&objection).into());
        }
        let folder =
            tempfile::Builder::new().prefix("onnx-gateway-").tempdir_in(environment::temporary_directory())?;
        let _progress = output::Progress::start(&format!("downloading {url}"));
        let path = download_model(&url, &store, folder.path()).map_err(|error| failed(&error))?;
        Ok(Self { path, _folder: Some(folder) })
    }
}

/// Returns a single file as a candidate, as if it lay in a repository, with its source.
pub(super) fn candidate(file: &Path) -> Result<(FolderSource, Candidate), Failure> {
    FolderSource::of_file(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Reads a `model.toml`, as if it lay in a repository.
fn read(file: &Path) -> Result<ModelConfig, String> {
    let root = file.canonicalize().ok().and_then(|file| file.parent().map(Path::to_path_buf));
    Ok(ModelConfig::read(&root.unwrap_or_default(), file)?.0)
}
