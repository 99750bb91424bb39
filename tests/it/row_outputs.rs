//! Which outputs go with rows: decided when a model is proven, the same for every number of rows and on every route.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, table};

/// Numbers of rows that are asked.
const COUNTS: [usize; 6] = [1, 2, 3, 4, 5, 32];

const JSON: &str = "application/json";

/// Where Vertex AI asks.
const VERTEX: &str = "/ask";

/// A gateway with one model of `tests/models/kinds`, under the name `m`.
async fn gateway(kind: &str) -> TestGateway {
    TestGateway::builder_without_models()
        .model("m.onnx", &format!("kinds/{kind}"))
        .settings(|settings| settings.dialects.vertex_predict_route = Some(VERTEX.to_owned()))
        .start()
        .await
}

/// Rows that differ.
fn rows(count: usize) -> Vec<[f64; 4]> {
    (1_u32..).take(count).map(f64::from).map(|number| [number, -number, 0.5 * number, 7.0]).collect()
}

/// Each form in which rows can be asked: the path, the content type, the body.
fn requests(count: usize) -> Vec<(&'static str, &'static str, String)> {
    let rows = rows(count);
    let instances = json!({"instances": rows}).to_string();
    let columns = ["a", "b", "c", "d"];
    let named: Vec<Value> = rows
        .iter()
        .map(|row| columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
        .collect();
    let split = json!({"dataframe_split": {"columns": columns, "data": rows}}).to_string();
    let mut lines = "a,b,c,d\n".to_owned();
    for [a, b, c, d] in &rows {
        writeln!(lines, "{a},{b},{c},{d}").unwrap();
    }
    vec![
        ("/models/m/predict", JSON, instances.clone()),
        ("/models/m/predict", JSON, json!({"features": rows[0]}).to_string()),
        ("/v1/models/m:predict", JSON, instances.clone()),
        ("/v1/models/m:classify", JSON, json!({"examples": named}).to_string()),
        ("/v1/models/m:regress", JSON, json!({"examples": named}).to_string()),
        (VERTEX, JSON, instances.clone()),
        ("/invocations", JSON, instances.clone()),
        ("/invocations", JSON, split),
        ("/invocations", JSON, json!({"dataframe_records": named}).to_string()),
        ("/invocations", "text/csv", lines.clone()),
        ("/models/m/invoke", JSON, instances),
        ("/models/m/invoke", "text/csv", lines),
    ]
}

async fn send(gateway: &TestGateway, path: &str, content_type: &str, body: String) -> Answer {
    Answer::of(gateway.post(path).header("content-type", content_type).body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_model_with_an_output_of_all_rows_together_takes_no_rows() {
    let cases = [
        ("states", "`h_n` [2, N, 4]"),
        ("transposed", "`t` [4, N]"),
        ("total", "`total` (a scalar)"),
        ("gram", "`products` [N, M]"),
        ("positive", "`chosen` [M, 4]"),
    ];
    table::each_async(cases, async |(kind, output)| {
        let gateway = gateway(kind).await;
        let reason = format!("output {output} does not hold one part for each row");
        table::each_async(COUNTS.into_iter().flat_map(requests), async |(path, content_type, body)| {
            let answer = send(&gateway, path, content_type, body.clone()).await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 400 | 422), "{kind} {path} {body}: {answer:?}");
            let text = answer.body.to_string();
            assert!(text.contains(&reason), "{kind} {path} {body}: {text}");
            assert!(text.contains("send whole tensors as `inputs`"), "{kind} {path}: {text}");
            if path.ends_with("/predict") {
                assert_eq!((status, answer.problem_code()), (422, "rows_not_supported"), "{kind}");
            }
        })
        .await;
        let version = gateway.version("m").await;
        assert_eq!(version["takes_rows"], json!(false), "{kind}");
        assert_eq!(
            version["rows_reason"],
            json!(format!("the model does not take rows, as {reason}: send whole tensors as `inputs`"))
        );
        assert_eq!(version["scheduler"]["batching"], json!(false), "{kind}");
        let whole = gateway.predict(&json!({"inputs": {"x": rows(3)}})).await;
        assert_eq!(whole.status.as_u16(), 200, "{kind}: {whole:?}");
        let whole = gateway.predict_at("/v1/models/m:predict", &json!({"inputs": rows(3)})).await;
        assert_eq!(whole.status.as_u16(), 200, "{kind}: {whole:?}");
    })
    .await;
}

#[tokio::test]
async fn a_scalar_beside_other_inputs_is_no_list_of_rows() {
    let gateway = gateway("scalar").await;
    for count in [1, 2, 3] {
        let instances = vec![json!({"sound": [[1, 2]], "gain": 2}); count];
        for path in ["/v1/models/m:predict", "/invocations", VERTEX] {
            let answer = gateway.predict_at(path, &json!({"instances": instances})).await;
            assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            assert!(answer.body.to_string().contains("input `gain` has no dimension for them"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_contract_that_describes_rows_of_a_model_that_takes_none_is_refused() {
    let refusal = gateway("states_named").await.version("m").await["refusal"].clone();
    assert_eq!(refusal["reason"], "invalid_contract", "{refusal}");
    let detail = refusal["detail"].as_str().unwrap();
    assert!(detail.contains("output `h_n` [2, N, 4] does not hold one part for each row"), "{detail}");
}

#[tokio::test]
async fn a_buffer_that_a_model_returns_is_answered_whole_beside_each_row() {
    let gateway = gateway("buffer").await;
    let classes = json!([10, 20, 30]);
    table::each_async(COUNTS, async |count| {
        let scores: Vec<Value> = rows(count).iter().map(|[a, b, c, _]| json!([a, b, c])).collect();
        table::each_async(requests(count), async |(path, content_type, body)| {
            let answer = send(&gateway, path, content_type, body.clone()).await;
            if path.ends_with(":regress") {
                assert!(answer.status.is_client_error(), "it gives no number: {answer:?}");
                return;
            }
            assert_eq!(answer.status.as_u16(), 200, "{path} {body}: {answer:?}");
            if path.ends_with(":classify") {
                // Scores without names: nothing says that the buffer names them.
                let named =
                    |row: &Value| row.as_array().unwrap().iter().map(|score| json!(["", score])).collect();
                let expected: Vec<Value> = scores.iter().map(named).collect();
                assert_eq!(answer.body["result"], json!(expected), "{path} {body}");
                return;
            }
            if body.contains("features") {
                let native = json!({"prediction": scores[0], "outputs": {"classes": classes}});
                assert_eq!(answer.body["prediction"], native["prediction"]);
                assert_eq!(answer.body["outputs"], native["outputs"]);
                return;
            }
            let expected: Vec<Value> = scores
                .iter()
                .map(|scores| {
                    if path.ends_with("/predict") {
                        json!({"prediction": scores, "outputs": {"classes": classes}})
                    } else {
                        json!({"scores": scores, "classes": classes})
                    }
                })
                .collect();
            assert_eq!(answer.body["predictions"], json!(expected), "{path} {body}");
        })
        .await;
    })
    .await;
    let named = json!({"features": {"a": 1, "b": 2, "c": 3, "d": 4}});
    let answer = gateway.predict(&named).await;
    assert_eq!(answer.body["prediction"], json!([1.0, 2.0, 3.0]), "{answer:?}");
    assert_eq!(answer.body["outputs"], json!({"classes": classes}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffer_is_no_hindrance_to_batches_and_whole_for_each_request_of_one() {
    let gateway = gateway("buffer").await;
    let version = gateway.version("m").await;
    assert_eq!(version["scheduler"]["batching"], json!(true), "{version}");
    let ask = |number: u32| {
        let row = [f64::from(number), 1.0, 2.0, 3.0];
        let by_rows = gateway.post("/models/m/predict").json(&json!({"features": row}));
        let tensor = json!({"inputs": {"x": [row]}});
        let by_tensors = gateway.post("/models/m/predict").json(&tensor);
        async move {
            let (rows, tensors) = tokio::join!(by_rows.send(), by_tensors.send());
            let (rows, tensors) = (Answer::of(rows.unwrap()).await, Answer::of(tensors.unwrap()).await);
            assert_eq!(rows.body["prediction"], json!([f64::from(number), 1.0, 2.0]), "{rows:?}");
            assert_eq!(rows.body["outputs"]["classes"], json!([10, 20, 30]), "{rows:?}");
            let outputs = &tensors.body["outputs"];
            assert_eq!(outputs["classes"], json!({"datatype": "INT64", "shape": [3], "data": [10, 20, 30]}));
            assert_eq!(outputs["scores"]["data"], json!([f64::from(number), 1.0, 2.0]));
        }
    };
    futures_util::future::join_all((0..64).map(ask)).await;
}

#[tokio::test]
async fn more_rows_than_one_run_takes_get_the_buffer_once_each() {
    let gateway = TestGateway::builder_without_models()
        .model("m.onnx", "kinds/buffer")
        .settings(|settings| settings.runtime.max_batch_rows = 4)
        .start()
        .await;
    let answer = gateway.predict(&json!({"instances": rows(33)})).await;
    let predictions = answer.body["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 33, "{answer:?}");
    for (prediction, [a, b, c, _]) in predictions.iter().zip(rows(33)) {
        let expected = json!({"prediction": [a, b, c], "outputs": {"classes": [10, 20, 30]}});
        assert_eq!(*prediction, expected);
    }
}

/// Shapes of an output in the metadata of each protocol: native, Open Inference, TensorFlow Serving.
async fn shapes(gateway: &TestGateway, output: usize) -> (Value, Value, Value) {
    let get = async |path: &str| Answer::of(gateway.get(path).send().await.unwrap()).await.body;
    let native = get("/models/m").await["versions"][0]["outputs"][output].clone();
    let open = get("/v2/models/m").await["outputs"][output]["shape"].clone();
    let name = native["name"].as_str().unwrap();
    let tensorflow = get("/v1/models/m/metadata").await;
    let dimensions = tensorflow["metadata"]["signature_def"]["signature_def"]["serving_default"]["outputs"]
        [name]["tensor_shape"]["dim"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dimension| dimension["size"].clone())
        .collect();
    (native["shape"].clone(), open, Value::Array(dimensions))
}

#[tokio::test]
async fn metadata_say_what_is_answered_where_the_file_declares_something_else() {
    let label = gateway("wrong_shape").await;
    assert_eq!(shapes(&label, 0).await, (json!(["?"]), json!([-1]), json!(["-1"])), "a label for each row");
    assert_eq!(shapes(&label, 1).await, (json!(["?", "2"]), json!([-1, 2]), json!(["-1", "2"])));
    let wider = gateway("wider_than_declared").await;
    assert_eq!(shapes(&wider, 0).await, (json!(["N", "1"]), json!([-1, 1]), json!(["-1", "1"])));
    for count in COUNTS {
        let answer = wider.predict(&json!({"instances": rows(count)})).await;
        assert_eq!(answer.body["predictions"].as_array().unwrap().len(), count, "{answer:?}");
    }
    let answer = wider.predict(&json!({"inputs": {"features": rows(2)}})).await;
    assert_eq!(answer.body["outputs"]["predictions"]["shape"], json!([2, 1]));
}

#[tokio::test]
async fn a_model_that_runs_with_one_row_only_answers_it() {
    let gateway = gateway("one_row").await;
    assert_eq!(gateway.version("m").await["takes_rows"], json!(true));
    let answer = gateway.predict(&json!({"features": [1, 2, 3, 4]})).await;
    assert_eq!(answer.body["prediction"], json!([1.0, 2.0, 3.0, 4.0]), "{answer:?}");
}
