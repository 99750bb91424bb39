//! The command line itself: help with examples, completions, manual pages, and JSON from every command.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::support::{
    binary::{run, run_with_input, text},
    repository::{Repository, source_tree},
    table,
    tokens::SECRET,
};

/// The commands that people use.
fn commands() -> Vec<String> {
    let output = run(&["--help"], Path::new("/"), &[]);
    let help = text(&output.stdout);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_shows_examples_and_is_documented() {
    let page = fs::read_to_string(source_tree().join("docs/command-line.md")).unwrap();
    let commands = commands();
    assert!(commands.len() > 12 && !commands.iter().any(|name| name.starts_with("admit")), "{commands:?}");
    table::each(&commands, |name| {
        let output = run(&[name, "--help"], Path::new("/"), &[]);
        let help = text(&output.stdout);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{help}"));
        assert!(examples.contains("onnx-gateway"), "{help}");
        assert!(page.contains(&format!("\n## `{name}`\n")), "docs/command-line.md has no section");
        // Every option has its place there, too.
        let section = page.split(&format!("\n## `{name}`\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let options = help.split_whitespace().filter(|word| word.starts_with("--"));
        let options = options.map(|word| word.trim_end_matches([',', '.', ':', ';', ')']));
        for option in options.filter(|option| !["--config", "--help", "--"].contains(option)) {
            let is_own = help.lines().any(|line| line.trim_start().starts_with(option));
            assert!(!is_own || section.contains(option), "{option} is not in the section of {name}");
        }
    });
}

#[test]
fn shells_complete_and_man_describes_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell], Path::new("/"), &[]);
        let script = text(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(commands().iter().all(|name| script.contains(name.as_str())), "{shell}");
    }
    let syntax = run(&["completions", "bash"], Path::new("/"), &[]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("script"), &syntax.stdout).unwrap();
    let parsed =
        std::process::Command::new("bash").args(["-n", "script"]).current_dir(folder.path()).output();
    assert!(parsed.unwrap().status.success());

    let page = text(&run(&["man"], Path::new("/"), &[]).stdout);
    assert!(page.contains(".TH onnx-gateway 1"), "{page}");
    table::each(commands(), |name| {
        assert!(page.contains(&name.replace('-', "\\-")), "{name} is not in the page");
        let own = text(&run(&["man", &name], Path::new("/"), &[]).stdout);
        assert!(own.contains("Examples:") && own.contains(".SH SYNOPSIS"), "{own}");
    });
    let unknown = run(&["man", "admit"], Path::new("/"), &[]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    let mistyped = text(&run(&["man", "serv"], Path::new("/"), &[]).stderr);
    assert!(mistyped.contains("there is no command `serv`; did you mean `serve`?"), "{mistyped}");
}

fn as_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn commands_print_json_for_programs_and_keep_their_exit_statuses() {
    let repository = Repository::new();
    repository.put_iris("models/iris/1/model.onnx");
    repository.put_test_model("models/bad.onnx", "iris_golden_mismatch");
    let key = [("GATEWAY__AUTH__SIGNING_SECRET", SECRET)];
    let here = |arguments: &[&str]| run(arguments, repository.path(), &key);

    let checked = here(&["check", "--json"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let document = as_json(&checked);
    let serves: Vec<(&Value, &Value)> =
        document["models"].as_array().unwrap().iter().map(|of| (&of["model"], &of["serves"])).collect();
    assert_eq!(serves, [(&json!("bad"), &json!(false)), (&json!("iris"), &json!(true))]);
    assert_eq!(document["models"][0]["refusal"]["reason"], "golden_mismatch");
    assert!(document["problems"][0]["message"].as_str().unwrap().contains("golden_mismatch"), "{document}");
    assert_eq!(document["settings"]["auth"]["signing_secret"], "[redacted]");

    repository.put("bad.toml", b"[server]\nlisen = 1\n");
    let refused = here(&["check", "--json", "--config", "bad.toml"]);
    let expected = json!({
        "origin": "bad.toml",
        "setting": "server.lisen",
        "message": "there is no such setting; did you mean `server.listen`?",
        "line": 2,
        "text": "lisen = 1",
    });
    assert_eq!((refused.status.code(), as_json(&refused)), (Some(1), json!({"problems": [expected]})));

    let token = as_json(&here(&["token", "--subject", "me", "--scope", "read", "--json"]));
    assert_eq!((&token["scope"], &token["expires_in"]), (&json!("read"), &json!(3600)));
    let hash = as_json(&run_with_input(&["hash-secret", "--json"], "a long enough secret"));
    assert!(hash["secret_hash"].as_str().unwrap().starts_with("$argon2id$"), "{hash}");
    let health = here(&["health", "--json"]);
    assert_eq!(health.status.code(), Some(1), "no gateway runs: {health:?}");
}

#[test]
fn colours_are_for_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let plain = run(&["check"], folder.path(), &[]);
    assert!(text(&plain.stderr).starts_with("error: "), "{plain:?}");
    let forced = run(&["check"], folder.path(), &[("CLICOLOR_FORCE", "1")]);
    assert!(text(&forced.stderr).starts_with("\u{1b}["), "{forced:?}");
    let folder = tempfile::tempdir().unwrap();
    let logged = run(
        &["serve"],
        folder.path(),
        &[
            ("GATEWAY__AUTH__ENABLED", "false"),
            ("CLICOLOR_FORCE", "1"),
            ("GATEWAY__SERVER__LISTEN", "192.0.2.1:1"),
        ],
    );
    assert!(text(&logged.stderr).contains("\u{1b}[33m WARN"), "the log, too: {logged:?}");
    let without = run(&["check"], folder.path(), &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(text(&without.stderr).starts_with("error: "), "{without:?}");
}
