//! `onnx-gateway completions` and `onnx-gateway man`

use clap::Args;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Failure, output};
use crate::model::nearest;

/// The name of this program.
const PROGRAM: &str = "onnx-gateway";

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// The command to describe; without one, the page is about all of them
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints a script that completes commands and options in a shell.
pub(super) fn completions(
    mut program: clap::Command,
    arguments: &CompletionsArguments,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, PROGRAM, &mut script);
    Ok(output::print(&String::from_utf8(script)?)?)
}

/// Prints a manual page.
pub(super) fn man(mut program: clap::Command, arguments: &ManArguments) -> Result<(), Failure> {
    program.build();
    let page = match &arguments.command {
        None => program.disable_help_subcommand(true),
        Some(name) => {
            let shown = || program.get_subcommands().filter(|command| !command.is_hide_set());
            let missing = || {
                let near = nearest(name, shown().map(clap::Command::get_name));
                let near = near.map_or(":".to_owned(), |near| format!("; did you mean `{near}`?"));
                format!("there is no command `{name}`{near} {PROGRAM} --help lists all")
            };
            shown().find(|command| command.get_name() == name).ok_or_else(missing)?.clone()
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    Ok(output::print(&String::from_utf8(text)?)?)
}
