//! `onnx-gateway rollback`

use std::path::PathBuf;

use clap::Args;

use super::{
    Failure,
    operator::{OperatorOptions, OperatorRequest},
};
use crate::model::ModelName;

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    /// The model to roll back to its previous deployment
    #[arg(value_name = "MODEL")]
    model: ModelName,
    #[command(flatten)]
    operator: OperatorOptions,
}

/// Has the gateway roll back a model.
pub(super) fn rollback(files: &[PathBuf], arguments: RollbackArguments) -> Result<(), Failure> {
    let RollbackArguments { model, operator } = arguments;
    let request = OperatorRequest {
        command: "rollback",
        scope: &format!("manage:{model}"),
        path: &format!("/models/{model}/rollback"),
        body: None,
    };
    operator.send(files, &request)?.report(&format!("{model} was not rolled back"), |document| {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let (version, digest, replaces) = (text("version"), text("digest"), text("replaces"));
        format!("{model} version {version} ({digest}) serves in place of {replaces}")
    })
}
