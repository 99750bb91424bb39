//! What the commands say of model files, to people and to programs, and what scripts see of it: the exit status.

use std::{fs, process::Output};

use onnx_gateway::model::Digest;
use serde_json::{Value, json};

use crate::support::{
    binary::{Process, command, free_port, run, run_with_input, text},
    repository::{Repository, iris, source_tree, test_model},
    table,
    tokens::{SECRET, TokenBuilder},
};

const IRIS: &str = "models/iris/1/model.onnx";
const BREAKING: &str = "tests/models/iris_renamed_feature.onnx";
const RETRAINED: &str = "tests/models/iris_retrained.onnx";

/// Runs the command in the source tree.
fn here(arguments: &[&str]) -> Output {
    run(arguments, &source_tree(), &[])
}

/// What it prints, as JSON.
fn as_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn inspect_shows_what_a_file_is() {
    let output = here(&["inspect", IRIS]);
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    for part in [
        &*format!("sha256   {}", Digest::of(&iris())),
        &*format!("size     {} bytes", iris().len()),
        "made by  ",
        "opset    ai.onnx.ml ",
        "input    features FP32 [?, 4]",
        "feature  sepal_length 0.1 to 15 cm",
        "classes  setosa, versicolor, virginica",
        "golden   3 cases passed",
        "to load, ",
        "batches  of several requests: rows are independent: the graph keeps rows apart",
        "runs     on request thread (a run takes ",
    ] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    let weights = here(&["inspect", "tests/models/external/model.onnx"]);
    assert!(text(&weights.stdout).contains("weights  weights.bin"), "{weights:?}");

    let states = here(&["inspect", "tests/models/kinds/states.onnx"]);
    let line =
        "rows     none: output `h_n` [2, N, 4] does not hold one part for each row: send tensors as `inputs`";
    assert!(text(&states.stdout).contains(line), "{states:?}");
    let buffer = here(&["inspect", "tests/models/kinds/buffer.onnx"]);
    let line = "rows     `classes` is the same for all rows: it is returned whole with each";
    assert!(text(&buffer.stdout).contains(line), "{buffer:?}");

    let output = here(&["inspect", IRIS, "--json"]);
    let document = as_json(&output);
    assert_eq!(keys(&document), ["bytes", "file", "model", "proof", "refusal", "scheduler", "sha256"]);
    assert_eq!(document["sha256"], json!(Digest::of(&iris()).to_string()));
    assert_eq!(document["refusal"], Value::Null);
    assert_eq!(
        keys(&document["proof"]),
        [
            "assumptions",
            "batchable",
            "batching_reason",
            "by",
            "contract",
            "converted",
            "costs",
            "divides",
            "golden_cases",
            "is_steady",
            "output_forms",
            "sandbox",
            "signature"
        ]
    );
    assert_eq!(document["proof"]["golden_cases"], 3);
}

#[test]
fn verify_says_what_had_to_be_made_up() {
    let cases = [
        ("kinds/texts", Some("with synthetic texts for `x`")),
        ("batching/quantized_echo", Some("with whole numbers of unknown range for `id`")),
        // The graph lists what its encoders take.
        ("batching/encoders", None),
    ];
    table::each(cases, |(model, made_up)| {
        let output = here(&["verify", &format!("tests/models/{model}.onnx")]);
        let shown = text(&output.stdout);
        assert!(output.status.success() && shown.contains("it was run with synthetic inputs"), "{output:?}");
        let with = shown.lines().map(str::trim).find(|line| line.starts_with("with "));
        assert_eq!(with, made_up, "{model}: {shown}");
    });
}

#[test]
fn inspect_shows_a_model_that_would_be_refused_and_why() {
    let output = here(&["inspect", "tests/models/nan_weights.onnx"]);
    assert!(output.status.success(), "looking at it went well: {output:?}");
    assert!(text(&output.stdout).contains("refused  non_finite_output: "), "{output:?}");
    let document = as_json(&here(&["inspect", "tests/models/nan_weights.onnx", "--json"]));
    assert_eq!(
        (&document["proof"], &document["refusal"]["reason"]),
        (&Value::Null, &json!("non_finite_output"))
    );
    for (file, part) in [("README.md", "not an ONNX model"), ("gone.onnx", "No such file")] {
        let output = here(&["inspect", file]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("error: {file}: ")) && said.contains(part), "{said}");
    }
}

#[test]
fn diff_tells_what_breaks_callers_by_its_exit_status() {
    let output = here(&["diff", IRIS, BREAKING]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stdout).contains("breaks   the features ["), "{output:?}");
    assert!(text(&output.stderr).contains("would break callers"), "{output:?}");

    let output = here(&["diff", IRIS, BREAKING, "--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let document = as_json(&output);
    assert_eq!(keys(&document), ["breaking", "compatible", "harmless"]);
    assert_eq!(document["compatible"], false);
    assert!(document["breaking"][0].as_str().unwrap().starts_with("the features ["), "{document}");

    let output = here(&["diff", IRIS, IRIS]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).starts_with("callers notice no difference"), "{output:?}");
    let output = here(&["diff", IRIS, RETRAINED, "--json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(as_json(&output)["compatible"], true);
    let output = here(&["diff", IRIS, "README.md"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("error: README.md: not_onnx: "), "{output:?}");
}

#[test]
fn verify_tells_what_would_be_refused_by_its_exit_status() {
    let output = here(&["verify", IRIS]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).starts_with(&format!("{IRIS} would serve\n")), "{output:?}");
    let document = as_json(&here(&["verify", IRIS, "--json"]));
    assert_eq!(
        (keys(&document), &document["admitted"]),
        (vec!["admitted", "proof", "scheduler"], &json!(true))
    );

    let bad = "tests/models/iris_golden_mismatch.onnx";
    let output = here(&["verify", bad]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains(&format!("error: {bad} would be refused: golden_mismatch: golden case ")),
        "{said}"
    );
    let output = here(&["verify", bad, "--json"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let document = as_json(&output);
    assert_eq!(keys(&document), ["admitted", "detail", "reason"]);
    assert_eq!((&document["admitted"], &document["reason"]), (&json!(false), &json!("golden_mismatch")));
    assert_eq!(here(&["verify", "gone.onnx"]).status.code(), Some(1), "that is no verdict");
}

#[test]
fn verify_heeds_a_model_toml() {
    let folder = Repository::new();
    folder.put_iris("model.onnx");
    let verify = |toml: &str| {
        folder.put("model.toml", toml.as_bytes());
        run(&["verify", "model.onnx", "--model-toml", "model.toml", "--json"], folder.path(), &[])
    };
    let pinned = verify(&format!("[pin]\nsha256 = \"{}\"", Digest::of(b"")));
    assert_eq!((pinned.status.code(), &as_json(&pinned)["reason"]), (Some(4), &json!("digest_mismatch")));
    let wrong = verify("[[contract.features]]\nname = \"only\"");
    assert_eq!((wrong.status.code(), &as_json(&wrong)["reason"]), (Some(4), &json!("invalid_contract")));
    let renamed = verify("[contract]\nclasses = [\"a\", \"b\", \"c\"]");
    assert_eq!(as_json(&renamed)["proof"]["contract"]["classes"], json!(["a", "b", "c"]), "{renamed:?}");
    let mistyped = text(&verify("[contract]\nclases = []").stdout);
    assert!(
        mistyped.contains("unknown field `clases`") && mistyped.contains("did you mean `classes`?"),
        "{mistyped}"
    );
    let broken = verify("nonsense = 1");
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert!(text(&broken.stderr).contains("model.toml: unknown field `nonsense`"), "{broken:?}");
}

/// Arguments of each command that applies a model.toml, on `wine.onnx` in a folder with `rows.csv`.
const WITH_MODEL_TOML: [&str; 5] = [
    "inspect wine.onnx --json",
    "verify wine.onnx --json",
    "predict wine.onnx --json --input {\"features\":[5.1,3.5,1.4,0.2]}",
    "score wine.onnx --input rows.csv --output - --output-format csv --rejected rejected.jsonl",
    "openapi wine.onnx --json",
];

#[test]
fn the_model_toml_of_a_file_applies_in_every_command() {
    let folder = Repository::new();
    folder.put_iris("wine.onnx");
    let classes = |first: &str| format!("[contract]\nclasses = [\"{first}\", \"beta\", \"gamma\"]");
    folder.put("wine.toml", classes("alpha").as_bytes());
    folder.put("other.toml", classes("omega").as_bytes());
    folder.put("rows.csv", b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n");
    table::each(WITH_MODEL_TOML, |command| {
        let run = |option: &str| {
            let arguments: Vec<&str> = command.split(' ').chain(option.split_whitespace()).collect();
            let output = run(&arguments, folder.path(), &[]);
            assert!(output.status.success(), "{command} {option}: {output:?}");
            let shown = text(&output.stdout);
            let classes = ["alpha", "omega"].map(|class| shown.contains(class));
            (classes, text(&output.stderr).contains("applying wine.toml; --no-model-toml ignores it"))
        };
        assert_eq!(run(""), ([true, false], true), "{command}");
        assert_eq!(run("--model-toml other.toml"), ([false, true], false), "{command}");
        assert_eq!(run("--no-model-toml"), ([false, false], false), "{command}");
        let (command, both) = (command.split(' '), ["--no-model-toml", "--model-toml", "other.toml"]);
        let arguments: Vec<&str> = command.chain(both).collect();
        assert_eq!(self::run(&arguments, folder.path(), &[]).status.code(), Some(2));
    });

    folder.put("wine.toml", b"nonsense = 1");
    let broken = run(&["inspect", "wine.onnx"], folder.path(), &[]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    let said = text(&broken.stderr);
    for part in ["unknown field `nonsense`", "wine.toml belongs to wine.onnx; --no-model-toml ignores it"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    folder.put_iris("wine/2/model.onnx");
    folder.put("wine/model.toml", classes("delta").as_bytes());
    let versioned = run(&["inspect", "wine/2/model.onnx", "--json"], folder.path(), &[]);
    assert!(text(&versioned.stderr).contains("applying wine/model.toml;"), "{versioned:?}");
    assert_eq!(as_json(&versioned)["proof"]["contract"]["classes"][0], "delta");
    for (arguments, part) in [
        (
            "score wine --input rows.csv --output out.csv --no-model-toml",
            "--no-model-toml: the model is not a file",
        ),
        ("openapi wine.onnx other.onnx --model-toml wine.toml", "--model-toml: give one model file"),
    ] {
        folder.put_iris("other.onnx");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = run(&arguments, folder.path(), &[]);
        assert!(text(&output.stderr).contains(part), "{output:?}");
    }
}

#[test]
fn a_new_file_is_compared_with_the_model_toml_of_the_old_one() {
    let folder = Repository::new();
    folder.put_iris("old.onnx");
    folder.put_iris("new.onnx");
    folder.put("old.toml", b"[contract]\nclasses = [\"a\", \"b\", \"c\"]");
    let status = |arguments: &[&str]| {
        let output = run(arguments, folder.path(), &[]);
        (output.status.code(), text(&output.stderr).matches("applying ").count())
    };
    let (diff, verify) = (["diff", "old.onnx", "new.onnx"], ["verify", "new.onnx", "--against", "old.onnx"]);
    assert_eq!((status(&diff), status(&verify)), ((Some(0), 1), (Some(0), 1)));
    folder.put("new.toml", b"[contract]\nclasses = [\"a\", \"b\", \"d\"]");
    assert_eq!((status(&diff), status(&verify)), ((Some(3), 2), (Some(4), 2)), "it has one of its own");
    let none = [&diff[..], &["--no-model-toml"]].concat();
    assert_eq!(status(&none), (Some(0), 0));
}

#[test]
fn what_only_numbers_have_is_refused_for_a_column_of_texts() {
    let folder = Repository::new();
    folder.put_test_model("shop.onnx", "kinds/columns");
    let cases = [
        ("minimum = 1", "feature `city`: `minimum` is for numbers, and its column takes texts: remove it"),
        ("unit = \"cm\"\nmaximum = 2", "`maximum` and `unit` are for numbers, and its column takes texts"),
        ("missing = \"nan\"", "feature `city`: `missing`: texts have no NaN: write \"refuse\", or a text"),
    ];
    table::each(cases, |(keys, part)| {
        let features =
            ["visits", "age", "city"].map(|name| format!("[[contract.features]]\nname = \"{name}\"\n"));
        folder.put("shop.toml", format!("{}{keys}\n", features.concat()).as_bytes());
        let output = run(&["verify", "shop.onnx"], folder.path(), &[]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains("invalid_contract") && said.contains(part), "{said}");
    });
}

#[test]
fn rollback_has_a_running_gateway_go_back() {
    let repository = Repository::new();
    repository.put_iris("iris/1/model.onnx");
    let listen = format!("127.0.0.1:{}", free_port());
    let environment =
        [("GATEWAY__SERVER__LISTEN", listen.as_str()), ("GATEWAY__AUTH__SIGNING_SECRET", SECRET)];
    let roll_back =
        |arguments: &[&str]| run(&[&["rollback"], arguments].concat(), repository.path(), &environment);
    let nobody = roll_back(&["iris"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("the request to "), "{nobody:?}");

    let mut command = command();
    command
        .current_dir(repository.path())
        .envs(environment)
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__MODELS__REPOSITORY", repository.path())
        .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state())
        .env("GATEWAY__MODELS__POLL_INTERVAL_MS", "100");
    let gateway = Process::serve(command);
    let nothing = roll_back(&["iris"]);
    assert_eq!(nothing.status.code(), Some(1));
    let said = text(&nothing.stderr);
    assert!(
        said.contains("error: iris was not rolled back: ") && said.contains("no earlier deployment"),
        "{said}"
    );
    repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.wait_for_line("a version was put into service");
    let forbidden = roll_back(&["iris", "--token", &TokenBuilder::new().scope("read").build()]);
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(text(&forbidden.stderr).contains("the token lacks the scope `manage`"), "{forbidden:?}");
    // With a token, the address is enough: neither key nor settings of the gateway are needed.
    let may_read = TokenBuilder::new().scope("read").build();
    let url = format!("http://{listen}");
    let cases = [
        (
            &["--url", url.as_str(), "--token", may_read.as_str()][..],
            &environment[..0],
            "the token lacks the scope `manage`",
        ),
        (&["--token", &may_read], &environment[..1], "the token lacks the scope `manage`"),
        (&[], &environment[..1], "there is no key to sign a token with: give a token of the scope manage"),
    ];
    table::each(cases, |(arguments, environment, part)| {
        let output = run(&[&["rollback", "iris"], arguments].concat(), repository.path(), environment);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    });
    let done = roll_back(&["iris"]);
    assert!(done.status.success(), "{done:?}");
    let said = text(&done.stdout);
    assert!(said.contains(&Digest::of(&iris()).short()), "{said}");
    assert!(said.contains(&Digest::of(&test_model("iris_retrained")).short()), "{said}");
    let line = gateway.wait_for_line("rolled back");
    assert!(line.contains("caller:onnx-gateway rollback"), "{line}");
    assert_eq!(roll_back(&["../iris"]).status.code(), Some(2), "no name of a model");
}

#[test]
fn operators_commands_find_the_admin_listener() {
    let repository = Repository::new();
    repository.put_iris("iris/1/model.onnx");
    let [listen, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("gateway.toml");
    let lines = [
        format!("server = {{ listen = \"{listen}\", management = \"admin\" }}"),
        format!("admin = {{ listen = \"{admin}\", audience = \"operators\" }}"),
        format!("auth.signing_secret = \"{SECRET}\""),
    ];
    fs::write(&settings, lines.join("\n")).unwrap();
    let settings = settings.to_str().unwrap();
    let ask = |arguments: &[&str]| run(&[arguments, &["--config", settings]].concat(), folder.path(), &[]);
    let mut command = command();
    command
        .args(["--config", settings])
        .current_dir(folder.path())
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__MODELS__REPOSITORY", repository.path())
        .env("GATEWAY__MODELS__STATE_DIRECTORY", repository.state())
        .env("GATEWAY__MODELS__POLL_INTERVAL_MS", "100");
    let gateway = Process::serve(command);
    repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.wait_for_line("a version was put into service");
    let done = ask(&["rollback", "iris"]);
    assert!(done.status.success() && text(&done.stdout).contains("serves in place of"), "{done:?}");

    let token = ask(&["token", "--subject", "shop", "--scope", "read"]);
    let token = text(&token.stdout).trim().to_owned();
    let url = format!("http://{listen}");
    let may_read = || ask(&["rollback", "iris", "--url", &url, "--token", &token]);
    let said = text(&may_read().stderr);
    assert!(said.contains("server.management"), "the token is valid: {said}");
    let done = ask(&["revoke", "--subject", "shop"]);
    assert_eq!(text(&done.stdout), "the tokens of shop: revoked\n", "{done:?}");
    let said = text(&may_read().stderr);
    assert!(said.contains("the token is expired, malformed, or not meant"), "{said}");
    let done = ask(&["revoke", "--jti", "4711", "--issuer", "https://login.example.com/", "--json"]);
    assert_eq!(text(&done.stdout), "{\"recorded\":true,\"revoked\":true}\n", "{done:?}");
    let wrong = run_with_input(&["revoke", "--stdin", "--config", settings], "no token\n");
    assert_eq!(
        text(&wrong.stdout),
        "the gateway does not accept this token, so nothing had to be revoked\n",
        "{wrong:?}"
    );
    let empty = run_with_input(&["revoke", "--stdin", "--config", settings], " \n");
    assert!(
        text(&empty.stderr).contains("--stdin: standard input is empty: expected the token"),
        "{empty:?}"
    );
    let forbidden = ask(&["revoke", "--subject", "shop", "--url", &url, "--token", &token]);
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(text(&forbidden.stderr).contains("the tokens of shop: not revoked: "), "{forbidden:?}");
    for none in [&["revoke"][..], &["revoke", "--jti", "1", "--subject", "shop"]] {
        assert_eq!(ask(none).status.code(), Some(2), "{none:?}");
    }
}

#[test]
fn check_proves_only_what_would_serve() {
    let repository = Repository::new();
    repository.put_iris("iris/1/model.onnx");
    repository.put_test_model("iris/2/model.onnx", "iris_retrained");
    repository.put_test_model("iris/3/model.onnx", "nan_weights");
    let check = || {
        let environment = [
            ("GATEWAY__AUTH__SIGNING_SECRET", SECRET),
            ("GATEWAY__MODELS__REPOSITORY", repository.path().to_str().unwrap()),
        ];
        run(&["check"], repository.path(), &environment)
    };
    repository.put("iris/model.toml", b"versions = 2\n[labels]\nstable = 1");
    let output = check();
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    for part in ["iris version 1 (", "iris version 2 (", "iris version 3 would not serve and is not proven"] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    repository.put("iris/model.toml", b"versions = 3");
    assert!(text(&check().stderr).contains("non_finite_output: "));
    repository.put("iris/model.toml", b"version = 3");
    assert!(text(&check().stderr).contains("error: iris: model.toml: unknown field `version`"));
    assert!(!repository.path().join("state").exists(), "a look leaves nothing behind");
}

#[test]
fn check_names_whatever_has_no_effect_and_fails() {
    let repository = Repository::new();
    repository.put_iris("iris/1/model.onnx");
    let check = |default: &str| {
        let environment = [
            ("GATEWAY__AUTH__SIGNING_SECRET", SECRET),
            ("GATEWAY__MODELS__REPOSITORY", repository.path().to_str().unwrap()),
            ("GATEWAY__MODELS__DEFAULT", default),
        ];
        run(&["check"], repository.path(), &environment)
    };
    assert!(check("iris").status.success());
    repository.put_test_model("churn/model.onnx", "regressor");
    repository.put_test_model("wine/1/wine.onnx", "regressor");
    repository.put("iris/model.toml", b"versions = [1, 9]\n[labels]\nnext = 2");
    let output = check("zzz");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    for part in [
        "/churn: no version in it: expected churn/1/model.onnx, found churn/model.onnx: move it there",
        "/wine/1: expected wine/1/model.onnx, found wine/1/wine.onnx: rename it",
        "iris: model.toml asks for version 9, which is not there",
        "iris: the label `next` of model.toml names version 2, which is not there",
        "models.default: there is no model `zzz`",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    assert!(text(&output.stdout).contains("iris version 1 ("), "the rest is proven: {output:?}");
}

#[test]
fn check_warns_of_scopes_for_models_that_are_not_there() {
    let repository = Repository::new();
    repository.put_iris("models/iris/1/model.onnx");
    let hash = onnx_gateway::auth::hash_secret("secret").unwrap();
    let client = format!(
        "[auth.clients.shop]\nsecret_hash = '{hash}'\nscopes = ['predict:iris', 'read:nosuch', 'read']\n"
    );
    repository.put("gateway.toml", client.as_bytes());
    let output = run(
        &["check", "--config", "gateway.toml"],
        repository.path(),
        &[("GATEWAY__AUTH__SIGNING_SECRET", SECRET)],
    );
    assert!(output.status.success(), "the model may come later: {output:?}");
    let said = text(&output.stderr);
    let warning =
        "warning: auth.clients.shop.scopes: `read:nosuch` names a model that is not in models.repository";
    assert!(said.lines().any(|line| line == warning) && !said.contains("predict:iris"), "{said}");
}

#[test]
fn a_model_with_weights_beside_it_is_known_by_all_its_files() {
    let old = "tests/models/external/model.onnx";
    let folder = Repository::new();
    let read = |file: &str| std::fs::read(source_tree().join("tests/models").join(file)).unwrap();
    // Whatever the model's file is called.
    folder.put("new.onnx", &read("external/model.onnx"));
    folder.put("weights.bin", &read("external_retrained/weights.bin"));
    let new = folder.path().join("new.onnx");
    let new = new.to_str().unwrap();
    let digest = |file: &str| as_json(&here(&["inspect", file, "--json"]))["sha256"].clone();
    let expected = |weights: &str| {
        let lines =
            [read("external/model.onnx"), read(weights)].map(|file| format!("{}\n", Digest::of(&file)));
        json!(Digest::of(lines.concat().as_bytes()).to_string())
    };
    assert_eq!(digest(old), expected("external/weights.bin"));
    assert_eq!(digest(new), expected("external_retrained/weights.bin"));
    let output = here(&["diff", old, new]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "harmless the weights differ, in `weights.bin`; the graph is the same\n"
    );
    assert!(text(&here(&["diff", old, old]).stdout).starts_with("callers notice no difference"));
}

#[test]
fn an_operator_of_a_library_that_is_not_offered_is_named_with_its_domain() {
    let output = here(&["verify", "tests/models/extension_operator.onnx"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = text(&output.stderr);
    for part in
        ["load_failed: ", "ai.onnx.contrib:StringLower", "onnxruntime-extensions, which is not supported"]
    {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}

#[test]
fn every_command_says_what_it_takes() {
    let cases = [
        ("inspect", ["<FILE>", "--json", "--model-toml"]),
        ("predict", ["<FILE>", "--model-toml", "--no-model-toml"]),
        ("score", ["<MODEL>", "--model-toml", "--no-model-toml"]),
        ("verify", ["<FILE>", "--model-toml", "--against <FILE>"]),
        ("diff", ["<OLD>", "<NEW>", "--model-toml"]),
        ("rollback", ["<MODEL>", "--token", "--config"]),
        ("revoke", ["--subject", "--jti", "--stdin"]),
    ];
    table::each(cases, |(command, parts)| {
        let output = here(&[command, "--help"]);
        assert!(output.status.success(), "{output:?}");
        let shown = text(&output.stdout);
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
        assert_eq!(here(&[command]).status.code(), Some(2), "{command} of nothing");
    });
    let shown = text(&here(&["--help"]).stdout);
    assert!(shown.contains("exit status 3") && shown.contains("exit status 4"), "{shown}");
    assert!(!shown.contains("admit"), "what only the server starts is not shown: {shown}");
}
