//! The real binary: commands, signals, and what it leaves on the machine.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use onnx_gateway::model::Digest;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    binary::{Process, command, free_port, run, run_with_input, text},
    pause,
    processes::signal,
    repository::{Repository, iris, source_tree, test_model},
    setosa, table,
    tokens::{SECRET, TokenBuilder},
};

/// A command that serves the Iris model on a free port, and that port.
fn serve(repository: &Repository) -> (Command, u16) {
    repository.put_iris("iris/1/model.onnx");
    let port = free_port();
    let mut command = command();
    command
        .current_dir(repository.path())
        .env("GATEWAY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
        .env("GATEWAY__RATE_LIMIT__ENABLED", "false")
        .env("GATEWAY__MODELS__REPOSITORY", repository.path())
        .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state());
    (command, port)
}

#[tokio::test]
async fn a_variable_offers_models_to_agents_and_the_log_names_their_calls() {
    let repository = Repository::new();
    let (mut command, port) = serve(&repository);
    command.env("GATEWAY__MCP__ENABLED", "true").env("GATEWAY__LOG__ACCESS", "true");
    let gateway = Process::serve(command);
    let row = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "iris", "arguments": row}});
    let request = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/mcp"));
    let request = request.bearer_auth(TokenBuilder::new().scope("predict:iris").build()).json(&call);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["prediction"], "setosa", "{answer}");
    let line = gateway.wait_for_line("path=\"/mcp\"");
    for part in ["status=200", "caller.subject=\"tester\"", "model.version=\"1\""] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_no_answer() {
    const CLIENTS: usize = 16;
    let repository = Repository::new();
    let (command, port) = serve(&repository);
    let gateway = Process::serve(command);
    let url = format!("http://127.0.0.1:{port}/predict");
    let token = TokenBuilder::new().build();
    let answered = Arc::new(AtomicUsize::new(0));

    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, token, answered) = (url.clone(), token.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                loop {
                    match client.post(&url).bearer_auth(&token).json(&setosa()).send().await {
                        Ok(answer) => {
                            assert_eq!(answer.status(), StatusCode::OK);
                            assert!(answer.text().await.unwrap().contains("setosa"));
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        // Nobody listens any more: the request was never taken.
                        Err(error) if error.is_connect() => return,
                        Err(error) => panic!("an answer was lost: {error:?}"),
                    }
                }
            })
        })
        .collect();

    let loaded = async {
        while answered.load(Ordering::SeqCst) < 50 * CLIENTS {
            crate::support::pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, loaded).await.expect("the gateway is under load");
    let before = answered.load(Ordering::SeqCst);
    gateway.signal("TERM");
    for client in clients {
        tokio::time::timeout(PATIENCE, client).await.expect("the gateway stops").unwrap();
    }
    assert!(gateway.wait().success());
    assert!(answered.load(Ordering::SeqCst) > before, "requests are still answered after the signal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let repository = Repository::new();
    let (mut command, port) = serve(&repository);
    command.env("GATEWAY__SERVER__SHUTDOWN_DELAY_MS", "3600000");
    let gateway = Process::serve(command);
    // As `timeout` does: to the process, and at once to its group. That is one signal.
    gateway.signal("TERM");
    gateway.signal("TERM");
    gateway.wait_for_line("stopping");
    let alive = reqwest::get(format!("http://127.0.0.1:{port}/health/live")).await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
    let id = gateway.id();
    let again = tokio::spawn(async move {
        while signal(id, "TERM") {
            pause().await;
        }
    });
    gateway.wait_for_line("stopped at once");
    again.abort();
    assert!(gateway.wait().success());
}

#[test]
fn a_model_that_is_being_loaded_does_not_hold_up_the_end() {
    let repository = Repository::new();
    let (mut command, _) = serve(&repository);
    command.env("GATEWAY__SERVER__SHUTDOWN_DELAY_MS", "0").env("GATEWAY__LOG__LEVEL", "debug");
    let gateway = Process::serve(command);
    repository.put_test_model("slow/1/model.onnx", "seconds_to_run");
    gateway.wait_for_line("started to prove a candidate model.name=slow");
    gateway.signal("TERM");
    let lines = gateway.lines_until("stopped");
    assert!(gateway.wait().success());
    let tried = lines.iter().any(|line| line.contains("a proof process ended"));
    assert!(!tried, "the end did not wait for the candidate: {lines:?}");
}

/// Everything below a folder.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        files.push(path.display().to_string());
        if path.is_dir() {
            files.extend(files_below(&path));
        }
    }
    files
}

#[test]
fn onnx_runtime_writes_nothing_and_the_gateway_nothing_but_its_state() {
    let repository = Repository::new();
    let home = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let (mut command, _) = serve(&repository);
    command
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .env("TMPDIR", temporary.path());
    let gateway = Process::serve(command);
    let environment = fs::read(format!("/proc/{}/environ", gateway.id())).unwrap();
    let telemetry_is_off =
        environment.split(|byte| *byte == 0).any(|variable| variable == b"ORT_DISABLE_TELEMETRY=1");
    assert!(telemetry_is_off, "the process set it for itself");
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert_eq!(files_below(home.path()), Vec::<String>::new());
    assert_eq!(files_below(temporary.path()), Vec::<String>::new());
    let mut state: Vec<String> = fs::read_dir(repository.state())
        .unwrap()
        .map(|entry| text(entry.unwrap().file_name().as_bytes()))
        .collect();
    state.sort();
    assert_eq!(
        state,
        ["copies", "deployments", "history.jsonl", "lock", "repository", "users", "write-lock"]
    );
    assert_eq!(files_below(&repository.state().join("users")), Vec::<String>::new());
    let copies: Vec<_> = fs::read_dir(repository.state().join("copies")).unwrap().collect();
    assert_eq!(copies.len(), 1, "{copies:?}");
    for private in [repository.state(), repository.state().join("copies")] {
        let mode = fs::metadata(&private).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "nobody else reads {}", private.display());
    }
}

/// The digest of the file that answers first.
async fn digest_served(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/models/iris/predict");
    let (client, token) = (reqwest::Client::new(), TokenBuilder::new().build());
    let answered = async {
        loop {
            let answer = client.post(&url).bearer_auth(&token).json(&setosa()).send().await.unwrap();
            // The log says a moment before that it serves.
            if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            pause().await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.expect("iris is served");
    answer.headers()["x-model-digest"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_state_of_another_repository_is_kept_and_not_believed() {
    let (mine, other) = (Repository::new(), Repository::new());
    // In place of what serves of the one, what the other has would break callers, or be no news.
    let breaking = test_model("iris_renamed_feature");
    let serve_from = |repository: &Repository, breaks: bool| {
        let (mut command, port) = serve(repository);
        if breaks {
            repository.put("iris/1/model.onnx", &breaking);
        }
        command.env("GATEWAY__MODELS__STATE_DIRECTORY", mine.state());
        (command, port)
    };
    let end = |gateway: Process| {
        gateway.signal("INT");
        assert!(gateway.wait().success());
    };
    let old = "the state of another repository";
    let (command, port) = serve_from(&mine, false);
    let (gateway, before) = Process::serve_and_log(command);
    assert!(!before.iter().any(|line| line.contains(old)), "{before:?}");
    assert_eq!(digest_served(port).await, Digest::of(&iris()).short());
    end(gateway);

    let (command, port) = serve_from(&other, true);
    let (gateway, before) = Process::serve_and_log(command);
    assert!(before.iter().any(|line| line.contains("WARN") && line.contains(old)), "{before:?}");
    assert_eq!(digest_served(port).await, Digest::of(&breaking).short(), "it begins again");
    end(gateway);

    for (repository, breaks, digest) in
        [(&mine, false, Digest::of(&iris())), (&other, true, Digest::of(&breaking))]
    {
        let (command, port) = serve_from(repository, breaks);
        let gateway = Process::start(command);
        let before = gateway.lines_until("a version that served before was put into service");
        assert!(!before.iter().any(|line| line.contains(old)), "said once: {before:?}");
        assert_eq!(digest_served(port).await, digest.short(), "each goes on with its own state");
        end(gateway);
    }
}

#[tokio::test]
async fn a_state_of_an_older_gateway_is_taken_over() {
    let repository = Repository::new();
    let (command, _) = serve(&repository);
    let gateway = Process::serve(command);
    gateway.signal("INT");
    assert!(gateway.wait().success());
    fs::remove_file(repository.state().join("repository")).unwrap();
    let (command, port) = serve(&repository);
    let gateway = Process::start(command);
    gateway.wait_for_line("a version that served before was put into service");
    assert_eq!(digest_served(port).await, Digest::of(&iris()).short());
    assert!(repository.state().join("repository").exists(), "it is the repository's from now on");
}

/// The lines of the log that speak of what has no effect, once nothing more is to come.
fn told_of(gateway: &Process, repository: &Repository) -> Vec<String> {
    repository.put_test_model("end.onnx", "regressor");
    let lines = gateway.lines_until("a version was put into service model.name=end");
    lines.into_iter().filter(|line| line.contains("WARN")).collect()
}

#[test]
fn what_has_no_effect_is_logged_once() {
    let repository = Repository::new();
    let (mut command, _) = serve(&repository);
    repository.put_test_model("churn/model.onnx", "regressor");
    repository.put("iris/model.toml", b"versions = [1, 9]");
    command
        .env("GATEWAY__MODELS__POLL_INTERVAL_MS", "50")
        .env("GATEWAY__MODELS__INCOMPLETE_GRACE_MS", "200")
        .env("GATEWAY__MODELS__DEFAULT", "zzz");
    let gateway = Process::start(command);
    let found = "churn: no version in it: expected churn/1/model.onnx, found churn/model.onnx: move it there";
    let first = gateway.lines_until(found);
    for part in
        ["models.default: there is no model `zzz`", "iris: model.toml asks for version 9, which is not there"]
    {
        assert_eq!(first.iter().filter(|line| line.contains(part)).count(), 1, "{part} in {first:?}");
    }
    // A file that is to serve by now has been looked at many times.
    assert_eq!(told_of(&gateway, &repository), Vec::<String>::new(), "it was said once");
    repository.remove("churn/model.onnx");
    repository.put_test_model("churn/1/churn.onnx", "regressor");
    gateway.wait_for_line("churn/1: expected churn/1/model.onnx, found churn/1/churn.onnx: rename it");
}

#[test]
fn without_a_state_directory_private_copies_are_temporary_and_removed() {
    let repository = Repository::new();
    let temporary = tempfile::tempdir().unwrap();
    let (mut command, _) = serve(&repository);
    repository.put(".taken", b"a file");
    command
        .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.path().join(".taken"))
        .env("TMPDIR", temporary.path());
    let (gateway, before) = Process::serve_and_log(command);
    let said = before.join("\n");
    assert!(said.contains("models.state_directory (") && said.contains("end with this process"), "{said}");
    let files = files_below(temporary.path());
    let ending = |end: &str| files.iter().filter(|file| file.ends_with(end)).count();
    assert_eq!(
        (ending("/lock"), ending("/model.onnx")),
        (1, 1),
        "one folder with its lock and one copy: {files:?}"
    );
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert_eq!(files_below(temporary.path()), Vec::<String>::new());
}

#[test]
fn a_taken_address_is_named() {
    let repository = Repository::new();
    let (mut command, port) = serve(&repository);
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let output = command.output().unwrap();
    drop(taken);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("error: server.listen: failed to listen on 127.0.0.1:{port}")), "{said}");
    assert!(said.contains("or set GATEWAY__SERVER__LISTEN to another address"), "{said}");
    // All that are taken are named at once.
    let taken: Vec<_> = (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let (mut command, _) = serve(&repository);
    for (listener, part) in taken.iter().zip(["SERVER", "ADMIN", "GRPC"]) {
        command.env(format!("GATEWAY__{part}__LISTEN"), listener.local_addr().unwrap().to_string());
    }
    let said = text(&command.output().unwrap().stderr);
    for (listener, setting) in taken.iter().zip(["server", "admin", "grpc"]) {
        let address = listener.local_addr().unwrap();
        assert!(said.contains(&format!("error: {setting}.listen: failed to listen on {address}")), "{said}");
    }
}

/// The command in a process that may have so many files open, and no more.
fn with_files(command: &Command, files: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {files} && exec \"$0\" serve")]).arg(command.get_program());
    limited.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(command.get_current_dir().unwrap());
    limited
}

#[test]
fn too_few_open_files_are_named_with_what_to_do() {
    let repository = Repository::new();
    let (command, _) = serve(&repository);
    let output = with_files(&command, 40).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["may have 40 files open", "server.max_connections = 4096", "ulimit -Hn", "LimitNOFILE="] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let (gateway, lines) = Process::serve_and_log(with_files(&command, 1000));
    let warned: Vec<&String> = lines.iter().filter(|line| line.contains("too few files open")).collect();
    assert_eq!(warned.len(), 1, "{lines:?}");
    assert!(warned[0].contains("connections at most"), "{warned:?}");
    drop(gateway);
}

#[test]
fn a_missing_library_is_one_line_that_says_what_to_do() {
    let repository = Repository::new();
    let (mut command, _) = serve(&repository);
    let output = command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error")).count(), 1, "{said}");
    assert!(said.contains("run tools/setup") && said.contains("/nowhere/libonnxruntime.so"), "{said}");
}

#[test]
fn health_says_whether_a_gateway_is_ready() {
    let repository = Repository::new();
    let (command, port) = serve(&repository);
    let listen = format!("0.0.0.0:{port}");
    let environment = [("GATEWAY__SERVER__LISTEN", listen.as_str())];
    let down = run(&["health"], repository.path(), &environment);
    assert_eq!(down.status.code(), Some(1));
    assert!(text(&down.stderr).contains("the request to "), "{down:?}");
    let gateway = Process::serve(command);
    let deadline = Instant::now() + PATIENCE;
    // The first model serves a moment before all have been tried.
    let up = loop {
        let answer = run(&["health"], repository.path(), &environment);
        if answer.status.success() || Instant::now() >= deadline {
            break answer;
        }
    };
    assert_eq!((up.status.code(), text(&up.stdout).as_str()), (Some(0), "ready\n"), "{up:?}");
    drop(gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_a_line_for_each_answer() {
    let repository = Repository::new();
    let (mut command, port) = serve(&repository);
    command.env("GATEWAY__LOG__ACCESS", "true").env("GATEWAY__LOG__FORMAT", "json");
    let gateway = Process::serve(command);
    let client = reqwest::Client::new();
    let token = TokenBuilder::new().claim("sub", json!("robin")).build();
    let setosa = setosa();
    let cases = [
        // Twice, as the second one has a token that is known by then, and goes another way.
        ("/predict", Some(&token), &setosa, 200),
        ("/predict", Some(&token), &setosa, 200),
        ("/models/iris/predict", Some(&token), &json!({"features": [1]}), 422),
        ("/predict", None, &setosa, 401),
        ("/nowhere", Some(&token), &setosa, 404),
    ];
    table::each_async(cases.into_iter().enumerate(), async |(number, (path, token, body, status))| {
        let id = format!("asked-{number}");
        let request = client.post(format!("http://127.0.0.1:{port}{path}")).header("x-request-id", &id);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        assert_eq!(request.json(body).send().await.unwrap().status(), status, "{path}");
        let line = loop {
            let line: Value = serde_json::from_str(&gateway.wait_for_line(&id)).unwrap();
            if line["target"] == "onnx_gateway::access" {
                break line;
            }
        };
        assert_eq!((&line["level"], &line["status"]), (&json!("INFO"), &json!(status)), "{line}");
        assert_eq!((&line["request.id"], &line["path"]), (&json!(id), &json!(path)), "{line}");
        assert_eq!((&line["method"], &line["peer"]), (&json!("POST"), &json!("127.0.0.1")), "{line}");
        assert!(line["duration_us"].as_u64().unwrap() > 0, "{line}");
        let caller = if token.is_some() { json!("robin") } else { Value::Null };
        assert_eq!(line["caller.subject"], caller, "{line}");
        assert_eq!(line["caller.kind"], if token.is_some() { json!("token") } else { Value::Null }, "{line}");
        let version = if status == 200 { json!("1") } else { Value::Null };
        assert_eq!(line["model.version"], version, "{line}");
        assert_eq!(line["model.digest"].is_string(), status == 200, "{line}");
        assert!(!line.to_string().contains(token.map_or("Bearer", String::as_str)), "{line}");
    })
    .await;
}

#[test]
fn check_shows_what_would_serve() {
    let check = ["check", "--config", "config/development.toml"];
    let short = text(&run(&check, &source_tree(), &[]).stdout);
    assert!(
        short.ends_with("\nok: the settings are valid, and 1 version of 1 model would serve\n"),
        "{short}"
    );
    assert!(short.starts_with("iris version 1 (") && !short.contains("signing_secret"), "{short}");
    let output = run(&[&check[..], &["--verbose"]].concat(), &source_tree(), &[]);
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    for part in [
        "iris version 1 (",
        ") serves",
        "input    features FP32 [?, 4]",
        "feature  sepal_length 0.1 to 15 cm",
        "classes  setosa, versicolor, virginica",
        "golden   3 cases passed",
        "signing_secret = \"[redacted]\"",
        "secret_hash = \"[redacted]\"",
    ] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    assert!(!shown.contains("everyone knows"), "no secret is shown: {shown}");
}

#[test]
fn check_names_every_bad_model_by_its_file() {
    let repository = Repository::new();
    repository.put_iris("iris/1/model.onnx");
    repository.put("iris/2/model.onnx", b"no model");
    repository.put_test_model("nan.onnx", "nan_weights");
    repository.put("iris/latest/model.onnx", b"");
    let models = repository.path().to_str().unwrap();
    let environment = [("GATEWAY__MODELS__REPOSITORY", models), ("GATEWAY__AUTH__SIGNING_SECRET", SECRET)];
    let output = run(&["check"], repository.path(), &environment);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for part in [
        &format!("error: {models}/iris/2/model.onnx: not_onnx: "),
        &format!("error: {models}/nan.onnx: non_finite_output: "),
        &format!("error: {models}/iris/latest: a version is a whole number"),
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    assert!(text(&output.stdout).contains("iris version 1"), "the good one is shown");
}

#[test]
fn secrets_are_hashed_each_time_with_another_salt() {
    let hash = |input: &str| run_with_input(&["hash-secret"], input);
    let (one, other) = (hash("a secret long enough\n"), hash("a secret long enough"));
    assert!(one.status.success(), "{one:?}");
    assert!(text(&one.stdout).starts_with("$argon2id$v=19$"), "{one:?}");
    assert_ne!(one.stdout, other.stdout);
    assert!(text(&hash("short").stderr).contains("easily guessed"));
    let empty = hash("");
    assert_eq!(empty.status.code(), Some(1));
    assert!(text(&empty.stderr).contains("no secret was given"));
}

#[test]
fn tokens_are_signed_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let token = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["token"].iter().chain(arguments).copied().collect();
        run(&arguments, folder.path(), &[("GATEWAY__AUTH__SIGNING_SECRET", SECRET)])
    };
    assert!(token(&["--subject", "ops", "--scope", "predict read"]).status.success());
    let cases = [
        (&["--subject", "ops", "--scope", "fly"][..], "`fly` is not a scope"),
        (&["--subject", "ops", "--scope", "read", "--lifetime-seconds", "0"], "must be from 1 to 86400"),
        (&["--subject", "ops", "--scope", "read", "--lifetime-seconds", "86401"], "must be from 1 to 86400"),
    ];
    table::each(cases, |(arguments, part)| {
        let output = token(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    });
}

#[test]
fn every_command_has_help_and_wrong_usage_is_2() {
    let here = source_tree();
    let cases = [
        "serve",
        "check",
        "inspect",
        "diff",
        "verify",
        "rollback",
        "revoke",
        "predict",
        "token",
        "hash-secret",
        "health",
    ];
    table::each(cases, |command| {
        let output = run(&[command, "--help"], &here, &[]);
        assert!(output.status.success() && text(&output.stdout).contains("Usage"), "{command}: {output:?}");
    });
    assert_eq!(run(&["fly"], &here, &[]).status.code(), Some(2));
    assert!(text(&run(&["--version"], &here, &[]).stdout).starts_with("onnx-gateway "));
}
