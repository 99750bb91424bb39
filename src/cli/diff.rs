//! `onnx-gateway diff`

use std::path::PathBuf;

use clap::Args;

use super::{
    BREAKING, Exit, Failure,
    comparison::Comparison,
    examine::{Examiner, ModelToml},
    output::{self, Progress},
};

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The model in service
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The model that would replace it
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    model_toml: ModelToml,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

/// Shows the differences that callers would notice between two models.
pub(super) fn diff(files: &[PathBuf], arguments: &DiffArguments) -> Result<(), Failure> {
    let examiner = Examiner::new(files)?;
    let DiffArguments { old, new, model_toml, .. } = arguments;
    let (old_config, new_config) = model_toml.read_both(old, new)?;
    let proven = |file: &PathBuf, config| {
        let _progress = Progress::on_terminal(&format!("proving {}", file.display()));
        examiner.compared(file, config)
    };
    let (old, new) = match (proven(old, &old_config), proven(new, &new_config)) {
        (Ok(old), Ok(new)) => (old, new),
        // Predictions are comparable only if both files were proven; otherwise compare their declarations.
        _ => (examiner.declared(old, &old_config)?, examiner.declared(new, &new_config)?),
    };
    let ((old_copy, old), (new_copy, new)) = (old, new);
    let comparison = Comparison::of(&old, &new).with_weights(old_copy.files(), new_copy.files());
    if arguments.json {
        output::print(&format!("{}\n", comparison.document()))?;
    } else {
        output::print(&comparison.lines())?;
    }
    if !comparison.breaks() {
        return Ok(());
    }
    let (old, new) = (arguments.old.display(), arguments.new.display());
    Err(Exit { status: BREAKING, reason: format!("{new} in place of {old} would break callers") }.into())
}
