//! Facts that a model's graph states, taken where its contract says nothing: missing values, categories, ranges of ids.

use serde_json::json;

use crate::support::{
    Answer, TestGateway,
    binary::{run, text},
    repository::source_tree,
    table,
};

async fn gateway(models: &[&str]) -> TestGateway {
    let mut builder = TestGateway::builder_without_models();
    for model in models {
        builder = builder.model(&format!("{model}.onnx"), &format!("facts/{model}"));
    }
    builder.start().await
}

async fn ask(gateway: &TestGateway, model: &str, body: serde_json::Value) -> Answer {
    gateway.predict_at(&format!("/models/{model}/predict"), &body).await
}

#[tokio::test]
async fn trees_that_track_missing_values_take_rows_that_lack_some() {
    let gateway = gateway(&["tracked", "tracked_named", "not_tracked"]).await;
    let answer =
        ask(&gateway, "tracked", json!({"instances": [[0, 0.4], [0, 0.6], [0, null], [null, 0.6]]})).await;
    let predictions: Vec<_> =
        answer.body["predictions"].as_array().unwrap().iter().map(|row| &row["prediction"]).collect();
    assert_eq!(
        predictions,
        [&json!(1.0), &json!(2.0), &json!(1.0), &json!(2.0)],
        "a missing value goes left"
    );
    let answer = ask(&gateway, "tracked", json!({"features": [0, null]})).await;
    assert_eq!(answer.body["prediction"], json!(1.0), "{answer:?}");
    let answer = ask(&gateway, "tracked_named", json!({"features": {"a": 0}})).await;
    assert_eq!(answer.body["prediction"], json!(1.0), "{answer:?}");
    let frame = json!({"dataframe_split": {"columns": ["a", "b"], "data": [[0, null]]}});
    let answer = gateway.predict_at("/models/tracked_named/invoke", &frame).await;
    assert_eq!(answer.body["predictions"], json!([[1.0]]), "{answer:?}");

    for (model, body) in [
        ("tracked_named", json!({"features": {"a": null, "b": 0}})),
        ("not_tracked", json!({"features": [0, null]})),
    ] {
        let answer = ask(&gateway, model, body).await;
        assert_eq!(answer.status.as_u16(), 422, "{model}: {answer:?}");
        let message = answer.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("`missing` in the contract"), "{message}");
    }
    let shown =
        gateway.get("/models/tracked_named").send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    let missing: Vec<_> =
        shown["versions"][0]["features"].as_array().unwrap().iter().map(|f| &f["missing"]).collect();
    assert_eq!(missing, [&json!("refuse"), &json!("nan")]);
}

#[tokio::test]
async fn ids_beyond_the_table_of_an_embedding_are_refused_by_name() {
    let gateway = gateway(&["embedding", "embedding_named"]).await;
    let answer = ask(&gateway, "embedding", json!({"features": [0, 9, 9]})).await;
    assert_eq!(answer.body["prediction"], json!([12.0, 13.0]), "{answer:?}");
    let answer = ask(&gateway, "embedding_named", json!({"features": [0, 9, 10]})).await;
    assert_eq!(answer.errors(), [("/features/2".to_owned(), "out_of_range".to_owned())], "{answer:?}");
}

#[test]
fn inspect_says_what_is_from_the_graph() {
    let cases = [
        ("tests/models/classes/quality.onnx", &["classes  3, 4, 5 (from the graph)"][..]),
        ("tests/models/facts/encoder.onnx", &["column   town: one of \"Bern\", \"Zug\" (from the graph)"]),
        (
            "tests/models/exporters/sk_columns_one_hot_lenient.onnx",
            &[
                "column   city: encodes \"Basel\", \"Bern\", ",
                "; any other value is accepted and ignored (from the graph)",
            ],
        ),
        ("tests/models/facts/embedding.onnx", &["ids, column 0: -10 to 9 (from the graph)"]),
        ("tests/models/facts/tracked.onnx", &["x, column 1: may be missing (from the graph)"]),
    ];
    table::each(cases, |(file, parts)| {
        let output = run(&["inspect", file], &source_tree(), &[]);
        let shown = text(&output.stdout);
        assert!(parts.iter().all(|part| shown.contains(part)), "{file}: {parts:?} in\n{shown}");
    });
}
