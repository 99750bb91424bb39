//! `onnx-gateway init`: what it writes passes `check` and serves, and nothing is overwritten.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use serde_json::Value;

use crate::support::{
    binary::{Process, command, run, text},
    repository::Repository,
    table,
};

const FREE_PORTS: [(&str, &str); 3] = [
    ("GATEWAY__SERVER__LISTEN", "127.0.0.1:0"),
    ("GATEWAY__GRPC__LISTEN", "127.0.0.1:0"),
    ("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0"),
];

fn init(folder: &Path, arguments: &[&str]) -> Output {
    run(&[&["init"], arguments].concat(), folder, &[])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn check(folder: &Path) -> Output {
    run(&["check", "--config", "gateway.toml"], folder, &[])
}

#[test]
fn a_model_gets_settings_that_pass_the_check_and_serve() {
    let folder = Repository::new();
    folder.put_iris("flower.onnx");
    let output = init(folder.path(), &["flower.onnx", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["written"].as_array().map(Vec::len), Some(4), "{document}");
    for secret in ["secrets/signing-secret", "secrets/app-secret-hash"] {
        assert_eq!(mode(&folder.path().join(secret)), 0o600, "{secret}");
    }
    assert_eq!(mode(&folder.path().join("secrets")), 0o700);
    let client_secret = document["client_secret"].as_str().unwrap();
    for file in ["gateway.toml", "secrets/app-secret-hash", "secrets/signing-secret"] {
        assert!(!fs::read_to_string(folder.path().join(file)).unwrap().contains(client_secret), "{file}");
    }

    let checked = check(folder.path());
    assert!(checked.status.success(), "{checked:?}");
    assert!(!text(&checked.stderr).contains("warning"), "{checked:?}");
    assert!(text(&checked.stdout).contains("flower version 1"), "{checked:?}");

    // The client gets a token with the secret that was printed.
    let mut command = command();
    command.args(["serve", "--config", "gateway.toml"]).current_dir(folder.path()).envs(FREE_PORTS);
    let (_process, lines) = Process::serve_and_log(command);
    let listening = lines.iter().find(|line| line.contains("listening")).unwrap();
    let address = listening.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
    let asked = format!(
        "curl -s http://{address}/token -d grant_type=client_credentials -d client_id=app -d client_secret={client_secret}"
    );
    let answer = std::process::Command::new("bash").args(["-c", &asked]).output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["scope"], "predict:flower read:flower", "{answer}");
}

#[test]
fn the_printed_steps_end_in_a_prediction() {
    let cases = [("iris.onnx", "iris"), ("shop.onnx", "kinds/columns"), ("states.onnx", "kinds/states")];
    table::each(cases, |(file, model)| {
        let folder = Repository::new();
        match model {
            "iris" => folder.put_iris(file),
            model => folder.put_test_model(file, model),
        }
        let printed = text(&init(folder.path(), &[file]).stdout);
        let name = file.strip_suffix(".onnx").unwrap();
        let scopes =
            format!("has the scopes predict:{name} and read:{name}; for load, unload and rollback it needs");
        assert!(printed.contains(&scopes), "{printed}");
        let mut command = command();
        command.args(["serve", "--config", "gateway.toml"]).current_dir(folder.path()).envs(FREE_PORTS);
        let (_process, lines) = Process::serve_and_log(command);
        let listening = lines.iter().find(|line| line.contains("listening")).unwrap();
        let address = listening.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        let is_step =
            |line: &&str| ["CLIENT_SECRET=", "TOKEN=", "curl "].iter().any(|begin| line.starts_with(begin));
        let steps: Vec<&str> = printed.lines().map(str::trim).filter(is_step).collect();
        let script = steps.join("\n").replace("127.0.0.1:8000", address);
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(answer["model"], name, "{script}\n{output:?}");
    });
}

#[test]
fn every_setting_that_is_written_is_explained() {
    let folder = Repository::new();
    assert!(init(folder.path(), &[]).status.success());
    let written = fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let mut explained = 0;
    for (number, line) in lines.iter().enumerate() {
        let begins_section = line.starts_with('[');
        let is_setting = line.contains(" = ") && !line.starts_with('#');
        if !(begins_section || is_setting) {
            continue;
        }
        assert!(lines[number - 1].starts_with('#'), "line {}: {line}", number + 1);
        explained += 1;
    }
    assert!(explained > 20, "{written}");

    // Without a model, one in the folder is served.
    folder.put_iris("models/iris/1/model.onnx");
    let checked = check(folder.path());
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_contract_is_what_the_file_says() {
    let cases = [
        ("kinds/columns", &["\n[[contract.features]]", "# input   "][..]),
        ("exporters/sk_forest_names", &["\nclasses = [", "# name = \"column_1\""]),
        ("exporters/lgbm_classifier", &["# classes = [", "# name = \"column_1\""]),
        ("kinds/states", &["there is nothing to describe"]),
        (
            "iris_retrained",
            &["name = \"sepal_length\"", "minimum = 0.1", "unit = \"cm\"", "classes = [\"setosa\""],
        ),
    ];
    table::each(cases, |(model, parts)| {
        let folder = Repository::new();
        folder.put_test_model("shop/wine/2/model.onnx", model);
        let output = init(folder.path(), &["shop/wine/2/model.onnx"]);
        assert!(output.status.success(), "{output:?}");
        let written = fs::read_to_string(folder.path().join("shop/wine/model.toml")).unwrap();
        for part in parts {
            assert!(written.contains(part), "no `{part}` in\n{written}");
        }
        let checked = check(folder.path());
        assert!(checked.status.success(), "{checked:?}\n{written}");
        assert!(text(&checked.stdout).contains("wine version 2"), "{checked:?}");
    });
}

#[test]
fn a_column_is_offered_only_what_its_type_can_have() {
    let folder = Repository::new();
    folder.put_test_model("shop.onnx", "kinds/columns");
    assert!(init(folder.path(), &["shop.onnx"]).status.success());
    let written = fs::read_to_string(folder.path().join("shop.toml")).unwrap();
    let sections: Vec<&str> = written.split("[[contract.features]]").skip(1).collect();
    let of_type = |name: &str| *sections.iter().find(|section| section.contains(name)).unwrap();
    let (text, number) = (of_type("# BYTES"), of_type("# FP32"));
    for key in ["unit", "minimum", "maximum"] {
        assert!(!text.contains(key) && number.contains(key), "{key}\n{written}");
    }
    assert!(text.contains("missing = "), "{written}");
    // Each comment is a setting that passes.
    let all = written.replace("# unit", "unit").replace("# m", "m");
    fs::write(folder.path().join("shop.toml"), &all).unwrap();
    let checked = check(folder.path());
    assert!(checked.status.success(), "{checked:?}\n{all}");
}

#[test]
fn nothing_is_overwritten_without_force() {
    let folder = Repository::new();
    folder.put_iris("flower.onnx");
    folder.put("flower.toml", b"# mine");
    let refused = init(folder.path(), &["flower.onnx"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("flower.toml exists: nothing was written"), "{refused:?}");
    assert!(!folder.path().join("gateway.toml").exists() && !folder.path().join("secrets").exists());
    assert!(init(folder.path(), &["flower.onnx", "--force"]).status.success());
    let secret = || fs::read(folder.path().join("secrets/signing-secret")).unwrap();
    let before = secret();
    fs::set_permissions(folder.path().join("secrets/signing-secret"), fs::Permissions::from_mode(0o644))
        .unwrap();
    assert!(init(folder.path(), &["flower.onnx", "--force"]).status.success());
    assert_ne!(secret(), before, "each time another");
    assert_eq!(mode(&folder.path().join("secrets/signing-secret")), 0o600);
    for (arguments, part) in
        [(["gone.onnx"], "gone.onnx: No such file"), (["flower.toml"], "expected a name that ends in .onnx")]
    {
        let refused = init(folder.path(), &[&arguments[..], &["--force"]].concat());
        assert!(text(&refused.stderr).contains(part), "{refused:?}");
    }
}
