//! The binary: sets up the process environment, then runs the command line.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use onnx_gateway::{cli, config::environment};

fn main() -> ExitCode {
    // ONNX Runtime reads these as soon as it starts, and a process cannot safely change its own environment. So it
    // executes itself once more with them set, which takes less than a millisecond.
    let missing = environment::missing_variables();
    if !missing.is_empty() {
        let mut arguments = environment::arguments();
        let mut again = Command::new(environment::this_program());
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        let error = again.args(arguments).envs(missing.iter().map(|(name, value)| (name, value))).exec();
        return cli::fail(&format!(
            "{} must be set in the environment, as this cannot do it: {error}",
            names.join(" and ")
        ));
    }
    cli::run(environment::arguments())
}
