//! `onnx-gateway serve FILE`: no settings and no repository, and lines to paste.

use std::{fs, path::Path, process::Command, sync::mpsc::Receiver, time::Instant};

use onnx_gateway::model::Digest;
use serde_json::Value;

use crate::support::{
    PATIENCE,
    binary::{Process, command, run, text},
    repository::{Repository, source_tree, test_model},
    table,
    tokens::SECRET,
};

/// Listeners on free ports, as several gateways run beside each other.
const FREE_PORTS: [(&str, &str); 3] = [
    ("GATEWAY__SERVER__LISTEN", "127.0.0.1:0"),
    ("GATEWAY__GRPC__LISTEN", "127.0.0.1:0"),
    ("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0"),
];

/// Names and values of environment variables.
type Variables<'v> = &'v [(&'v str, &'v str)];

/// A gateway that serves files, and what it printed so far.
struct Served {
    process: Process,
    lines: Receiver<String>,
    printed: Vec<String>,
}

impl Served {
    fn start(arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.arg("serve").args(arguments).current_dir(folder);
        command.envs(FREE_PORTS).env("TMPDIR", folder).env("GATEWAY__MODELS__POLL_INTERVAL_MS", "100");
        command.envs(environment.iter().copied());
        let (process, lines) = Process::start_and_read(command);
        Self { process, lines, printed: Vec::new() }
    }

    /// The next line that begins with `part`.
    fn line(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push(line.clone());
                    if line.trim_start().starts_with(part) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with `{part}` ({error}):\n{}", self.printed.join("\n")),
            }
        }
    }

    /// The last word of the next line that begins with `name`.
    fn value(&mut self, name: &str) -> String {
        let line = self.line(name);
        line.trim_start()[name.len()..].split_whitespace().next().unwrap_or_default().to_owned()
    }
}

/// Runs a line in a shell, as if it was pasted; the status of the response, and its body.
fn paste(line: &str, folder: &Path) -> (String, Value) {
    let line = format!("{line} -o body.json -w '%{{http_code}}'");
    let output = Command::new("bash").args(["-c", &line]).current_dir(folder).output().unwrap();
    let body = fs::read(folder.join("body.json")).unwrap_or_default();
    (text(&output.stdout), serde_json::from_slice(&body).unwrap_or_default())
}

#[test]
fn a_file_serves_without_settings_and_the_printed_lines_work() {
    let folder = Repository::new();
    folder.put_iris("flower.onnx");
    // A neighbour is not served.
    folder.put_test_model("other.onnx", "regressor");
    let mut served = Served::start(&["flower.onnx"], folder.path(), &[]);
    let page = served.value("page");
    let (docs, admin) = (served.value("docs"), served.value("admin"));
    assert_eq!(served.value("quota"), "60000");
    let token = served.value("token");
    let origin = served.line("# flower");
    let curl = served.line("curl");
    assert!(origin.ends_with("a golden case of its contract"), "{origin}");
    assert!(curl.contains("\"sepal_length\": ") && curl.contains(&token), "{curl}");
    let (status, body) = paste(&curl, folder.path());
    assert_eq!((&*status, &body["model"]), ("200", &Value::from("flower")), "{curl}\n{body}");
    let without = curl.replace(&token, "x");
    assert_eq!(paste(&without, folder.path()).0, "401", "the token is needed");
    for address in [&page, &docs, admin.trim_end_matches(',')] {
        assert_eq!(paste(&format!("curl -sL {address}"), folder.path()).0, "200", "{address}");
    }
    let models = format!("curl -s {} -H 'Authorization: Bearer {token}'", docs.replace("/docs", "/models"));
    let (_, body) = paste(&models, folder.path());
    assert_eq!(body["models"].as_array().map(Vec::len), Some(1), "{body}");

    // The person at the keyboard has a quota that a loop on this machine does not use up.
    let many = format!(
        "for _ in $(seq 100); do {models} -o /dev/null -w '%{{http_code}}\\n'; done | sort | uniq -c"
    );
    let counted = Command::new("bash").args(["-c", &many]).output().unwrap();
    assert_eq!(text(&counted.stdout).trim(), "100 200");

    // A retrained file takes its place.
    folder.put_test_model("flower.onnx", "iris_retrained");
    let swapped = served.process.lines_until("a version was put into service");
    let digest = Digest::of(&test_model("iris_retrained")).short();
    if !swapped.iter().any(|line| line.contains(&digest)) {
        served.process.wait_for_line(&digest);
    }
    assert_eq!(paste(&curl, folder.path()).0, "200");

    // And all that was needed for it goes when it stops.
    let is_temporary = |name: &str| name.starts_with("onnx-gateway-");
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names().any(|name| is_temporary(&name.to_string_lossy())));
    served.process.signal("INT");
    assert!(served.process.wait().success());
    assert!(!names().any(|name| is_temporary(&name.to_string_lossy())));
}

#[test]
fn the_printed_line_works_for_every_kind_of_model() {
    let models = [
        "kinds/columns",
        "kinds/texts",
        "kinds/scalar",
        "kinds/states",
        "kinds/truths",
        "kinds/half",
        "kinds/large_image",
        "kinds/odd_names",
        "kinds/optional_input",
        "kinds/every_type",
        "exporters/sk_columns_one_hot",
        "exporters/torch_words",
        "exporters/lgbm_marks_gaps",
        "external/model",
        "regressor",
    ];
    let folder = Repository::new();
    let files: Vec<String> = models
        .iter()
        .map(|model| source_tree().join(format!("tests/models/{model}.onnx")).to_str().unwrap().to_owned())
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut served = Served::start(&files, folder.path(), &[]);
    let lines: Vec<String> = models.iter().map(|_| served.line("curl")).collect();
    table::each(&lines, |line| {
        let (status, body) = paste(line, folder.path());
        assert_eq!(status, "200", "{line}\n{body}");
        assert!(line.contains("predict") || line.contains("infer"), "{line}");
    });
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let folder = Repository::new();
    for file in ["one/wine.onnx", "two/wine.onnx", "rose.onnx", "a b.onnx", "model.bin"] {
        folder.put_iris(file);
    }
    folder.put("model.pkl", b"\x80\x04\x95\0\0");
    folder.put("rows.csv", b"a,b\n1,2\n");
    let exposed = [("GATEWAY__SERVER__LISTEN", "0.0.0.0:0")];
    let cases: [(&[&str], Variables<'_>, &str); 12] = [
        (
            &["one/wine.onnx", "two/wine.onnx"],
            &[],
            "error: one/wine.onnx and two/wine.onnx would both be the model `wine`: rename one of them",
        ),
        (&["gone.onnx"], &[], "error: gone.onnx cannot be served: No such file or directory"),
        (&["rose.onnx", "gone.onnx"], &[], "error: gone.onnx cannot be served"),
        (
            &["model.pkl"],
            &[],
            "error: model.pkl is not named like a model's file: expected a name that ends in .onnx",
        ),
        (&["model.pkl"], &[], "a name that ends in .onnx; it is a Python pickle (.pkl, .joblib"),
        (&["model.bin"], &[], "a name that ends in .onnx; it is an ONNX model: rename it"),
        (&["rows.csv"], &[], "onnx; it holds rows, which `onnx-gateway score MODEL.onnx --input rows.csv"),
        (&["a b.onnx"], &[], "error: a b.onnx: a model name has"),
        (&["one", "rose.onnx"], &[], "error: one is a folder: give one folder alone, or files"),
        (&["rose.onnx"], &exposed, "server.listen: other machines can reach 0.0.0.0:0"),
        (&["rose.onnx"], &exposed, "onnx-gateway init"),
        (&["one"], &[("GATEWAY__ADMIN__LISTEN", "0.0.0.0:0")], "admin.listen: other machines can reach"),
    ];
    table::each(cases, |(arguments, environment, part)| {
        let environment = [&FREE_PORTS[..], environment].concat();
        let output = run(&[&["serve"], arguments].concat(), folder.path(), &environment);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    });
}

#[test]
fn a_file_that_is_refused_is_waited_for() {
    let folder = Repository::new();
    folder.put_test_model("wine.onnx", "iris_golden_mismatch");
    let mut served = Served::start(&["wine.onnx"], folder.path(), &[]);
    let refused = served.process.wait_for_line("wine.onnx is not served: ");
    assert!(refused.contains("golden_mismatch"), "{refused}");
    served.process.wait_for_line("the gateway goes on watching it");
    folder.put_iris("wine.onnx");
    let curl = served.line("curl");
    assert_eq!(paste(&curl, folder.path()).0, "200");
}

#[test]
fn what_takes_more_than_a_second_is_named() {
    let folder = Repository::new();
    let whole = test_model("iris_retrained");
    folder.put("wine.onnx", &whole[..whole.len() / 2]);
    let served = Served::start(&["wine.onnx"], folder.path(), &[]);
    let line = served.process.wait_for_line("wine.onnx is not ready yet: ");
    assert!(line.contains("waiting for it"), "{line}");
    let refused = served.process.wait_for_line("wine.onnx is not served: ");
    assert!(refused.contains("truncated"), "{refused}");
}

#[test]
fn a_folder_is_the_repository_and_configuration_lies_beside_files() {
    let folder = Repository::new();
    folder.put_iris("shop/iris/3/model.onnx");
    folder.put_iris("wine.onnx");
    folder.put("wine.toml", b"[contract]\nclasses = [\"red\", \"white\", \"rose\"]\n");
    let mut served = Served::start(&["shop"], folder.path(), &[]);
    let (status, body) = paste(&served.line("curl"), folder.path());
    assert_eq!((&*status, &body["version"]), ("200", &Value::from("3")), "{body}");

    let mut served = Served::start(&["wine.onnx", "--json"], folder.path(), &[]);
    let found = served.process.wait_for_line("found the model.toml of a file");
    assert!(found.contains("/wine.toml"), "{found}");
    let document: Value = serde_json::from_str(&served.line("{")).unwrap();
    let (_, body) = paste(document["curl"].as_str().unwrap(), folder.path());
    assert!(["red", "white", "rose"].contains(&body["prediction"].as_str().unwrap()), "{body}");
    assert_eq!(document["model"], "wine");
    for key in ["file", "url", "console", "docs", "admin", "grpc", "token"] {
        assert!(document[key].is_string(), "{key}: {document}");
    }
}

#[test]
fn with_keys_of_its_own_no_token_is_printed_and_the_state_is_kept() {
    let folder = Repository::new();
    folder.put_iris("wine.onnx");
    let environment = [
        ("GATEWAY__AUTH__SIGNING_SECRET", SECRET),
        ("GATEWAY__SERVER__LISTEN", "0.0.0.0:0"),
        ("GATEWAY__MODELS__STATE_DIRECTORY", "kept"),
    ];
    let mut served = Served::start(&["wine.onnx"], folder.path(), &environment);
    let curl = served.line("curl");
    assert!(!served.printed.iter().any(|line| line.contains("quota")), "quotas are those of any gateway");
    assert!(curl.contains("Bearer $TOKEN\"") && !served.printed.join("").contains("eyJ"), "{curl}");
    let warning = served.process.wait_for_line("there is no client, so POST /token issues no token");
    assert!(warning.contains("WARN") && warning.contains("set auth.clients.ID.secret_hash"), "{warning}");
    let signed = run(
        &["token", "--subject", "me", "--scope", "predict"],
        folder.path(),
        &[("GATEWAY__AUTH__SIGNING_SECRET", SECRET)],
    );
    let line = format!("TOKEN={}; {curl}", text(&signed.stdout).trim());
    assert_eq!(paste(&line, folder.path()).0, "200");
    assert!(folder.path().join("kept/repository").is_file(), "the state belongs to the folder of the file");
}
