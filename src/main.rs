//! The binary: sees to the process environment, then does what the command line says.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use onnx_gateway::{cli, config::environment};

fn main() -> ExitCode {
    // ONNX Runtime reads this as soon as it starts, and a process cannot safely change its own environment: so it
    // starts itself once more with the variable set, which takes less than a millisecond.
    if !environment::telemetry_is_off() {
        let (name, value) = environment::TELEMETRY_OPT_OUT;
        let mut arguments = environment::arguments();
        let mut again = Command::new("/proc/self/exe");
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        let error = again.args(arguments).env(name, value).exec();
        return cli::fail(&format!(
            "{name}={value} must be set in the environment, as this cannot do it: {error}"
        ));
    }
    cli::run(environment::arguments())
}
