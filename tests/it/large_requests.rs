//! Requests of many rows: read in one piece, run in parts, answered whole.

mod memory;
use std::fs;

use serde_json::{Value, json};

use crate::support::{TestGateway, repository::source_tree};

/// The rows of the Iris data over and over, and how each is answered.
async fn many(gateway: &TestGateway, count: usize) -> (Vec<Value>, Vec<Value>) {
    let data = fs::read(source_tree().join("tests/data/iris_answers.json")).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    let rows = data["rows"].as_array().unwrap().clone();
    let answer = gateway.predict(&json!({"instances": rows})).await;
    let answers = answer.body["predictions"].as_array().unwrap().clone();
    let repeat = |list: &[Value]| list.iter().cycle().take(count).cloned().collect();
    (repeat(&rows), repeat(&answers))
}

#[tokio::test]
async fn ten_thousand_rows_of_json_are_answered_as_each_of_them() {
    let gateway = TestGateway::start().await;
    let (rows, expected) = many(&gateway, 10_000).await;
    let answer = gateway.predict(&json!({"instances": rows})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["predictions"].as_array().unwrap() == &expected);
    // With something unusual in it, it goes another way.
    let mut unusual = rows.clone();
    unusual[9_999] =
        json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let answer = gateway.predict(&json!({"instances": unusual})).await;
    assert_eq!(answer.status, 200);
    let answers = answer.body["predictions"].as_array().unwrap();
    assert!(answers[..9_999] == expected[..9_999] && answers[9_999]["prediction"] == "setosa");
    let mut wrong = rows;
    wrong[9_999] = json!([5.1, 3.5, "tall", 0.2]);
    let answer = gateway.predict(&json!({"instances": wrong})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/instances/9999/2");
}

#[tokio::test]
async fn a_hundred_thousand_rows_of_bytes_are_answered_as_each_of_them() {
    let gateway = TestGateway::start().await;
    let (rows, expected) = many(&gateway, 100_000).await;
    let numbers = rows.iter().flat_map(|row| row.as_array().unwrap());
    #[expect(clippy::cast_possible_truncation, reason = "they are sent as FP32")]
    let bytes: Vec<u8> = numbers.flat_map(|number| (number.as_f64().unwrap() as f32).to_le_bytes()).collect();
    let head = json!({
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [100_000, 4],
            "parameters": {"binary_data_size": bytes.len()}}],
        "outputs": [{"name": "label"}],
    })
    .to_string();
    let body = [head.as_bytes(), &bytes].concat();
    let request = gateway
        .post("/v2/models/iris/infer")
        .header("inference-header-content-length", head.len())
        .body(body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let labels = answer["outputs"][0]["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(labels.len(), 100_000);
    let classes = ["setosa", "versicolor", "virginica"];
    let name = |label: &Value| {
        label.as_str().map_or_else(
            || classes[usize::try_from(label.as_u64().unwrap()).unwrap()].to_owned(),
            str::to_owned,
        )
    };
    assert!(labels.iter().zip(&expected).all(|(label, row)| name(label) == row["prediction"]));
}
