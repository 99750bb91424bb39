//! The `model.toml` of a model, with the contract that could be read from its file.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::{Failure, examine::Examiner, output},
    codec::{row_example, tensors_example},
    lifecycle::{ModelConfig, Proof, short_example_inputs},
    model::{Contract, ElementType, Feature, Labels, Layout, Missing},
};

/// Most columns that are listed: a contract names all of them or none.
const MAX_LISTED: usize = 100;

/// Most elements of a request to paste.
const MAX_ELEMENTS: usize = 64;

/// A `model.toml`, and a request that the model should accept.
pub(super) struct Described {
    pub(super) text: String,
    /// The body; `None` if it would be long.
    pub(super) example: Option<String>,
}

/// Describes a model in a `model.toml`. The contract is left as a comment if the model would be refused with it.
pub(super) fn describe(files: &[PathBuf], model: &Path) -> Result<Described, Failure> {
    let examiner = Examiner::new(files)?;
    let _progress = output::Progress::start(&format!("proving {}", model.display()));
    let alone = ModelConfig::default();
    let (_, proof) = match examiner.compared(model, &alone) {
        Ok(proven) => proven,
        Err(refusal) => {
            output::warnings(&format!("the gateway would not serve it as it is: {refusal}"));
            examiner.declared(model, &alone)?
        }
    };
    let example = example(&proof);
    let contract = contract(&proof);
    let text = format!("{}{contract}", head(&proof));
    let config: ModelConfig = toml::from_str(&text)?;
    if config.contract.is_none() {
        return Ok(Described { text, example });
    }
    if let Err(refusal) = examiner.compared(model, &config) {
        let reason = refusal.to_string();
        output::warnings(&format!("the contract is left as a comment: with it, {reason}"));
        return Ok(Described { text: format!("{}{}", head(&proof), commented(&contract)), example });
    }
    Ok(Described { text, example })
}

/// Returns the body of a request that the model should accept; `None` if it would be long.
fn example(proof: &Proof) -> Option<String> {
    let Proof { signature, contract, .. } = proof;
    let layout = Layout::of(signature, contract).ok().flatten().filter(|_| proof.takes_rows());
    let inputs = short_example_inputs(signature, layout.as_ref(), contract, MAX_ELEMENTS)?;
    let row = layout.and_then(|layout| row_example(&layout, contract, &inputs));
    Some(row.unwrap_or_else(|| tensors_example(&inputs)))
}

/// Writes the settings that are no contract, as comments, and the signature.
fn head(proof: &Proof) -> String {
    let mut text = String::from(
        "# Settings of this model. `onnx-gateway config-schema --model` describes all of them for an editor. A change is\n\
         # applied like a new file: after a proof.\n\n\
         # The versions that serve: \"latest\" (the newest that works), a number, or a list of numbers.\n\
         versions = \"latest\"\n\
         # True lets a new file break the callers of the one that it replaces, by other features or outputs.\n\
         allow_breaking_changes = false\n\n",
    );
    // Writing to a string cannot fail.
    for input in &proof.signature.inputs {
        let _ = writeln!(text, "# input   {}", line(&input.to_string()));
    }
    for output in &proof.signature.outputs {
        let _ = writeln!(text, "# output  {}", line(&output.to_string()));
    }
    text
}

/// Writes section `contract`.
fn contract(proof: &Proof) -> String {
    let layout = Layout::of(&proof.signature, &proof.contract).ok().flatten();
    let layout = layout.filter(|_| proof.takes_rows());
    let classes = classes(&proof.contract);
    let features = layout.map(|layout| features(&layout, &proof.contract)).unwrap_or_default();
    if classes.is_empty() && features.is_empty() {
        return "\n# It takes whole tensors and names no classes, so there is nothing to describe.\n"
            .to_owned();
    }
    format!(
        "\n# The contract: names of columns and classes, for requests and responses. Each key overrides\n# the one in the metadata of the model's file.\n[contract]\n{classes}{features}"
    )
}

/// Writes the names of the classes. Numbers are a comment, as names in their place would be texts.
fn classes(contract: &Contract) -> String {
    let names = contract.all_class_names();
    if names.is_empty() {
        return String::new();
    }
    let are_texts = !contract.classes.is_empty() || matches!(contract.graph.labels, Some(Labels::Texts(_)));
    let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let mark = if are_texts { "" } else { "# " };
    format!(
        "# Names of the classes, in the order of the labels of the graph.\n{mark}classes = [{}]\n",
        list.join(", ")
    )
}

/// Writes the columns of a row. Without names in the model, they are a comment to fill in.
fn features(layout: &Layout, contract: &Contract) -> String {
    let count = layout.columns();
    let are_named = contract.features.len() == count;
    if count > MAX_LISTED {
        return format!("# A row has {count} values; a contract names all of them or none.\n");
    }
    let mut text = String::from(
        "\n# The columns of a row, in order. A name makes rows by name possible; minimum and maximum refuse other numbers,\n\
         # and missing says what stands in for a value that is null or absent.\n",
    );
    for column in 0..count {
        let place_holder = Feature::new(format!("column_{}", column + 1));
        let feature = contract.features.get(column).filter(|_| are_named).unwrap_or(&place_holder);
        let section = section(feature, layout.element_type(column).unwrap_or(ElementType::F32));
        text.push_str(&if are_named { section } else { commented(&section) });
    }
    text
}

/// Writes a column, with the keys that its type can have.
fn section(feature: &Feature, element_type: ElementType) -> String {
    let Feature { name, unit, minimum, maximum, missing } = feature;
    let mut text = format!("[[contract.features]]  # {}\nname = {}\n", element_type.name(), quoted(name));
    let mut add = |key: &str, value: Option<String>, example: &str| {
        let _ = match value {
            Some(value) => writeln!(text, "{key} = {value}"),
            None => writeln!(text, "# {key} = {example}"),
        };
    };
    let are_numbers = !matches!(element_type, ElementType::String | ElementType::Bool);
    if are_numbers {
        add("unit", unit.as_deref().map(quoted), "\"cm\"");
        add("minimum", minimum.map(number), "0.0");
        add("maximum", maximum.map(number), "100.0");
    }
    let missing = match missing {
        Missing::Nan => Some(quoted("nan")),
        Missing::Default(serde_json::Value::String(text)) => Some(quoted(text)),
        Missing::Default(serde_json::Value::Number(value)) => Some(value.to_string()),
        Missing::Default(serde_json::Value::Bool(value)) => Some(value.to_string()),
        Missing::Unspecified | Missing::Refuse | Missing::Default(_) => None,
    };
    let example = match element_type {
        ElementType::String => "\"unknown\"",
        ElementType::Bool => "false",
        float if float.is_float() => "\"nan\"",
        _ => "0",
    };
    add("missing", missing, example);
    text
}

/// Writes a number as TOML does: with a fraction, or as a word.
fn number(number: f64) -> String {
    toml::Value::Float(number).to_string()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn commented(text: &str) -> String {
    let lines = text.lines().map(|line| if line.is_empty() { line.to_owned() } else { format!("# {line}") });
    lines.map(|line| line + "\n").collect()
}

/// Keeps a name of the model on its line.
fn line(text: &str) -> String {
    text.escape_debug().to_string()
}
