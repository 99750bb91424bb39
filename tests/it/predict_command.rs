//! `onnx-gateway predict`: asking a model file without a server.

use std::{fs, process::Output};

use serde_json::{Value, json};

use crate::support::{
    TestGateway,
    binary::{run, run_with_input, text},
    repository::source_tree,
    setosa, table,
};

fn model(name: &str) -> String {
    source_tree().join(format!("tests/models/{name}.onnx")).to_str().unwrap().to_owned()
}

fn predict(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    run(&[&["predict"], arguments].concat(), folder.path(), &[])
}

/// The lines of a failure, after the file's name.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text(&output.stderr)
}

#[tokio::test]
async fn the_answer_is_the_servers_own() {
    let gateway = TestGateway::start().await;
    let iris = source_tree().join("models/iris/1/model.onnx");
    let cases = [
        setosa(),
        json!({"instances": [[6.7, 3.0, 5.2, 2.3]]}),
        json!({"inputs": {"features": [[1, 1, 1, 1]]}}),
    ];
    table::each_async(cases, async |body| {
        let output = predict(&[iris.to_str().unwrap(), "--json", "--input", &body.to_string()]);
        assert_eq!(text(&output.stdout).trim_end(), gateway.predict(&body).await.text, "{output:?}");
    })
    .await;
    let output = predict(&[iris.to_str().unwrap(), "--input", &setosa().to_string()]);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("{\n  \"model\": \"iris\",\n"), "{output:?}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["prediction"], "setosa");
}

#[test]
fn the_input_may_come_from_a_file_or_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("row.json"), r#"{"features":[10,100]}"#).unwrap();
    let regressor = model("regressor");
    let from_file = run(&["predict", &regressor, "--json", "--input", "@row.json"], folder.path(), &[]);
    let expected = r#"{"model":"regressor","version":"1","prediction":320.0}"#;
    assert_eq!(text(&from_file.stdout).trim_end(), expected, "{from_file:?}");
    let piped =
        run_with_input(&["predict", &regressor, "--json", "--input", "-"], r#"{"features":[10,100]}"#);
    assert_eq!(text(&piped.stdout).trim_end(), expected, "{piped:?}");
}

#[test]
fn numbers_that_json_has_not_are_shown() {
    let output = predict(&[&model("square_root"), "--json", "--input", r#"{"features":[-1]}"#]);
    assert!(text(&output.stdout).contains(r#""prediction":"NaN""#), "{output:?}");
}

#[test]
fn whatever_is_wrong_is_said_with_its_place() {
    let retrained = model("iris_retrained");
    let lines = failure(&predict(&[&retrained, "--input", r#"{"features":[1,"2",3]}"#]));
    assert!(lines.contains("error: --input: /features: expected 4 values"), "{lines}");
    assert!(
        lines.contains("error: --input: /features/1: expected a number from 0.1 to 10 (cm), got a text"),
        "{lines}"
    );
    let cases = [
        ("regressor", "{bad", "--input: key must be a string"),
        ("regressor", "{}", "--input: expected one of `features`"),
        ("regressor", "@nowhere.json", "nowhere.json cannot be read"),
        (
            "regressor",
            r#"{"inputs":{"x":[[1]]}}"#,
            "--input: /inputs/x: expected FP32 [N, 2], got 1 in dimension 1",
        ),
        ("kinds/scalar", r#"{"features":[1]}"#, "the model does not take rows: send `inputs`"),
        (
            "kinds/states",
            r#"{"features":[1,2,3,4]}"#,
            "as output `h_n` [2, N, 4] does not hold one part for each row: send whole tensors as `inputs`",
        ),
        ("kinds/sequence_input", r#"{"inputs":{}}"#, "input `parts` is of type"),
        ("none", "{\"features\":[1]}", "none.onnx"),
    ];
    table::each(cases, |(model, input, part)| {
        let lines = failure(&predict(&[&self::model(model), "--input", input]));
        assert!(lines.contains(part), "{model} {input}: {lines}");
        assert_eq!(lines.lines().count(), 1, "one fault, one line: {lines}");
    });
}

#[test]
fn a_run_that_takes_longer_than_it_may_is_given_up() {
    let half_a_minute = r#"{"features":[2e7]}"#;
    let output = predict(&[&model("slow"), "--timeout-seconds", "1", "--input", half_a_minute]);
    assert!(failure(&output).contains("there was no result within 1 s"), "{output:?}");
}
