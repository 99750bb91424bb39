//! `onnx-gateway diff`

use std::path::PathBuf;

use clap::Args;

use super::{
    BREAKING, Exit, Failure,
    comparison::Comparison,
    examine::{Examiner, config},
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
    /// The model.toml to apply to both: their contract
    #[arg(long, value_name = "FILE")]
    model_toml: Option<PathBuf>,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

/// Shows the differences that callers would notice between two models.
pub(super) fn diff(files: &[PathBuf], arguments: &DiffArguments) -> Result<(), Failure> {
    let examiner = Examiner::new(files)?;
    let config = config(arguments.model_toml.as_deref())?;
    let proven = |file: &PathBuf| {
        let _progress = Progress::on_terminal(&format!("proving {}", file.display()));
        examiner.compared(file, &config)
    };
    let (old, new) = match (proven(&arguments.old), proven(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        // Predictions are comparable only if both files were proven; otherwise compare their declarations.
        _ => (examiner.declared(&arguments.old, &config)?, examiner.declared(&arguments.new, &config)?),
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
