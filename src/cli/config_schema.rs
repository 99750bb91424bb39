//! `onnx-gateway config-schema`

use clap::Args;

use super::{Failure, output};
use crate::{config, lifecycle::model_config_schema};

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// Print the schema of a model's `model.toml` instead
    #[arg(long)]
    model: bool,
}

/// Prints the JSON schema of the settings.
pub(super) fn config_schema(arguments: &SchemaArguments) -> Result<(), Failure> {
    let schema = if arguments.model { model_config_schema() } else { config::schema() };
    Ok(output::print(&format!("{schema:#}\n"))?)
}
