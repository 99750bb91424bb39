//! The proof of a candidate: it is loaded, run and checked in a sandboxed child process. A crash or an attack there
//! does not reach the server.
//!
//! [`Prover`] is the server's side, [`child`] the other. The child is started for one candidate, or copied for each
//! ([`warm`]). They exchange a [`Job`](job::Job) and a [`Report`](job::Report).

pub mod child;
mod job;
mod verdict;
mod warm;

use std::{fs::File, path::PathBuf, process::Command, time::Duration};

use serde::{Deserialize, Serialize};

use self::job::{Job, JobKind, Report};
use super::{Reason, Refusal, Snapshot, schedule::sessions_may_share};
use crate::{
    config::{AdmissionSettings, environment},
    model::{
        Contract, ContractDocument, Digest, Interface, Layout, LayoutError, NoRows, OnnxFile, OnnxFileError,
        OutputForms, Signature, ValueSpec, WholeOutput,
    },
    runtime::{Runtime, SessionOptions},
    system::{
        memory,
        sandbox::{Enforcement, Limits},
        supervise,
    },
};
pub use warm::run_each;

/// Address space that ONNX Runtime takes without a model, with a reserve.
const BASE_BYTES: u64 = 512 << 20;

/// Loading a forest takes 13 times the size of its file.
const INLINE_FACTOR: u64 = 16;

/// Weights in external files are mapped, and copied once.
const EXTERNAL_FACTOR: u64 = 2;

/// Smaller forests are not worth the time of a conversion.
const LEAST_CONVERTED_BYTES: u64 = 1 << 20;

/// A converted forest is two to three times the size of its file.
const CONVERTED_FACTOR: u64 = 8;

/// A converted model is used if its session takes at most this percentage of the original's memory.
const MOST_PERCENT: u64 = 80;

/// Less memory does not suffice to prove even the smallest model.
const LEAST_BYTES: u64 = 64 << 20;

/// Limit of wall-clock time, as a multiple of the limit of CPU time. CPU time decides, so that a good model is not
/// refused because requests keep the CPUs busy.
const WALL_FACTOR: u64 = 4;

/// The time limit grows by a second for this number of bytes.
const BYTES_PER_SECOND: u64 = 100_000_000;

/// Version of what a proof determines; proofs of an older format are made again.
const PROOF_FORMAT: u32 = 4;

/// Address space of a thread: its stack and the allocator's arena.
const THREAD_BYTES: u64 = 80 << 20;

/// Findings about a model, made before it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Versions of the gateway and of ONNX Runtime that made the proof.
    pub by: String,
    /// The signature, with the output shapes that the proof observed: exporters often declare others.
    pub signature: Signature,
    /// The signature that the file declares. `None` if it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Signature>,
    /// Forms of the outputs: by row, constant, or whole.
    #[serde(default)]
    pub output_forms: OutputForms,
    /// The author's contract, with its golden cases only as examples.
    pub contract: Contract,
    /// Number of golden cases that passed.
    pub golden_cases: usize,
    /// Measured costs.
    pub costs: Costs,
    /// Restrictions of the process that ran it.
    pub sandbox: Enforcement,
    /// SHA-256 of the model in ONNX Runtime's own format, if that form is loaded because it takes less memory. The
    /// costs are then those of the converted form.
    #[serde(default)]
    pub converted: Option<Digest>,
    /// True if the model divides ([`check_dividends`](crate::model::check_dividends)).
    #[serde(default)]
    pub divides: bool,
    /// True if the model answers several rows at once exactly as it answers each alone.
    #[serde(default)]
    pub batchable: bool,
    /// Reason for `batchable`, for people.
    #[serde(default)]
    pub batching_reason: String,
    /// Synthetic input values, used where neither contract nor graph says what the model takes.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// True if the duration of a run depends only on the number of rows, not on their values.
    #[serde(default)]
    pub is_steady: bool,
}

/// Costs of a model, measured by its proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Time to load it.
    pub load_us: u64,
    /// Time of a run: of one row, if it takes rows.
    pub run_us: u64,
    /// Time of a run of 32 rows. `None` if the model does not take any number of rows, or takes too long for one.
    pub run_32_rows_us: Option<u64>,
    /// Time of the shorter run in a session with a thread for each CPU. Measured only for large models whose runs are
    /// long enough to share.
    #[serde(default)]
    pub run_threads_us: Option<u64>,
    /// Memory that a session keeps.
    pub session_bytes: u64,
    /// Peak memory of loading and running, ONNX Runtime's own included.
    pub peak_bytes: u64,
}

impl Proof {
    /// Creates the proof of a model without inputs and outputs, for tests.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Self {
            by: String::new(),
            signature: Signature { inputs: Vec::new(), outputs: Vec::new() },
            declared: None,
            output_forms: OutputForms::default(),
            contract: Contract::empty(),
            golden_cases: 0,
            costs: Costs::default(),
            sandbox: Enforcement::default(),
            converted: None,
            divides: false,
            is_steady: true,
            batchable: false,
            batching_reason: "as in a test".to_owned(),
            assumptions: Vec::new(),
        }
    }

    /// Returns true if the model can be called with rows.
    #[must_use]
    pub fn takes_rows(&self) -> bool {
        self.layout_by(&self.contract).is_ok_and(|layout| layout.is_some())
    }

    /// Returns the signature that the file declares.
    #[must_use]
    pub fn declared(&self) -> &Signature {
        self.declared.as_ref().unwrap_or(&self.signature)
    }

    /// Returns the output that does not hold one part per row. `None` if every output does.
    #[must_use]
    pub fn whole_output(&self) -> Option<WholeOutput> {
        self.output_forms.whole_output(&self.signature)
    }

    /// Returns the names of the outputs that are the same for all rows, if rows are taken.
    pub fn constant_outputs(&self) -> impl Iterator<Item = &str> {
        let constants = self.output_forms.constants();
        let takes_rows = self.takes_rows();
        let outputs = self.signature.outputs.iter().enumerate();
        outputs
            .filter(move |(index, _)| takes_rows && constants.contains(*index))
            .map(|(_, output)| output.name.as_str())
    }

    /// Derives the layout of rows from a contract. `None` if the model does not take rows.
    ///
    /// # Errors
    ///
    /// If the contract describes features of rows that the model does not take.
    pub fn layout_by(&self, contract: &Contract) -> Result<Option<Layout>, LayoutError> {
        let Some(layout) = Layout::of(self.declared(), contract)? else { return Ok(None) };
        match self.whole_output() {
            None => Ok(Some(layout.with_forms(self.declared(), contract, &self.output_forms))),
            Some(output) if self.is_described_by(contract) => {
                Err(LayoutError::NoRows(NoRows::Output(output)))
            }
            Some(_) => Ok(None),
        }
    }

    /// Returns true if the contract describes features beyond the defaults of the signature.
    fn is_described_by(&self, contract: &Contract) -> bool {
        let graph = contract.graph.clone();
        let unsaid = Contract::resolve(ContractDocument::default(), self.declared(), graph);
        unsaid.map_or(!contract.features.is_empty(), |unsaid| unsaid.features != contract.features)
    }

    /// Returns the reason why the model cannot take a list of rows, even of tensors. `None` if nothing rules it out.
    #[must_use]
    pub fn against_rows(&self) -> Option<NoRows> {
        let scalar = || {
            let has_several = self.signature.inputs.len() > 1;
            let is_scalar = |spec: &&ValueSpec| {
                !spec.is_optional() && spec.as_tensor().is_some_and(|(_, shape)| shape.is_empty())
            };
            self.signature.inputs.iter().filter(|_| has_several).find(is_scalar)
        };
        let output = self.whole_output().map(NoRows::Output);
        output.or_else(|| scalar().map(|spec| NoRows::Scalar(spec.name.clone())))
    }

    /// Returns the callers' view of the model.
    #[must_use]
    pub fn interface(&self) -> Interface<'_> {
        let layout = self.layout_by(&self.contract).ok().flatten();
        Interface::new(&self.signature, &self.contract, layout, self.against_rows().is_none())
    }

    /// Returns true if this gateway and this ONNX Runtime made the proof, so that it holds here.
    #[must_use]
    pub fn is_of_this_gateway(&self) -> bool {
        self.by == proven_by()
    }
}

/// Names everything that a proof depends on besides the model.
fn proven_by() -> String {
    let library = Runtime::library_version().unwrap_or_default();
    format!("onnx-gateway {}, proof {PROOF_FORMAT}, ONNX Runtime {library}", env!("CARGO_PKG_VERSION"))
}

/// Proves candidates in child processes.
#[derive(Clone, Debug)]
pub struct Prover {
    /// This program, started again for each proof.
    pub program: PathBuf,
    /// ONNX Runtime's shared library.
    pub library: PathBuf,
    /// Limits of a proof.
    pub settings: AdmissionSettings,
    /// Memory limit of this process and its children together; 0 for what the system has.
    pub memory_limit_bytes: u64,
}

impl Prover {
    /// Proves a copy. Blocks until the proof has ended or was abandoned; the child does not outlive this call.
    ///
    /// # Errors
    ///
    /// The reason why the model may not serve.
    pub fn prove(&self, snapshot: &Snapshot) -> Result<Proof, Refusal> {
        let file = describe(snapshot)?;
        let proof = self.examine(snapshot, JobKind::Proven, None)?;
        if !proof.sandbox.is_sandboxed() {
            let missing = proof.sandbox.missing.join("; ");
            tracing::warn!(
                model.digest = snapshot.digest().short(),
                missing,
                "a model was proven without a sandbox"
            );
        }
        let is_steady = !file.is_unsteady && proof.signature.has_rows_of_one_size();
        let proof = Proof { divides: file.divides, is_steady, ..proof };
        if !is_worth_converting(snapshot, &file) {
            return Ok(self.measure_threads(snapshot, proof));
        }
        match self.convert(snapshot, &proof) {
            Ok(converted) => Ok(converted),
            // The original serves; it only takes more memory.
            Err(refusal) => {
                tracing::info!(
                    model.digest = snapshot.digest().short(),
                    "the model was not converted: {refusal}"
                );
                Ok(proof)
            }
        }
    }

    /// Ends the process that this thread keeps for further candidates. A thread that ends does so by itself.
    pub(super) fn rest() {
        warm::end();
    }

    /// Measures how much faster a large model runs with a thread for each CPU. This takes another child, because the
    /// first one may not start threads.
    fn measure_threads(&self, snapshot: &Snapshot, mut proof: Proof) -> Proof {
        if Runtime::cpus() > 1 && sessions_may_share(&proof.costs) {
            match self.examine(snapshot, JobKind::Threaded, None) {
                Ok(threaded) => proof.costs.run_threads_us = threaded.costs.run_threads_us,
                Err(refusal) => {
                    tracing::info!(
                        model.digest = snapshot.digest().short(),
                        "failed to measure threads: {refusal}"
                    );
                }
            }
        }
        proof
    }

    /// Converts a copy to the format that takes less memory, and measures how much less.
    fn convert(&self, snapshot: &Snapshot, proof: &Proof) -> Result<Proof, Refusal> {
        let unwritten = |error: std::io::Error| {
            Refusal::new(Reason::ProofFailed, format!("the converted model cannot be kept: {error}"))
        };
        // Another model may have the same content and be converted at the same time.
        let (_folder, file) = snapshot.begin_conversion().map_err(unwritten)?;
        let converted = self.examine(snapshot, JobKind::Converted, Some(file.clone()))?;
        if converted.costs.session_bytes > proof.costs.session_bytes / 100 * MOST_PERCENT {
            let detail = format!(
                "a session would take {} MiB in place of {}",
                converted.costs.session_bytes >> 20,
                proof.costs.session_bytes >> 20
            );
            return Err(Refusal::new(Reason::ProofFailed, detail));
        }
        let digest = snapshot.keep_converted(&file).map_err(unwritten)?;
        Ok(Proof { costs: converted.costs, converted: Some(digest), ..proof.clone() })
    }

    /// Determines the signature of a copy without running it; only loading is measured.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be loaded.
    pub fn declare(&self, snapshot: &Snapshot) -> Result<Proof, Refusal> {
        self.examine(snapshot, JobKind::Declared, None)
    }

    fn examine(
        &self,
        snapshot: &Snapshot,
        depth: JobKind,
        converted: Option<PathBuf>,
    ) -> Result<Proof, Refusal> {
        let (inline, external) = snapshot.sizes();
        let timeout =
            Duration::from_secs(self.settings.timeout_seconds + (inline + external) / BYTES_PER_SECOND);
        let (memory_bytes, is_scarce) = self.memory_bytes(inline, external)?;
        let threads = if depth == JobKind::Threaded { Runtime::cpus() } else { 1 };
        let thread_bytes = u64::try_from(threads).map_or(0, |threads| (threads - 1) * THREAD_BYTES);
        let job = Job {
            parent: std::process::id(),
            library: self.library.clone(),
            file: snapshot.file(),
            folder: snapshot.folder().to_path_buf(),
            contract: snapshot.contract().cloned(),
            limits: Limits {
                memory_bytes: memory_bytes + thread_bytes,
                cpu_seconds: timeout.as_secs(),
                file_bytes: if depth == JobKind::Converted {
                    inline * CONVERTED_FACTOR + BASE_BYTES
                } else {
                    0
                },
            },
            depth,
            session: SessionOptions { threads, optimized_path: converted },
            require_sandbox: self.settings.require_sandbox,
        };
        let failed = |error: std::io::Error| {
            Refusal::new(Reason::ProofFailed, format!("the proof could not be run: {error}"))
        };
        let by_the_clock = Duration::from_secs(timeout.as_secs() * WALL_FACTOR);
        let warm = warm::try_job(|| self.command("admit-each"), &job, by_the_clock);
        let outcome = warm.map_or_else(|| self.start_child(&job, by_the_clock), Ok).map_err(failed)?;
        tracing::debug!(
            end = ?outcome.end, peak_bytes = outcome.peak_bytes, duration_ms = outcome.duration.as_millis(),
            complaint = outcome.complaint, "a proof process ended"
        );
        let report = outcome.report.as_deref().and_then(|line| serde_json::from_str::<Report>(line).ok());
        match report {
            Some(Report::Proven(proof)) => Ok(*proof),
            Some(Report::Refused(refusal)) => Err(verdict::of_report(refusal, memory_bytes, is_scarce)),
            None => Err(verdict::of_end(&outcome, timeout, memory_bytes, is_scarce)),
        }
    }

    /// Tries a candidate in a process started for it.
    fn start_child(&self, job: &Job, timeout: Duration) -> std::io::Result<supervise::Outcome> {
        supervise::run(self.command("admit"), &serde_json::to_vec(job)?, timeout)
    }

    /// Builds the command that starts this program again, without this process's environment.
    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.program);
        let (name, value) = environment::TELEMETRY_OPT_OUT;
        command.arg(what).env_clear().env(name, value).current_dir("/");
        command.envs(environment::locale_path().map(|path| (environment::LOCALE_PATH, path)));
        command
    }

    /// Computes the memory limit of a proof, and whether scarcity made it smaller than the model should have.
    fn memory_bytes(&self, inline: u64, external: u64) -> Result<(u64, bool), Refusal> {
        let needed = inline
            .saturating_mul(INLINE_FACTOR)
            .saturating_add(external.saturating_mul(EXTERNAL_FACTOR))
            .saturating_add(BASE_BYTES);
        if self.settings.max_memory_bytes > 0 {
            return Ok((needed.min(self.settings.max_memory_bytes), false));
        }
        let available = memory::bytes_left(self.memory_limit_bytes, 0).unwrap_or(u64::MAX);
        if available < LEAST_BYTES {
            let detail = format!("{} MiB of memory are left, too little to prove any model", available >> 20);
            return Err(Refusal::new(Reason::InsufficientMemory, detail));
        }
        // The limit is on address space, part of which is never used. A small model's proof therefore fits a small
        // container.
        let most = (available / 2).max(BASE_BYTES);
        Ok((needed.min(most), most < needed))
    }
}

/// Reads the description of the model from its file.
fn describe(snapshot: &Snapshot) -> Result<OnnxFile, Refusal> {
    let unreadable = |error: OnnxFileError| Refusal::new(Reason::Unreadable, error.to_string());
    OnnxFile::read(File::open(snapshot.file()).map_err(|error| unreadable(error.into()))?).map_err(unreadable)
}

/// Returns true if a copy is a large forest: ONNX Runtime keeps its protocol buffer beside what it builds of it.
fn is_worth_converting(snapshot: &Snapshot, file: &OnnxFile) -> bool {
    let (inline, external) = snapshot.sizes();
    inline >= LEAST_CONVERTED_BYTES && external == 0 && file.has_trees
}
