//! The real binary, as a user runs it.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// The binary with a clean environment and no settings but the given ones.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-gateway"));
    command.env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH") {
        command.env("ORT_DYLIB_PATH", library);
    }
    command
}

/// Runs the binary to its end.
pub fn run<S: AsRef<OsStr>>(arguments: &[S], directory: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.args(arguments).current_dir(directory).envs(environment.iter().copied());
    command.output().unwrap()
}

/// Runs the binary with something on its standard input.
pub fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut command = command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin: ChildStdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A gateway in a process of its own; killed when dropped.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Starts `command` and waits until it says that a version was put into service.
    pub fn serve(command: Command) -> Self {
        Self::serve_and_log(command).0
    }

    /// The same, and the lines that it logged before.
    pub fn serve_and_log(command: Command) -> (Self, Vec<String>) {
        let process = Self::start(command);
        let mut lines = process.lines_until("a version was put into service");
        lines.pop();
        (process, lines)
    }

    /// Starts `command` and waits for nothing.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// Starts `command` and returns the lines of its standard output as they come, too.
    pub fn start_and_read(mut command: Command) -> (Self, mpsc::Receiver<String>) {
        let mut process = Self::start({
            command.stdout(Stdio::piped());
            command
        });
        let stdout = BufReader::new(process.child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        (process, lines)
    }

    /// Waits for a line of the log that holds `part`.
    pub fn wait_for_line(&self, part: &str) -> String {
        self.lines_until(part).pop().unwrap_or_default()
    }

    /// The lines of the log up to one that holds `part`.
    pub fn lines_until(&self, part: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(part);
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(error) => panic!("no line with `{part}` in the log ({error}):\n{}", seen.join("\n")),
            }
        }
    }

    /// The lines of the log up to the end of the process.
    pub fn lines_to_end(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return seen,
                Err(RecvTimeoutError::Timeout) => panic!("the log did not end:\n{}", seen.join("\n")),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as a lack of memory or of power would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the gateway did not end");
            // The log ends with the process, so this wakes up when there is something to see.
            let _ = self.lines.recv_timeout(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
