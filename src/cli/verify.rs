//! `onnx-gateway verify`

use std::{fmt::Write, path::PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    Exit, Failure, REFUSED,
    comparison::Comparison,
    examine::{Examiner, FileArguments, LocalFile, candidate},
    output,
};
use crate::{
    lifecycle::{CandidateFiles, Costs, Proof, Refusal},
    model::{ColumnFacts, Dimension, Elements, Labels, Schedule},
};

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    file: FileArguments,
    /// The model that FILE would replace under the same version number: a change that breaks its callers is refused
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Maximum number of columns shown, and of categories of a column.
const MAX_LISTED: usize = 8;

/// Proves a file as the server would.
pub(super) fn verify(files: &[PathBuf], arguments: &VerifyArguments) -> Result<(), Failure> {
    let VerifyArguments { file: FileArguments { file, model_toml, json: as_json }, against } = arguments;
    let examiner = Examiner::new(files)?;
    let local = LocalFile::of(file, files)?;
    let (config, old) = match against {
        Some(old) => {
            let (old_config, config) = model_toml.read_both(old, &local.path)?;
            (config, Some(examiner.compared(old, &old_config)?))
        }
        None => (model_toml.read(&local.path)?, None),
    };
    let (source, candidate) = candidate(&local.path)?;
    let file = file.display();
    let progress = output::Progress::start(&format!("proving {file}"));
    let copied = examiner.copy(CandidateFiles::new(&source, &candidate), &config);
    let files = copied.as_ref().ok().map(|copy| copy.files().clone());
    let proven = copied.and_then(|copy| {
        let proof = examiner.prove(&copy)?;
        Ok((examiner.schedule(&config, &proof)?, proof))
    });
    drop(progress);
    let compared = match (&old, &proven, &files) {
        (Some((copy, old)), Ok((_, proof)), Some(files)) => {
            Some(Comparison::of(old, proof).with_weights(copy.files(), files))
        }
        _ => None,
    };
    let broken = compared.as_ref().filter(|_| !config.allow_breaking_changes);
    let outcome = match broken.and_then(|compared| Refusal::of_changes(compared.changes())) {
        Some(refusal) => Err(refusal),
        None => proven,
    };
    if *as_json {
        output::print(&format!("{}\n", document(&outcome, compared.as_ref())))?;
    } else {
        if let Ok((schedule, proof)) = &outcome {
            output::print(&format!("{file} would serve\n{}", describe(proof, schedule)))?;
        }
        output::print(&compared.map(|compared| compared.lines()).unwrap_or_default())?;
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(Refusal { reason, detail }) => {
            let reason = format!("{file} would be refused: {}: {detail}", reason.code());
            Err(Exit { status: REFUSED, reason }.into())
        }
    }
}

/// Returns the outcome of a proof as JSON.
fn document(outcome: &Result<(Schedule, Proof), Refusal>, compared: Option<&Comparison>) -> Value {
    let mut document = Map::new();
    document.insert("admitted".to_owned(), outcome.is_ok().into());
    match outcome {
        Ok((schedule, proof)) => {
            document.insert("proof".to_owned(), json!(proof));
            document.insert("scheduler".to_owned(), json!(schedule));
        }
        Err(Refusal { reason, detail }) => {
            document.insert("reason".to_owned(), json!(reason));
            document.insert("detail".to_owned(), json!(detail));
        }
    }
    if let Some(compared) = compared {
        document.insert("changes".to_owned(), compared.document());
    }
    Value::Object(document)
}

/// Describes a proof, and the schedule chosen for this machine.
pub(super) fn describe(proof: &Proof, schedule: &Schedule) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for input in &proof.signature.inputs {
        let _ = writeln!(text, "  input    {input}");
    }
    for output in &proof.signature.outputs {
        let _ = writeln!(text, "  output   {output}");
    }
    for feature in &proof.contract.features {
        let range = match (feature.minimum, feature.maximum) {
            (None, None) => String::new(),
            (Some(minimum), None) => format!(" from {minimum}"),
            (None, Some(maximum)) => format!(" up to {maximum}"),
            (Some(minimum), Some(maximum)) => format!(" {minimum} to {maximum}"),
        };
        let unit = feature.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        let _ = writeln!(text, "  feature  {}{range}{unit}", feature.name);
    }
    if !proof.takes_rows() {
        let _ = match proof.whole_output() {
            Some(output) => writeln!(text, "  rows     none: {output}: send tensors as `inputs`"),
            None => writeln!(text, "  rows     none: it takes tensors, as `inputs`"),
        };
    }
    for output in proof.constant_outputs() {
        let _ =
            writeln!(text, "  rows     `{output}` is the same for all rows: it is returned whole with each");
    }
    describe_classes(&mut text, proof);
    let columns = &proof.contract.graph.columns;
    for (input, column, facts) in columns.iter().take(MAX_LISTED) {
        let place = match column {
            None => ", every element".to_owned(),
            Some(_) if is_one_column(proof, input) => String::new(),
            Some(column) => format!(", column {column}"),
        };
        let _ = writeln!(text, "  column   {input}{place}: {} (from the graph)", described(facts));
    }
    let more = columns.iter().count().saturating_sub(MAX_LISTED);
    if more > 0 {
        let _ = writeln!(text, "           and {more} more columns that the graph knows of");
    }
    let costs = &proof.costs;
    let _ = match proof.golden_cases {
        0 => writeln!(text, "  golden   no cases: it was run with synthetic inputs"),
        1 => writeln!(text, "  golden   1 case passed"),
        cases => writeln!(text, "  golden   {cases} cases passed"),
    };
    for assumption in &proof.assumptions {
        let _ = writeln!(text, "           with {assumption}");
    }
    describe_times(&mut text, costs);
    let batches = match (proof.batchable, schedule.batching) {
        (false, _) => "none",
        (true, true) => "of several requests",
        (true, false) => "none, as batching is switched off",
    };
    let _ = writeln!(text, "  batches  {batches}: {}", proof.batching_reason);
    let Schedule { mode, instances, threads, reason, .. } = schedule;
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (instances, threads) = (count(*instances, "instance"), count(*threads, "thread"));
    let _ = writeln!(text, "  runs     on {} ({reason})", mode.name().replace('_', " "));
    let _ = writeln!(text, "           in {instances} of {threads}");
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let _ = writeln!(
        text,
        "  memory   {} MiB a session, {} MiB at most with ONNX Runtime",
        mebibytes(costs.session_bytes),
        mebibytes(costs.peak_bytes)
    );
    let seccomp = if proof.sandbox.seccomp { "on" } else { "off" };
    let _ = writeln!(text, "  sandbox  Landlock {}, seccomp {seccomp}", proof.sandbox.landlock);
    for missing in &proof.sandbox.missing {
        let _ = writeln!(text, "           without {missing}");
    }
    text
}

/// Returns true if an input has one value for each row.
fn is_one_column(proof: &Proof, input: &str) -> bool {
    let mut inputs = proof.signature.inputs.iter();
    let shape =
        inputs.find(|spec| spec.name == input).and_then(|spec| spec.as_tensor()).map(|(_, shape)| shape);
    shape.is_some_and(|shape| matches!(shape, [_] | [_, Dimension::Fixed(1)]))
}

/// Appends the classes: those of the author, else those of the graph.
fn describe_classes(text: &mut String, proof: &Proof) {
    let labels = proof.contract.graph.labels.as_ref().map(Labels::names);
    let _ = match (proof.contract.classes.as_slice(), labels) {
        ([], Some(labels)) => writeln!(text, "  classes  {} (from the graph)", labels.join(", ")),
        ([], None) => Ok(()),
        (names, _) => writeln!(text, "  classes  {}", names.join(", ")),
    };
}

/// Appends the durations that the proof measured.
fn describe_times(text: &mut String, costs: &Costs) {
    let _ = write!(text, "  time     {} to load, {} a run", time(costs.load_us), time(costs.run_us));
    let _ = match costs.run_32_rows_us {
        Some(run) => writeln!(text, ", {} of 32 rows", time(run)),
        None => writeln!(text),
    };
    if let Some(run) = costs.run_threads_us {
        let _ = writeln!(text, "           {} with a thread for each CPU", time(run));
    }
}

/// Describes what is known of a column.
fn described(facts: &ColumnFacts) -> String {
    let categories = facts.categories.as_ref().map(|categories| {
        let texts = match categories {
            Elements::Texts(texts) => texts.iter().take(MAX_LISTED).map(|text| format!("{text:?}")).collect(),
            Elements::Integers(numbers) => numbers.iter().take(MAX_LISTED).map(ToString::to_string).collect(),
            Elements::Numbers(numbers) => numbers.iter().take(MAX_LISTED).map(ToString::to_string).collect(),
        };
        let texts: Vec<String> = texts;
        let more = categories.len() - texts.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let texts = texts.join(", ");
        if facts.is_closed {
            format!("one of {texts}{more}")
        } else {
            format!("encodes {texts}{more}; any other value is accepted and ignored")
        }
    });
    let range = facts.range.map(|(least, most)| format!("{least} to {most}"));
    let missing = facts.missing.then(|| "may be missing".to_owned());
    [categories, range, missing].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Formats microseconds with a readable number of digits.
fn time(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}
