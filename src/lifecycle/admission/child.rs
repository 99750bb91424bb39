//! The child's side of a proof: it restricts itself, tries one model, writes one line and ends.

mod conversion;
mod threads;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Costs, Proof,
    job::{Job, JobKind, Report},
    proven_by,
};
use crate::{
    auth::RunPermit,
    config::environment,
    lifecycle::{
        Reason, Refusal,
        proof::{
            BatchingFound, BatchingHints, FoundOutputs, assumptions, check_classes, find_batching,
            find_outputs, prove,
        },
    },
    model::{
        CONTRACT_KEY, Contract, ContractDocument, Dimension, Graph, GraphFacts, Layout, OnnxFileError,
        OutputForms, RowDependence, Signature, Tensor,
    },
    runtime::{Instance, RunOptions, Runtime},
    system::{
        memory::MemoryStatus,
        sandbox::{self, Enforcement},
    },
};

/// Timed runs of a model; the median counts.
const TIMED_RUNS: usize = 5;

/// Timing ends after this long, even with fewer runs.
const TIMING_BUDGET: Duration = Duration::from_millis(500);

/// Sessions of smaller files are too small to measure.
const LEAST_BYTES: u64 = 1 << 20;

/// A model that takes longer to load is loaded only once.
const MOST_LOAD_US: u64 = 200_000;

/// Batching is examined for at most this fraction of the remaining time: a third.
const ALLOWANCE_PART: u32 = 3;

/// Upper limit of that time, however much remains.
const MOST_ALLOWANCE: Duration = Duration::from_secs(10);

/// Rows of the larger timed run.
const MANY_ROWS: usize = 32;

/// Longest run of one row, in microseconds, after which many rows are timed.
const LONGEST_RUN_OF_MANY_US: u64 = 150_000;

/// Reads a job, carries it out and writes the report.
///
/// # Errors
///
/// If the job cannot be parsed, the process cannot be restricted, or the report cannot be written.
pub fn run(mut input: impl Read, output: impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text)?;
    drop(text);
    carry_out(&job, output)
}

/// Carries out a job in this process and writes the report. The process can do nothing else from then on.
pub(super) fn carry_out(job: &Job, mut output: impl Write) -> io::Result<()> {
    let mut sandbox = sandbox::limit(job.limits, job.parent)?;
    // The sandbox would not let it be opened later.
    let mut status = MemoryStatus::open()?;
    let runtime = Runtime::load_from(&job.library).map_err(io::Error::other)?;
    let locales = environment::locale_path();
    let readable: Vec<&Path> = std::iter::once(job.folder.as_path()).chain(locales.as_deref()).collect();
    let writable = job.session.optimized_path.as_deref().and_then(Path::parent);
    sandbox::enter(&mut sandbox, &readable, writable, job.session.threads > 1);
    let report = if job.require_sandbox && !sandbox.is_sandboxed() {
        let detail = format!(
            "it cannot be sandboxed here, which admission.require_sandbox demands: {}",
            sandbox.missing.join("; ")
        );
        Report::Refused(Refusal::new(Reason::SandboxUnavailable, detail))
    } else {
        match try_model(runtime, job, &mut status) {
            Ok(findings) => report(findings, sandbox),
            Err(refusal) => Report::Refused(refusal),
        }
    };
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Findings about a model that may serve.
struct Findings {
    /// The signature that the file declares.
    declared: Signature,
    outputs: FoundOutputs,
    contract: Contract,
    costs: Costs,
    batching: BatchingFound,
    assumptions: Vec<String>,
}

impl Findings {
    /// Combines the declaration of a model with measurements of it.
    fn of(instance: &Instance, contract: Contract, costs: Costs) -> Self {
        let declared = instance.signature().clone();
        let outputs = FoundOutputs { forms: OutputForms::default(), signature: declared.clone() };
        let batching = BatchingFound { batchable: false, reason: String::new() };
        Self { declared, outputs, contract, costs, batching, assumptions: Vec::new() }
    }
}

/// Makes the proof, unless the contract describes rows that the model does not take.
fn report(findings: Findings, sandbox: Enforcement) -> Report {
    let Findings { declared, outputs, contract, costs, batching, assumptions } = findings;
    let FoundOutputs { forms, signature } = outputs;
    let proof = Proof {
        by: proven_by(),
        declared: (declared != signature).then_some(declared),
        signature,
        output_forms: forms,
        golden_cases: contract.golden.len(),
        contract,
        costs,
        sandbox,
        converted: None,
        divides: false,
        batchable: batching.batchable,
        batching_reason: batching.reason,
        assumptions,
        is_steady: false,
    };
    match proof.layout_by(&proof.contract) {
        Ok(_) => Report::Proven(Box::new(proof)),
        Err(error) => Report::Refused(Refusal::new(Reason::InvalidContract, error.to_string())),
    }
}

fn try_model(runtime: Runtime, job: &Job, status: &mut MemoryStatus) -> Result<Findings, Refusal> {
    if let Some(converted) = &job.session.optimized_path {
        return conversion::try_converted(runtime, job, converted, status);
    }
    if job.depth == JobKind::Threaded {
        return threads::try_threaded(runtime, job);
    }
    let before = status.bytes("VmRSS:");
    let begin = Instant::now();
    let start = begin;
    let mut instance = Instance::load(runtime, &job.file, &job.session)?;
    let load_us = micros(start.elapsed());
    let graph = graph(&job.file)?;
    let facts = GraphFacts::of(&graph, instance.signature());
    let contract = contract_of(&instance, job.contract.as_ref(), facts)?;
    if job.depth == JobKind::Declared {
        let session_bytes = status.bytes("VmRSS:").saturating_sub(before);
        let peak_bytes = status.bytes("VmHWM:");
        let costs = Costs { load_us, session_bytes, peak_bytes, ..Costs::default() };
        return Ok(Findings::of(&instance, contract, costs));
    }
    let proven = prove(&mut instance, &contract)?;
    let session_bytes = match second_session(runtime, job, status, load_us) {
        Some(bytes) => bytes,
        None => status.bytes("VmRSS:").saturating_sub(before),
    };
    let one = first_row(instance.signature(), &proven.inputs, 1);
    let many = first_row(instance.signature(), &proven.inputs, MANY_ROWS);
    let run_us = time_runs(&mut instance, one.as_ref().unwrap_or(&proven.inputs)).unwrap_or(load_us);
    // A failing run of many rows is not a refusal: the signature allows it, but the contract does not promise it.
    let many = many.filter(|_| run_us <= LONGEST_RUN_OF_MANY_US);
    let run_32_rows_us = many.and_then(|inputs| time_runs(&mut instance, &inputs));
    let allowance = allowance(job, begin);
    let outputs = find_outputs(&mut instance, &contract, &proven.inputs, Some(&graph));
    let layout = Layout::of(instance.signature(), &contract)
        .map_err(|error| Refusal::new(Reason::InvalidContract, error.to_string()))?;
    if let Some(layout) = layout {
        let layout = layout.with_forms(instance.signature(), &contract, &outputs.forms);
        check_classes(&mut instance, &contract, &layout, &proven.inputs)?;
    }
    let constants = outputs.forms.constants();
    let dependence = RowDependence::of(&graph, instance.signature());
    let hints = BatchingHints { dependence: &dependence, run_us, allowance, constants: &constants };
    let batching = find_batching(&mut instance, &contract, &proven.inputs, hints);
    let assumptions = assumptions(&contract, &proven.inputs);
    let peak_bytes = status.bytes("VmHWM:");
    let costs = Costs { load_us, run_us, run_32_rows_us, run_threads_us: None, session_bytes, peak_bytes };
    Ok(Findings { outputs, batching, assumptions, ..Findings::of(&instance, contract, costs) })
}

/// Computes the time allowed for further runs: a fraction of what remains.
fn allowance(job: &Job, begin: Instant) -> Duration {
    let left = Duration::from_secs(job.limits.cpu_seconds).saturating_sub(begin.elapsed());
    (left / ALLOWANCE_PART).min(MOST_ALLOWANCE)
}

/// Measures the memory of a second session: the growth by the first is partly ONNX Runtime's own. `None` for a small
/// model, or one that takes long to load.
fn second_session(runtime: Runtime, job: &Job, status: &mut MemoryStatus, load_us: u64) -> Option<u64> {
    let bytes = std::fs::metadata(&job.file).map_or(0, |metadata| metadata.len());
    if load_us > MOST_LOAD_US || bytes < LEAST_BYTES {
        return None;
    }
    let before = status.bytes("VmRSS:");
    let second = Instance::load(runtime, &job.file, &job.session).ok()?;
    let bytes = status.bytes("VmRSS:").saturating_sub(before);
    drop(second);
    Some(bytes)
}

/// Reads the facts that the graph of a model's file states.
fn facts(file: &Path, instance: &Instance) -> Result<GraphFacts, Refusal> {
    Ok(GraphFacts::of(&graph(file)?, instance.signature()))
}

/// Reads the operators of a model's file.
fn graph(file: &Path) -> Result<Graph, Refusal> {
    let unreadable = |error: OnnxFileError| Refusal::new(Reason::Unreadable, error.to_string());
    Graph::read(File::open(file).map_err(|error| unreadable(error.into()))?).map_err(unreadable)
}

/// Resolves the contract: the metadata's, overridden by the operator's, with the graph's facts as defaults.
///
/// # Errors
///
/// If either contract cannot be read, or does not fit the model.
pub fn contract_of(
    instance: &Instance,
    override_with: Option<&serde_json::Value>,
    graph: GraphFacts,
) -> Result<Contract, Refusal> {
    let invalid = |error: String| Refusal::new(Reason::InvalidContract, error);
    let mut document = match instance.metadata(CONTRACT_KEY)? {
        Some(json) => ContractDocument::parse_json(&json).map_err(|error| invalid(error.to_string()))?,
        None => ContractDocument::default(),
    };
    if let Some(value) = override_with {
        let over = ContractDocument::parse_json(&value.to_string())
            .map_err(|error| invalid(format!("model.toml, [contract]: {error}")))?;
        document = document.overridden_by(over);
    }
    Contract::resolve(document, instance.signature(), graph).map_err(|error| invalid(error.to_string()))
}

/// Repeats the first row of the inputs `rows` times. `None` if an input has a fixed number of rows.
fn first_row(
    signature: &Signature,
    inputs: &[(String, Tensor)],
    rows: usize,
) -> Option<Vec<(String, Tensor)>> {
    let repeat = |(name, tensor): &(String, Tensor)| {
        let (_, shape) = signature.input(name)?.as_tensor()?;
        matches!(shape.first(), Some(Dimension::Dynamic(_))).then_some(())?;
        Some((name.clone(), tensor.first_row_repeated(rows)?))
    };
    inputs.iter().map(repeat).collect()
}

fn time_runs(instance: &mut Instance, inputs: &[(String, Tensor)]) -> Option<u64> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let options = RunOptions::new().ok()?;
    let budget = Instant::now();
    let mut times = Vec::new();
    while times.len() < TIMED_RUNS && (times.is_empty() || budget.elapsed() < TIMING_BUDGET) {
        let start = Instant::now();
        instance.run(&inputs, &options, RunPermit::of_proof()).ok()?;
        times.push(micros(start.elapsed()));
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
