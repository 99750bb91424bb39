//! Rows by the name of the only input, and the answers of models that give scores without a label.

use serde_json::{Value, json};

use super::{JSON, gateway_of, send};
use crate::support::{TestGateway, table};

async fn ask(gateway: &TestGateway, path: &str, kind: &str, body: &str) -> Value {
    let answer = send(gateway, path, kind, &[], body).await;
    assert_eq!(answer.status, 200, "{path}, {body}: {answer:?}");
    answer.body
}

#[tokio::test]
async fn the_only_column_without_a_feature_name_is_called_as_its_input() {
    let texts = gateway_of("text_column").await;
    let cases = [
        ("/predict", r#"{"features":{"text":"hello"}}"#, "prediction", json!("hello")),
        ("/predict", r#"{"features":["hello"]}"#, "prediction", json!("hello")),
        (
            "/v1/models/text_column:predict",
            r#"{"instances":[{"text":"a"},{"text":"b"}]}"#,
            "predictions",
            json!([["a"], ["b"]]),
        ),
        (
            "/v1/models/text_column:predict",
            r#"{"instances":[{"text":["a"]},{"text":["b"]}]}"#,
            "predictions",
            json!([["a"], ["b"]]),
        ),
        ("/invocations", r#"{"dataframe_records":[{"text":"a"}]}"#, "predictions", json!([["a"]])),
        (
            "/invocations",
            r#"{"dataframe_split":{"columns":["text"],"data":[["a"],["b"]]}}"#,
            "predictions",
            json!([["a"], ["b"]]),
        ),
    ];
    table::each_async(cases, async |(path, body, answered, expected)| {
        assert_eq!(ask(&texts, path, JSON, body).await[answered], expected, "{path}: {body}");
    })
    .await;
    let csv = ask(&texts, "/invocations", "text/csv", "text\nhello\n").await;
    assert_eq!(csv["predictions"], json!([["hello"]]));
    let answer = send(&texts, "/predict", JSON, &[], r#"{"features":{"test":"hello"}}"#).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("did you mean `text`?"), "{answer:?}");

    let numbers = gateway_of("numbers").await;
    let answer = ask(&numbers, "/predict", JSON, r#"{"instances":[{"x":7},{"x":8.0}]}"#).await;
    assert_eq!(answer["predictions"][1]["prediction"], 8, "{answer}");
    for body in [r#"{"instances":[{"x":7},{"x":8.0}]}"#, r#"{"instances":[7,8]}"#] {
        let answer = ask(&numbers, "/v1/models/numbers:predict", JSON, body).await;
        assert_eq!(answer["predictions"], json!([7, 8]), "{body}");
    }
    let texts = gateway_of("text_rows").await;
    let answer = send(&texts, "/predict", JSON, &[], r#"{"features":{"x":"hello"}}"#).await;
    assert_eq!((answer.status.as_u16(), answer.errors()[0].1.as_str()), (422, "no_feature_names"));
}

#[tokio::test]
async fn a_network_that_only_gives_scores_is_classified_without_made_up_labels() {
    const CLASSIFY: &str = "/v1/models/softmax:classify";
    let examples = r#"{"examples":[{"x":[1,1,1]},{"x":[0,50,0]}]}"#;
    let unnamed = gateway_of("softmax").await;
    let answer = ask(&unnamed, CLASSIFY, JSON, examples).await;
    let result = answer["result"].as_array().unwrap();
    assert_eq!(result.len(), 2, "{answer}");
    for row in result {
        let labels: Vec<&Value> = row.as_array().unwrap().iter().map(|pair| &pair[0]).collect();
        assert_eq!(labels, ["", "", ""], "{answer}");
    }
    assert_eq!(result[1][1][1], 1.0, "{answer}");

    let builder = TestGateway::builder_without_models().model("softmax/1/model.onnx", "kinds/softmax");
    builder.repository.put("softmax/model.toml", b"[contract]\nclasses = [\"a\", \"b\", \"c\"]\n");
    let named = builder.start().await;
    let answer = ask(&named, CLASSIFY, JSON, r#"{"examples":[{"x":[0,50,0]}]}"#).await;
    assert_eq!(answer["result"][0][1], json!(["b", 1.0]), "{answer}");

    // A number is no class.
    let regressor = TestGateway::builder_without_models().model("line.onnx", "regressor").start().await;
    let answer =
        send(&regressor, "/v1/models/line:classify", JSON, &[], r#"{"examples":[{"x":[1,2]}]}"#).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test]
async fn the_number_of_a_model_with_a_label_and_a_score_is_the_score() {
    let outliers = gateway_of("outliers").await;
    let answer =
        ask(&outliers, "/v1/models/outliers:regress", JSON, r#"{"examples":[{"x":[1,0.5]},{"x":[-3,0.5]}]}"#)
            .await;
    assert_eq!(answer, json!({"result": [1.5, -2.5]}));
}
