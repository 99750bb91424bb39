//! Inspection of model files as by the server, in a separate process, without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{Failure, load_settings};
use crate::{
    config::{Environment, RuntimeSettings, Settings, environment},
    lifecycle::{
        Candidate, CandidateFiles, Defect, FolderSource, ModelConfig, Proof, Prover, Refusal, Snapshot,
        Store, decide_schedule,
    },
    model::Schedule,
    runtime::Runtime,
};

/// A model file and how to show it.
#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// The model, an .onnx file; external data files are read from the folder that it is in
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The model.toml to apply: contract and pins
    #[arg(long, value_name = "FILE")]
    pub(super) model_toml: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
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

/// Returns a single file as a candidate, as if it lay in a repository, with its source.
pub(super) fn candidate(file: &Path) -> Result<(FolderSource, Candidate), Failure> {
    FolderSource::of_file(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Reads the `model.toml` for a file, as if it lay beside it in a repository.
pub(super) fn config(file: Option<&Path>) -> Result<ModelConfig, Failure> {
    let Some(file) = file else { return Ok(ModelConfig::default()) };
    let root = file.canonicalize().ok().and_then(|file| file.parent().map(Path::to_path_buf));
    Ok(ModelConfig::read(&root.unwrap_or_default(), file)?.0)
}
