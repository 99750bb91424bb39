//! Proving a candidate before it serves, in a process of its own that is shut in: it loads, it runs, it answers what it
//! must. Whatever it does there, it does not do it here.
//!
//! [`Prover`] is this side, [`child`] the other, started for one candidate or copied for each ([`warm`]); they exchange a
//! [`Job`](job::Job) and a [`Report`](job::Report).

pub mod child;
mod job;
mod verdict;
mod warm;

use std::{fs::File, path::PathBuf, process::Command, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Reason, Refusal, Snapshot, schedule::sessions_may_share};
use crate::{
    config::{AdmissionSettings, environment},
    model::{
        Contract, ContractDocument, Digest, Interface, Layout, LayoutError, NoRows, OnnxFile, OnnxFileError,
        OutputForms, Signature, ValueSpec, WholeOutput,
    },
    runtime::Runtime,
    system::{
        memory,
        sandbox::{Enforcement, Limits},
        supervise,
    },
};
use job::{Depth, Job, Report};
pub use warm::run_each;

/// Address space that ONNX Runtime takes before there is a model, and then some.
const BASE_BYTES: u64 = 512 << 20;

/// A forest takes 13 times its file while it is loaded.
const INLINE_FACTOR: u64 = 16;

/// Weights beside the model are mapped, and copied once.
const EXTERNAL_FACTOR: u64 = 2;

/// Forests of this size are worth the time of a conversion.
const LEAST_CONVERTED_BYTES: u64 = 1 << 20;

/// A converted forest is two to three times the file.
const CONVERTED_FACTOR: u64 = 8;

/// A converted model is used if a session of it takes at most so much of what one of the original takes.
const MOST_PERCENT: u64 = 80;

/// With less than this not even the smallest model can be proven.
const LEAST_BYTES: u64 = 64 << 20;

/// Time is taken on a CPU, as a good model must not be refused because requests leave it little of one; by the clock it
/// may take so many times as long.
const WALL_FACTOR: u64 = 4;

/// A second more for so many bytes.
const BYTES_PER_SECOND: u64 = 100_000_000;

/// Counts up with what a proof finds out: those of a build that found out less are made anew.
const PROOF_FORMAT: u32 = 3;

/// Address space that a thread takes: its stack and what the allocator reserves for it.
const THREAD_BYTES: u64 = 80 << 20;

/// What was found out about a model before it served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Which gateway and which ONNX Runtime found it out.
    pub by: String,
    /// The signature, with the shapes of outputs that the proof saw: exporters often declare others.
    pub signature: Signature,
    /// The signature that the file declares, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Signature>,
    /// Forms of the outputs: by row, constant, or whole.
    #[serde(default)]
    pub output_forms: OutputForms,
    /// What its author knows of it, without the golden cases.
    pub contract: Contract,
    /// How many golden cases it answered.
    pub golden_cases: usize,
    /// What it costs.
    pub costs: Costs,
    /// How it was shut in.
    pub sandbox: Enforcement,
    /// The sha256 of the model in ONNX Runtime's own format, if that is what is loaded because it takes less memory; the
    /// costs are then those of that.
    #[serde(default)]
    pub converted: Option<Digest>,
    /// Whether it divides ([`check_dividends`](crate::model::check_dividends)).
    #[serde(default)]
    pub divides: bool,
    /// Whether it answers several rows at once as it answers each alone.
    #[serde(default)]
    pub batchable: bool,
    /// Reason why it does or does not, for people.
    #[serde(default)]
    pub batching_reason: String,
    /// Values that had to be made up, as neither contract nor graph say what the model takes.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// Whether the time of a run follows from the number of rows, whatever their values.
    #[serde(default)]
    pub is_steady: bool,
}

/// What a model costs, measured when it was proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// Time to load it.
    pub load_us: u64,
    /// Time of a run, of one row if it takes rows.
    pub run_us: u64,
    /// Time of a run of 32 rows, if it takes any number of them and that is not a matter of seconds.
    pub run_32_rows_us: Option<u64>,
    /// Time of the shorter run in a session with a thread for each CPU, if it is a large model of runs that are long enough
    /// to share.
    #[serde(default)]
    pub run_threads_us: Option<u64>,
    /// Memory that a session keeps.
    pub session_bytes: u64,
    /// The most memory that loading and running took, ONNX Runtime's own included.
    pub peak_bytes: u64,
}

impl Proof {
    /// Whether the model can be asked by rows.
    #[must_use]
    pub fn takes_rows(&self) -> bool {
        self.layout_by(&self.contract).is_ok_and(|layout| layout.is_some())
    }

    /// The signature that the file declares.
    #[must_use]
    pub fn declared(&self) -> &Signature {
        self.declared.as_ref().unwrap_or(&self.signature)
    }

    /// The output that stands against rows, if one does.
    #[must_use]
    pub fn whole_output(&self) -> Option<WholeOutput> {
        self.output_forms.whole_output(&self.signature)
    }

    /// Names of the outputs that are the same for all rows, where rows are taken.
    pub fn constant_outputs(&self) -> impl Iterator<Item = &str> {
        let constants = self.output_forms.constants();
        let takes_rows = self.takes_rows();
        let outputs = self.signature.outputs.iter().enumerate();
        outputs
            .filter(move |(index, _)| takes_rows && constants.contains(*index))
            .map(|(_, output)| output.name.as_str())
    }

    /// The layout of rows by a contract; `None` if the model takes none.
    ///
    /// # Errors
    ///
    /// When the contract describes features of rows that the model does not take.
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

    /// Returns true if the features of a contract are not those that a model has of which nothing is said.
    fn is_described_by(&self, contract: &Contract) -> bool {
        let graph = contract.graph.clone();
        let unsaid = Contract::resolve(ContractDocument::default(), self.declared(), graph);
        unsaid.map_or(!contract.features.is_empty(), |unsaid| unsaid.features != contract.features)
    }

    /// The reason for which the model cannot be asked with a list of rows, even of tensors; `None` if nothing is known against it.
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

    /// The side of the model that callers see.
    #[must_use]
    pub fn interface(&self) -> Interface<'_> {
        let layout = self.layout_by(&self.contract).ok().flatten();
        Interface::new(&self.signature, &self.contract, layout, self.against_rows().is_none())
    }

    /// Whether it was made with the same gateway and the same ONNX Runtime, and so holds here.
    #[must_use]
    pub fn is_of_this_gateway(&self) -> bool {
        self.by == proven_by()
    }
}

/// The names of everything that a proof depends on besides the model.
fn proven_by() -> String {
    let library = Runtime::library_version().unwrap_or_default();
    format!("onnx-gateway {}, proof {PROOF_FORMAT}, ONNX Runtime {library}", env!("CARGO_PKG_VERSION"))
}

/// Proves candidates.
#[derive(Clone, Debug)]
pub struct Prover {
    /// This program, which is started again for each.
    pub program: PathBuf,
    /// ONNX Runtime's shared library.
    pub library: PathBuf,
    /// Within which bounds.
    pub settings: AdmissionSettings,
    /// Memory that all of it may take together with this process; 0 for what the system has.
    pub memory_limit_bytes: u64,
}

impl Prover {
    /// Proves a copy; blocks until that is done or given up. The child lives no longer than this call.
    ///
    /// # Errors
    ///
    /// Why it may not serve.
    pub fn prove(&self, snapshot: &Snapshot) -> Result<Proof, Refusal> {
        let file = describe(snapshot)?;
        let proof = self.examine(snapshot, Depth::Proven, None)?;
        let is_steady = !file.is_unsteady && proof.signature.has_rows_of_one_size();
        let proof = Proof { divides: file.divides, is_steady, ..proof };
        if !is_worth_converting(snapshot, &file) {
            return Ok(self.measure_threads(snapshot, proof));
        }
        match self.convert(snapshot, &proof) {
            Ok(converted) => Ok(converted),
            // It serves as it is; it only takes more memory.
            Err(refusal) => {
                tracing::info!(model.digest = snapshot.digest().short(), "it is not converted: {refusal}");
                Ok(proof)
            }
        }
    }

    /// Ends what this thread keeps for further candidates. A thread that ends need not be asked.
    pub(super) fn rest() {
        warm::end();
    }

    /// Finds out how much faster a large model runs with a thread for each CPU, in a child of its own: the first one may
    /// not start any.
    fn measure_threads(&self, snapshot: &Snapshot, mut proof: Proof) -> Proof {
        if Runtime::cpus() > 1 && sessions_may_share(&proof.costs) {
            match self.examine(snapshot, Depth::Threaded, None) {
                Ok(threaded) => proof.costs.run_threads_us = threaded.costs.run_threads_us,
                Err(refusal) => {
                    tracing::info!(
                        model.digest = snapshot.digest().short(),
                        "threads are not measured: {refusal}"
                    );
                }
            }
        }
        proof
    }

    /// Has a copy converted to the format that takes less memory, and finds out how much less.
    fn convert(&self, snapshot: &Snapshot, proof: &Proof) -> Result<Proof, Refusal> {
        let unwritten = |error: std::io::Error| {
            Refusal::new(Reason::ProofFailed, format!("the converted model cannot be kept: {error}"))
        };
        // Another model may be of the same content, and be converted beside this one.
        let (_folder, file) = snapshot.begin_conversion().map_err(unwritten)?;
        let converted = self.examine(snapshot, Depth::Converted, Some(file.clone()))?;
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

    /// Finds out what a copy takes and gives, without running it: nothing is measured then but loading.
    ///
    /// # Errors
    ///
    /// Why it cannot be loaded.
    pub fn declare(&self, snapshot: &Snapshot) -> Result<Proof, Refusal> {
        self.examine(snapshot, Depth::Declared, None)
    }

    fn examine(
        &self,
        snapshot: &Snapshot,
        depth: Depth,
        converted: Option<PathBuf>,
    ) -> Result<Proof, Refusal> {
        let (inline, external) = snapshot.sizes();
        let timeout =
            Duration::from_secs(self.settings.timeout_seconds + (inline + external) / BYTES_PER_SECOND);
        let (memory_bytes, is_scarce) = self.memory_bytes(inline, external)?;
        let threads = if depth == Depth::Threaded { Runtime::cpus() } else { 1 };
        let thread_bytes = u64::try_from(threads).map_or(0, |threads| (threads - 1) * THREAD_BYTES);
        let job = Job {
            parent: std::process::id(),
            library: self.library.clone(),
            file: snapshot.file(),
            folder: snapshot.folder().to_path_buf(),
            contract: snapshot.contract().cloned(),
            converted,
            limits: Limits {
                memory_bytes: memory_bytes + thread_bytes,
                cpu_seconds: timeout.as_secs(),
                file_bytes: if depth == Depth::Converted {
                    inline * CONVERTED_FACTOR + BASE_BYTES
                } else {
                    0
                },
            },
            depth,
            threads,
            require_sandbox: self.settings.require_sandbox,
        };
        let failed = |error: std::io::Error| {
            Refusal::new(Reason::ProofFailed, format!("the proof could not be made: {error}"))
        };
        let by_the_clock = Duration::from_secs(timeout.as_secs() * WALL_FACTOR);
        let warm = warm::try_job(|| self.command("admit-each"), &job, by_the_clock);
        let outcome = warm.map_or_else(|| self.start_child(&job, by_the_clock), Ok).map_err(failed)?;
        tracing::debug!(
            end = ?outcome.end, peak_bytes = outcome.peak_bytes, duration_ms = outcome.duration.as_millis(),
            complaint = outcome.complaint, "a candidate was tried"
        );
        let report = outcome.report.as_deref().and_then(|line| serde_json::from_str::<Report>(line).ok());
        match report {
            Some(Report::Proven(proof)) => Ok(*proof),
            Some(Report::Refused(refusal)) => Err(verdict::of_report(refusal, memory_bytes, is_scarce)),
            None => Err(verdict::of_end(&outcome, timeout, memory_bytes, is_scarce)),
        }
    }

    /// Tries a candidate in a process that is started for it.
    fn start_child(&self, job: &Job, timeout: Duration) -> std::io::Result<supervise::Outcome> {
        supervise::run(self.command("admit"), &serde_json::to_vec(job)?, timeout)
    }

    /// This program once more, without what this one was told.
    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.program);
        let (name, value) = environment::TELEMETRY_OPT_OUT;
        command.arg(what).env_clear().env(name, value).current_dir("/");
        command.envs(environment::locale_path().map(|path| (environment::LOCALE_PATH, path)));
        command
    }

    /// How much memory a proof may take, and whether that is less than it should have for want of more.
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
            let detail = format!("{} MiB are left; that is too little to prove any model", available >> 20);
            return Err(Refusal::new(Reason::InsufficientMemory, detail));
        }
        // Address space, of which a part is never used: that of a small model fits a small container.
        let most = (available / 2).max(BASE_BYTES);
        Ok((needed.min(most), most < needed))
    }
}

/// What the model's file says of itself.
fn describe(snapshot: &Snapshot) -> Result<OnnxFile, Refusal> {
    let unreadable = |error: OnnxFileError| Refusal::new(Reason::Unreadable, error.to_string());
    OnnxFile::read(File::open(snapshot.file()).map_err(|error| unreadable(error.into()))?).map_err(unreadable)
}

/// Whether a copy is a forest of some size: ONNX Runtime keeps the protocol buffer of one beside what it makes of it.
fn is_worth_converting(snapshot: &Snapshot, file: &OnnxFile) -> bool {
    let (inline, external) = snapshot.sizes();
    inline >= LEAST_CONVERTED_BYTES && external == 0 && file.has_trees
}
