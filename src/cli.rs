//! The command line: parses arguments and dispatches to a command.

mod admit;
mod api_key;
mod check;
mod client;
mod comparison;
mod completions;
mod config_reload;
mod config_schema;
mod diff;
mod examine;
mod examples;
mod hash_secret;
mod health;
mod init;
mod inspect;
mod load_settings;
mod named_models;
mod openapi;
mod operator;
mod output;
mod predict;
mod revoke;
mod rollback;
mod score;
mod serve;
mod token;
mod verify;
mod warnings;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Serves ONNX models behind a secure, fast API.
///
/// Settings come from the embedded defaults, config/default.toml if it exists, each --config FILE, and environment
/// variables such as `GATEWAY__SERVER__LISTEN`; later sources override earlier ones.
#[derive(Debug, Parser)]
#[command(name = "onnx-gateway", version, max_term_width = 100, after_help = examples::PROGRAM)]
struct Arguments {
    /// A settings file; may be given several times, later ones win
    #[arg(long = "config", value_name = "FILE", global = true)]
    config: Vec<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of the repository (the default), or the given files
    #[command(after_help = examples::SERVE)]
    Serve(serve::ServeArguments),
    /// Write commented settings with fresh secrets, and the `model.toml` of a model
    #[command(after_help = examples::INIT)]
    Init(init::InitArguments),
    /// Prove every model that would serve, or show every problem with settings and models
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArguments),
    /// Describe a model file: inputs, outputs, contract, costs
    #[command(after_help = examples::INSPECT)]
    Inspect(examine::FileArguments),
    /// Compare two model files; exit status 3 if the change would break callers
    #[command(after_help = examples::DIFF)]
    Diff(diff::DiffArguments),
    /// Prove a model file as the server would; exit status 4 if it would be refused
    #[command(after_help = examples::VERIFY)]
    Verify(verify::VerifyArguments),
    /// Roll back a model on a running gateway to its previous deployment
    #[command(after_help = examples::ROLLBACK)]
    Rollback(rollback::RollbackArguments),
    /// Revoke tokens on a running gateway
    #[command(after_help = examples::REVOKE)]
    Revoke(revoke::RevokeArguments),
    /// Predict once with a model file, without a server, and print the response
    #[command(after_help = examples::PREDICT)]
    Predict(predict::PredictArguments),
    /// Score the rows of a CSV, JSON lines or Parquet file; exit status 5 if some rows were rejected
    #[command(after_help = examples::SCORE)]
    Score(Box<score::ScoreArguments>),
    /// Print the API description (OpenAPI 3.1) of the repository's models, or of the given files, without a server
    #[command(after_help = examples::OPENAPI)]
    Openapi(openapi::OpenapiArguments),
    /// Sign a token with the gateway's key and print it
    #[command(after_help = examples::TOKEN)]
    Token(token::TokenArguments),
    /// Make an API key: the key itself, and the settings with its hash
    #[command(after_help = examples::API_KEY)]
    ApiKey(api_key::ApiKeyArguments),
    /// Hash a client's secret, read from standard input, for `auth.clients.ID.secret_hash`
    #[command(after_help = examples::HASH_SECRET)]
    HashSecret(JsonArguments),
    /// Print the JSON schema of the settings, with which editors complete and check settings files
    #[command(after_help = examples::CONFIG_SCHEMA)]
    ConfigSchema(config_schema::SchemaArguments),
    /// Check whether the gateway with these settings is ready; for container health checks
    #[command(after_help = examples::HEALTH)]
    Health(health::HealthArguments),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::CompletionsArguments),
    /// Print a manual page
    #[command(after_help = examples::MAN)]
    Man(completions::ManArguments),
    /// Prove the model named on standard input; started by the server, for each candidate
    #[command(hide = true)]
    Admit,
    /// Prove each model named on standard input; started by the server, for several candidates
    #[command(hide = true)]
    AdmitEach,
}

/// The form of the output.
#[derive(Debug, Args)]
struct JsonArguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that the arguments name. The exit status is 0 for success, 1 for failure, 2 for wrong usage; `diff`,
/// `verify` and `score` also use 3, 4 and 5.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // `--help` and `--version` are errors here too, and go to standard output.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(2) };
        }
    };
    let files = arguments.config;
    let done = match arguments.command.unwrap_or_else(|| Command::Serve(serve::ServeArguments::default())) {
        Command::Serve(arguments) => serve::serve(&files, &arguments),
        Command::Init(arguments) => init::init(&files, &arguments),
        Command::Check(arguments) => check::check(&files, &arguments),
        Command::Inspect(arguments) => inspect::inspect(&files, &arguments),
        Command::Diff(arguments) => diff::diff(&files, &arguments),
        Command::Verify(arguments) => verify::verify(&files, &arguments),
        Command::Rollback(arguments) => rollback::rollback(&files, arguments),
        Command::Revoke(arguments) => revoke::revoke(&files, arguments),
        Command::Admit => admit::admit(),
        Command::AdmitEach => admit::admit_each(),
        Command::Predict(arguments) => predict::predict(&files, arguments),
        Command::Score(arguments) => score::score(&files, &arguments),
        Command::Openapi(arguments) => openapi::openapi(&files, &arguments),
        Command::Token(arguments) => token::token(&files, &arguments),
        Command::ApiKey(arguments) => api_key::api_key(&arguments),
        Command::HashSecret(JsonArguments { json }) => hash_secret::hash_secret(json),
        Command::ConfigSchema(arguments) => config_schema::config_schema(&arguments),
        Command::Completions(arguments) => completions::completions(Arguments::command(), &arguments),
        Command::Man(arguments) => completions::man(Arguments::command(), &arguments),
        Command::Health(arguments) => health::health(&files, arguments),
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

/// Prints the reason of a failure and returns its exit status.
#[must_use]
pub fn fail(reason: &str) -> ExitCode {
    output::errors(reason);
    ExitCode::FAILURE
}

/// The exit status of `diff` for a change that breaks callers.
const BREAKING: u8 = 3;

/// The exit status of `verify` for a model that would be refused.
const REFUSED: u8 = 4;

/// The exit status of `score` if some rows were rejected.
const REJECTED: u8 = 5;

/// A failure with its own exit status, for scripts.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Exit {
    status: u8,
    reason: String,
}

/// The reason why a command failed, as lines for people.
type Failure = Box<dyn std::error::Error>;
