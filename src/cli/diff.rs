//! `onnx-gateway diff`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::json;

use super::{
    BREAKING, Exit, Failure,
    examine::{Examiner, candidate},
    output,
};
use crate::{
    lifecycle::{CopiedFile, ModelConfig, Proof, Snapshot},
    model::{Contract, ValueSpec},
};

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The model that serves
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The model that is to take its place
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

/// Shows what callers of one model would notice of the other.
pub(super) fn diff(files: &[PathBuf], arguments: &DiffArguments) -> Result<(), Failure> {
    let examiner = Examiner::new(files)?;
    let (old_copy, old) = declared(&examiner, &arguments.old)?;
    let (new_copy, new) = declared(&examiner, &arguments.new)?;
    let mut breaking = new.signature.breaking_changes(&old.signature);
    breaking.extend(new.contract.breaking_changes(&old.contract));
    let mut harmless: Vec<String> =
        harmless_changes(&old, &new).into_iter().filter(|change| !breaking.contains(change)).collect();
    harmless.extend(weights_change(old_copy.files(), new_copy.files()));
    if arguments.json {
        let document = json!({"compatible": breaking.is_empty(), "breaking": breaking, "harmless": harmless});
        output::print(&format!("{document}\n"))?;
    } else if breaking.is_empty() && harmless.is_empty() {
        output::print("callers notice nothing: the same inputs, outputs, features and classes\n")?;
    } else {
        let marked = breaking.iter().map(|change| ("breaks  ", change));
        for (mark, change) in marked.chain(harmless.iter().map(|change| ("harmless", change))) {
            output::print(&format!("{mark} {change}\n"))?;
        }
    }
    if breaking.is_empty() {
        return Ok(());
    }
    let (old, new) = (arguments.old.display(), arguments.new.display());
    Err(Exit { status: BREAKING, reason: format!("{new} in place of {old} would break callers") }.into())
}

fn declared(examiner: &Examiner, file: &Path) -> Result<(Arc<Snapshot>, Proof), Failure> {
    let copied = examiner.copy(&candidate(file)?, &ModelConfig::default());
    let declared = copied.and_then(|copy| {
        let proof = examiner.declare(&copy)?;
        Ok((copy, proof))
    });
    Ok(declared.map_err(|refusal| format!("{}: {refusal}", file.display()))?)
}

/// Says that two models are one graph with other weights, which lie in files beside it.
fn weights_change(old: &[CopiedFile], new: &[CopiedFile]) -> Option<String> {
    let ((old, old_data), (new, new_data)) = (old.split_first()?, new.split_first()?);
    let before = |file: &&CopiedFile| !old_data.contains(file);
    let changed: Vec<String> =
        new_data.iter().filter(before).map(|file| format!("`{}`", file.path.escape_debug())).collect();
    (old.digest == new.digest && !changed.is_empty())
        .then(|| format!("the weights differ, in {}; the graph is the same", changed.join(", ")))
}

/// Differences that need not break anyone; breaking ones may be among them, in the same words.
fn harmless_changes(old: &Proof, new: &Proof) -> Vec<String> {
    let mut changes = changed("input", &old.signature.inputs, &new.signature.inputs);
    changes.extend(changed("output", &old.signature.outputs, &new.signature.outputs));
    changes.extend(contract_changes(&old.contract, &new.contract));
    if old.golden_cases != new.golden_cases {
        changes.push(format!("{} golden cases became {}", old.golden_cases, new.golden_cases));
    }
    changes
}

fn changed(kind: &str, old: &[ValueSpec], new: &[ValueSpec]) -> Vec<String> {
    let mut changes = Vec::new();
    for now in new {
        match old.iter().find(|spec| spec.name == now.name) {
            Some(before) if before != now => changes.push(format!("{kind} `{before}` became `{now}`")),
            None => changes.push(format!("{kind} `{now}` is new")),
            Some(_) => {}
        }
    }
    changes
}

fn contract_changes(old: &Contract, new: &Contract) -> Vec<String> {
    let bounds = |minimum: Option<f64>, maximum: Option<f64>| {
        let bound = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |bound| bound.to_string());
        format!("{} to {}", bound(minimum), bound(maximum))
    };
    let mut changes = Vec::new();
    for now in &new.features {
        match old.features.iter().find(|feature| feature.name == now.name) {
            Some(before) if (before.minimum, before.maximum) != (now.minimum, now.maximum) => {
                let (from, to) = (bounds(before.minimum, before.maximum), bounds(now.minimum, now.maximum));
                changes.push(format!("the feature `{}` may be {to}, was {from}", now.name));
            }
            None => changes.push(format!("the feature `{}` has a name now", now.name)),
            Some(_) => {}
        }
    }
    if old.classes.is_empty() && !new.classes.is_empty() {
        changes.push(format!("the classes have names now: {}", new.classes.join(", ")));
    }
    changes
}
