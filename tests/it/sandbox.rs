//! What a process can still do after it shut itself in: nothing that an exploit would want.
#![expect(clippy::print_stdout, reason = "it is how the child tells the parent")]

use std::{
    fs::{self, File},
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{net::UnixDatagram, process::ExitStatusExt},
    path::Path,
    process::{Command, Output},
    thread,
};

use onnx_gateway::system::sandbox::{self, Enforcement, Limits};

/// Names the folder that the child may read, and so makes a test the child.
const FOLDER: &str = "SANDBOX_TEST_FOLDER";

/// Starts this test binary again, as the child of one of the tests below. By themselves the children check nothing, so
/// they are ignored.
fn start(child: &str, folder: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("sandbox::{child}"), "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .output()
        .unwrap()
}

/// In the child: the folder, after everything else was given up.
fn shut_in() -> Option<(std::path::PathBuf, Enforcement)> {
    shut_in_with(false)
}

/// The same, with or without further threads.
fn shut_in_with(may_thread: bool) -> Option<(std::path::PathBuf, Enforcement)> {
    let folder = std::path::PathBuf::from(std::env::var_os(FOLDER)?);
    let limits = Limits { memory_bytes: 2 << 30, cpu_seconds: 20, file_bytes: 1 << 20 };
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get().unsigned_abs();
    let mut enforcement = sandbox::limit(limits, parent).unwrap();
    sandbox::enter(&mut enforcement, &[&folder], None, may_thread);
    Some((folder, enforcement))
}

#[test]
fn nothing_is_left_but_reading_the_folder_and_computing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), "bytes").unwrap();
    let output = start("child_tries_everything", folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for line in [
        "landlock full",
        "seccomp true",
        "read the model: done",
        "read /etc/passwd: refused",
        "read /proc/self/environ: refused",
        "list /: refused",
        "write beside the model: refused",
        "remove the model: refused",
        "rename the model: refused",
        "write to /tmp: refused",
        "connect: refused",
        "listen: refused",
        "send a datagram: refused",
        "send to a socket of this machine: refused",
        "start a thread: refused",
    ] {
        assert!(said.lines().any(|said| said.ends_with(line)), "no `{line}` in\n{said}");
    }
}

#[test]
#[ignore = "the child of the test before, which starts it"]
fn child_tries_everything() {
    let Some((folder, enforcement)) = shut_in() else { return };
    let model = folder.join("model.onnx");
    let report = |what: &str, done: bool| println!("{what}: {}", if done { "done" } else { "refused" });
    println!("\nlandlock {}", enforcement.landlock);
    println!("seccomp {}", enforcement.seccomp);
    report("read the model", fs::read(&model).is_ok());
    report("read /etc/passwd", fs::read("/etc/passwd").is_ok());
    report("read /proc/self/environ", fs::read("/proc/self/environ").is_ok());
    report("list /", fs::read_dir("/").is_ok());
    report("write beside the model", File::create(folder.join("other")).is_ok());
    report("remove the model", fs::remove_file(&model).is_ok());
    report("rename the model", fs::rename(&model, folder.join("other")).is_ok());
    report("write to /tmp", File::create("/tmp/onnx-gateway-sandbox-test").is_ok());
    report("connect", TcpStream::connect("127.0.0.1:1").is_ok_and(|_| true) || connects());
    report("listen", TcpListener::bind("127.0.0.1:0").is_ok());
    report("send a datagram", UdpSocket::bind("127.0.0.1:0").is_ok());
    report("send to a socket of this machine", UnixDatagram::unbound().is_ok());
    report("start a thread", thread::Builder::new().spawn(|| ()).is_ok());
}

/// Whether a connection fails for want of a listener only.
fn connects() -> bool {
    TcpStream::connect("127.0.0.1:1").is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[test]
fn threads_can_be_allowed_and_nothing_else_with_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), "bytes").unwrap();
    let output = start("child_tries_everything_in_a_thread", folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for line in [
        "start a thread: done",
        "read the model: done",
        "read /etc/passwd: refused",
        "write beside the model: refused",
        "connect: refused",
        "start a process: refused",
    ] {
        assert!(said.lines().any(|said| said.ends_with(line)), "no `{line}` in\n{said}");
    }
}

#[test]
#[ignore = "the child of the test before, which starts it"]
fn child_tries_everything_in_a_thread() {
    let Some((folder, _)) = shut_in_with(true) else { return };
    let report = |what: &str, done: bool| println!("{what}: {}", if done { "done" } else { "refused" });
    println!();
    let in_thread = thread::Builder::new().spawn(move || {
        report("read the model", fs::read(folder.join("model.onnx")).is_ok());
        report("read /etc/passwd", fs::read("/etc/passwd").is_ok());
        report("write beside the model", File::create(folder.join("other")).is_ok());
        report("connect", TcpStream::connect("127.0.0.1:1").is_ok_and(|_| true) || connects());
        report("start a process", Command::new("/bin/true").spawn().is_ok());
    });
    report("start a thread", in_thread.is_ok_and(|thread| thread.join().is_ok()));
}

#[test]
fn another_program_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = start("child_starts_a_program", folder.path());
    assert_eq!(output.status.signal(), Some(31), "SIGSYS: {output:?}");
}

#[test]
#[ignore = "the child of the test before, which starts it"]
fn child_starts_a_program() {
    use std::os::unix::process::CommandExt;
    if shut_in().is_none() {
        return;
    }
    let error = Command::new("/bin/true").exec();
    println!("it is still there: {error}");
}

#[test]
fn memory_beyond_the_limit_is_not_had() {
    let folder = tempfile::tempdir().unwrap();
    let output = start("child_wants_memory", folder.path());
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("no memory"), "{output:?}");
}

#[test]
#[ignore = "the child of the test before, which starts it"]
fn child_wants_memory() {
    if shut_in().is_some() {
        let mut bytes: Vec<u8> = Vec::new();
        assert!(bytes.try_reserve_exact(4 << 30).is_err());
        println!("no memory");
    }
}
