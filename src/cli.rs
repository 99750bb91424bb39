//! The command line: parses, and hands over.

mod admit;
mod check;
mod client;
mod comparison;
mod diff;
mod examine;
mod follow;
mod hash_secret;
mod health;
mod inspect;
mod output;
mod predict;
mod prepare;
mod rollback;
mod serve;
mod token;
mod verify;
mod warn;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Serves ONNX models behind a secure, fast API.
///
/// Settings come from the embedded defaults, config/default.toml if it is there, each --config FILE, and environment
/// variables such as `GATEWAY__SERVER__LISTEN`, each over the one before.
#[derive(Debug, Parser)]
#[command(name = "onnx-gateway", version, max_term_width = 100)]
struct Arguments {
    /// A settings file; may be given several times, later ones win
    #[arg(long = "config", value_name = "FILE", global = true)]
    config: Vec<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models (the default)
    Serve,
    /// Show what would be served, or everything that is wrong with settings and models
    Check,
    /// Show what a model file is: what it takes and gives, its contract, what it costs
    Inspect(examine::FileArguments),
    /// Show how one model file differs from another; exit status 3 if callers would break
    Diff(diff::DiffArguments),
    /// Prove a model file as the server would; exit status 4 if it would be refused
    Verify(verify::VerifyArguments),
    /// Have a running gateway put the deployment before back into service
    Rollback(rollback::RollbackArguments),
    /// Ask a model file once, without a server, and print the answer
    Predict(predict::PredictArguments),
    /// Sign a token with the gateway's key and print it
    Token(token::TokenArguments),
    /// Hash a client's secret, read from standard input, for `auth.clients.ID.secret_hash`
    HashSecret,
    /// Ask the gateway that these settings describe whether it is ready; for container health checks
    Health,
    /// Prove the model that standard input names; started by the server, for each candidate
    #[command(hide = true)]
    Admit,
    /// Prove each model that standard input names; started by the server, for many candidates
    #[command(hide = true)]
    AdmitEach,
}

/// Runs the command that the arguments name. The exit status is 0 when all is well, 1 when not, 2 for wrong usage, and
/// 3 and 4 as `diff` and `verify` say.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and go to standard output.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(2) };
        }
    };
    let files = arguments.config;
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(&files),
        Command::Check => check::check(&files),
        Command::Inspect(arguments) => inspect::inspect(&files, &arguments),
        Command::Diff(arguments) => diff::diff(&files, &arguments),
        Command::Verify(arguments) => verify::verify(&files, &arguments),
        Command::Rollback(arguments) => rollback::rollback(&files, arguments),
        Command::Admit => admit::admit(),
        Command::AdmitEach => admit::admit_each(),
        Command::Predict(arguments) => predict::predict(&files, arguments),
        Command::Token(arguments) => token::token(&files, &arguments),
        Command::HashSecret => hash_secret::hash_secret(),
        Command::Health => health::health(&files),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => match failure.downcast_ref::<Exit>() {
            Some(exit) => {
                output::errors(&exit.reason);
                ExitCode::from(exit.status)
            }
            None => fail(&failure.to_string()),
        },
    }
}

/// Says why nothing could be done; the exit status for that.
#[must_use]
pub fn fail(reason: &str) -> ExitCode {
    output::errors(reason);
    ExitCode::FAILURE
}

/// This program, however it was found when it was started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The exit status of `diff` for a change that breaks callers.
const BREAKING: u8 = 3;

/// The exit status of `verify` for a model that would be refused.
const REFUSED: u8 = 4;

/// A failure with an exit status of its own, for scripts.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Exit {
    status: u8,
    reason: String,
}

/// Why a command failed: lines for people.
type Failure = Box<dyn std::error::Error>;
