//! The real binary follows its settings' files, and SIGHUP.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use reqwest::{Client, StatusCode};

use crate::support::{
    PATIENCE,
    binary::{Process, command, free_port, run, text},
    repository::{Repository, source_tree},
    setosa, table,
    tokens::{SECRET, SigningKey, TokenBuilder},
};

const OTHER_SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";

/// What is logged when a reload is done.
const RELOADED: &str = "reloaded the settings";

/// What is logged when it is not.
const REFUSED: &str = "failed to reload the settings";

/// A gateway that reads `gateway.toml` in a folder of its own.
struct Gateway {
    process: Process,
    folder: Repository,
    port: u16,
    admin_port: u16,
    client: Client,
}

/// A folder with the Iris model and an empty `gateway.toml`, a command that serves them, and two free ports.
fn prepare() -> (Command, Repository, u16, u16) {
    let folder = Repository::new();
    folder.put_iris("models/iris/1/model.onnx");
    folder.put("gateway.toml", b"");
    let (port, admin_port) = (free_port(), free_port());
    let mut command = command();
    command
        .current_dir(folder.path())
        .args(["--config", "gateway.toml"])
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", format!("127.0.0.1:{admin_port}"))
        .env("GATEWAY__RATE_LIMIT__ENABLED", "false");
    (command, folder, port, admin_port)
}

impl Gateway {
    /// Starts with this content of `gateway.toml`, to which `[server]` with the address is added.
    fn start(content: &str) -> Self {
        let (command, folder, port, admin_port) = prepare();
        folder.put("gateway.toml", with_server(port, content).as_bytes());
        let process = Process::serve(command);
        Self { process, folder, port, admin_port, client: Client::new() }
    }

    /// With a key in the file.
    fn start_with_key() -> Self {
        Self::start(&key(SECRET))
    }

    fn put(&self, content: &str) {
        self.folder.put("gateway.toml", with_server(self.port, content).as_bytes());
    }

    fn reload(&self) {
        self.process.signal("HUP");
    }

    async fn ask(&self, token: &str) -> StatusCode {
        let url = format!("http://127.0.0.1:{}/predict", self.port);
        self.client.post(url).bearer_auth(token).json(&setosa()).send().await.unwrap().status()
    }

    async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }
}

fn with_server(port: u16, content: &str) -> String {
    format!("{content}\n[server]\nlisten = \"127.0.0.1:{port}\"\n")
}

fn key(secret: &str) -> String {
    format!("[auth]\nsigning_secret = \"{secret}\"\n")
}

fn good_token() -> String {
    TokenBuilder::new().build()
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_refused_in_the_words_of_the_start() {
    let gateway = Gateway::start_with_key();
    let development = fs::read_to_string(source_tree().join("config/development.toml")).unwrap();
    let secret = key(OTHER_SECRET);
    let cases = [
        (format!("{secret}\n[log]\nlevle = \"info\""), "log.levle: there is no such setting; did you mean"),
        (format!("{secret}\n[log]\nlevel = 7.5.3"), "line 5: "),
        (
            format!("{secret}\n[log]\nlevel = \"warning\""),
            "log.level: expected error, warn, info, debug or trace",
        ),
        (format!("{secret}\n[rate_limit.per_address]\nrequests = 0"), "must be from 1 to 1000000000"),
        (key("short"), "auth.signing_secret: has 5 bytes"),
        (String::new(), "auth.signing_secret: no key is configured"),
        (development, "auth.clients.demo: is the development client"),
    ];
    table::each_async(cases, async |(bad, part)| {
        gateway.put(&bad);
        gateway.reload();
        let logged = gateway.process.wait_for_line(REFUSED);
        assert!(logged.contains(part), "no `{part}` in {logged}");
        assert!(!logged.contains(OTHER_SECRET), "{logged}");
        let output = run(&["check", "--config", "gateway.toml"], gateway.folder.path(), &[]);
        let said = text(&output.stderr);
        let said = said.lines().next().unwrap().strip_prefix("error: ").unwrap();
        assert!(logged.contains(said), "the start says {said}, the log {logged}");
        assert_eq!(gateway.ask(&good_token()).await, StatusCode::OK);
    })
    .await;
    let metrics = gateway.metrics().await;
    assert!(metrics.contains(r#"gateway_settings_reloads_total{outcome="applied"} 0"#), "{metrics}");
}

#[tokio::test]
async fn a_file_that_changes_is_read_without_a_signal() {
    let gateway = Gateway::start_with_key();
    gateway.put("[nothing]");
    let logged = gateway.process.wait_for_line(REFUSED);
    assert!(logged.contains("gateway.toml: nothing: there is no such setting"), "{logged}");
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::OK);
    gateway.put(&key(OTHER_SECRET));
    let logged = gateway.process.wait_for_line(RELOADED);
    assert!(logged.contains("auth.signing_secret") && !logged.contains(OTHER_SECRET), "{logged}");
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::UNAUTHORIZED);
    let new = TokenBuilder::new().build_with(&SigningKey::secret(OTHER_SECRET));
    assert_eq!(gateway.ask(&new).await, StatusCode::OK);
}

#[tokio::test]
async fn a_default_file_that_appears_and_a_secret_behind_a_link_are_followed() {
    let (command, folder, port, admin_port) = prepare();
    for (version, secret) in [("one", SECRET), ("two", OTHER_SECRET)] {
        folder.put(&format!("secrets/{version}/key"), secret.as_bytes());
    }
    let link = |name: &str, to: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    };
    link("secrets/current", "one");
    let content = with_server(port, "[auth]\nsigning_secret_file = \"secrets/current/key\"\n");
    folder.put("gateway.toml", content.as_bytes());
    let process = Process::serve(command);
    let gateway = Gateway { process, folder, port, admin_port, client: Client::new() };
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::OK);
    // The way mounted secrets are exchanged.
    let path = |name: &str| gateway.folder.path().join("secrets").join(name);
    std::os::unix::fs::symlink("two", path("next")).unwrap();
    fs::rename(path("next"), path("current")).unwrap();
    gateway.process.wait_for_line(RELOADED);
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::UNAUTHORIZED);
    gateway.folder.put("config/default.toml", b"[server]\nmax_body_bytes = 1\n");
    let logged = gateway.process.wait_for_line(RELOADED);
    assert!(logged.contains("server.max_body_bytes"), "{logged}");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_applied() {
    let gateway = Gateway::start_with_key();
    let content = format!("{}[log]\nformat = \"json\"\nlevel = \"debug\"\n", key(SECRET));
    gateway.folder.put("gateway.toml", with_server(1, &content).as_bytes());
    gateway.reload();
    let named = gateway.process.wait_for_line("log.format");
    assert!(named.contains("log.format changed from text to json: needs a restart"), "{named}");
    let named = gateway.process.wait_for_line("server.listen");
    let port = gateway.port;
    let expected = format!("server.listen changed from 127.0.0.1:{port} to 127.0.0.1:1: needs a restart");
    assert!(named.contains(&expected), "{named}");
    gateway.process.wait_for_line(&format!("{RELOADED} applied=\"log.level\""));
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::OK);
    gateway.process.wait_for_line("DEBUG");
}

#[tokio::test]
async fn whoever_was_refused_for_asking_too_much_stays_refused() {
    let limit = "[rate_limit.per_caller]\nrequests = 1\nperiod_seconds = 86400\n";
    let (mut command, folder, port, admin_port) = prepare();
    command.env("GATEWAY__RATE_LIMIT__ENABLED", "true");
    folder.put("gateway.toml", with_server(port, &format!("{}{limit}", key(SECRET))).as_bytes());
    let process = Process::serve(command);
    let gateway = Gateway { process, folder, port, admin_port, client: Client::new() };
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::OK);
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::TOO_MANY_REQUESTS);
    gateway.put(&format!("{}leeway_seconds = 7\n{limit}", key(SECRET)));
    gateway.reload();
    let logged = gateway.process.wait_for_line(RELOADED);
    assert!(logged.contains("applied=\"auth.leeway_seconds\""), "{logged}");
    assert_eq!(gateway.ask(&good_token()).await, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn what_can_be_read_only_once_is_not_read_again() {
    let (mut command, folder, port, _) = prepare();
    let pipe: PathBuf = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    command.args(["--config", "pipe"]);
    let content = with_server(port, &key(SECRET));
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, content).unwrap()
    });
    let process = Process::serve(command);
    writer.join().unwrap();
    process.signal("HUP");
    let logged = process.wait_for_line(REFUSED);
    assert!(logged.contains("pipe: is not a regular file and cannot be read again"), "{logged}");
}

#[test]
fn closing_the_terminal_ends_what_was_started_in_it() {
    // The same signal says that a terminal is gone; a child of a shell that lives on would hold its port for ever.
    const IN_A_TERMINAL: &str = r#"
import os, pty, signal, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(30)
def wait_for(part):
    said = b""
    while part not in said:
        said += os.read(terminal, 4096)
wait_for(b"a version was put into service")
os.kill(child, signal.SIGHUP)
wait_for(b"reloaded the settings")
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;
    let (gateway, folder, port, _) = prepare();
    folder.put("gateway.toml", with_server(port, &key(SECRET)).as_bytes());
    let mut python = Command::new("python3");
    python.args(["-c", IN_A_TERMINAL]).arg(gateway.get_program()).args(gateway.get_args());
    python.current_dir(folder.path()).env_clear();
    python.envs(gateway.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = python.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_settings_change() {
    const CLIENTS: usize = 8;
    const RELOADS: usize = 20;
    let gateway = Gateway::start_with_key();
    let url = format!("http://127.0.0.1:{}/predict", gateway.port);
    let (answered, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (url, token) = (url.clone(), good_token());
            let (answered, enough) = (Arc::clone(&answered), Arc::clone(&enough));
            tokio::spawn(async move {
                let mut client = Client::new();
                while !enough.load(Ordering::SeqCst) {
                    // Some keep their connection, others open one for each request.
                    if number % 2 == 0 {
                        client = Client::new();
                    }
                    let answer = client.post(&url).bearer_auth(&token).json(&setosa()).send().await.unwrap();
                    assert_eq!(answer.status(), StatusCode::OK);
                    assert!(answer.text().await.unwrap().contains("setosa"));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for reload in 0..RELOADS {
        let before = answered.load(Ordering::SeqCst);
        let settings = format!(
            "{}leeway_seconds = {reload}\n[rate_limit.per_caller]\nrequests = {}\n",
            key(SECRET),
            1000 + reload
        );
        gateway.put(&settings);
        gateway.reload();
        gateway.process.wait_for_line(RELOADED);
        let more = async {
            while answered.load(Ordering::SeqCst) < before + CLIENTS {
                crate::support::pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("requests are answered");
    }
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        tokio::time::timeout(PATIENCE, client).await.expect("the last answer comes").unwrap();
    }
    let metrics = gateway.metrics().await;
    let applied = metrics.lines().find(|line| line.contains(r#"reloads_total{outcome="applied"}"#)).unwrap();
    let applied: usize = applied.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(applied >= RELOADS, "{applied}");
}
