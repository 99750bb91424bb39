//! KServe V1 and TensorFlow Serving.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ROWS, ask, gateway, native, post, send};
use crate::support::{Answer, TestGateway, table, tokens::TokenBuilder};

const PREDICT: &str = "/v1/models/iris:predict";

async fn get(gateway: &TestGateway, path: &str) -> Answer {
    Answer::of(gateway.get(path).send().await.unwrap()).await
}

#[tokio::test]
async fn rows_and_columns_give_the_native_numbers() {
    let gateway = TestGateway::start().await;
    let (labels, probabilities) = native(&gateway).await;
    let rows: Vec<Value> = labels
        .iter()
        .zip(&probabilities)
        .map(|(label, probabilities)| json!({"label": label, "probabilities": probabilities}))
        .collect();
    let named = ROWS.map(|row| json!({"features": row}));
    let by_feature = ROWS.map(
        |[a, b, c, d]| json!({"sepal_length": a, "sepal_width": b, "petal_length": c, "petal_width": d}),
    );
    let cases = [
        json!({"instances": ROWS}),
        json!({"instances": named, "signature_name": "serving_default"}),
        json!({"instances": by_feature, "parameters": {}}),
    ];
    table::each_async(cases, async |body| {
        for path in [PREDICT, "/v1/models/iris/versions/1:predict", "/v1/models/iris%3Apredict"] {
            assert_eq!(ask(&gateway, path, &body).await, json!({"predictions": rows}), "{path}: {body}");
        }
    })
    .await;
    let columns = json!({"outputs": {"label": labels, "probabilities": probabilities}});
    for body in [json!({"inputs": ROWS}), json!({"inputs": {"features": ROWS}})] {
        assert_eq!(ask(&gateway, PREDICT, &body).await, columns, "{body}");
    }
    // As the documentation of TensorFlow Serving shows it.
    let body = json!({"instances": ROWS}).to_string();
    let form = send(&gateway, Method::POST, PREDICT, "application/x-www-form-urlencoded", body).await;
    assert_eq!(form.body, json!({"predictions": rows}), "{form:?}");
}

#[tokio::test]
async fn examples_are_classified_and_estimated() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let (_, probabilities) = native(&gateway).await;
    let [length, width, petal_length, petal_width] = ROWS[1];
    let context = json!({"sepal_length": length, "sepal_width": width});
    let example = json!({"petal_length": petal_length, "petal_width": petal_width});
    let body = json!({"context": context, "examples": [example]});
    let classes: Vec<Value> = ["setosa", "versicolor", "virginica"]
        .iter()
        .zip(&probabilities[1])
        .map(|(class, score)| json!([class, score]))
        .collect();
    let classified = ask(&gateway, "/v1/models/iris:classify", &body).await;
    assert_eq!(classified, json!({"result": [classes]}));

    let line = gateway.version("line").await;
    let input = line["inputs"][0]["name"].as_str().unwrap().to_owned();
    let columns: usize = line["inputs"][0]["shape"][1].as_str().unwrap().parse().unwrap();
    let row = vec![1.5; columns];
    let expected = gateway.predict_at("/models/line/predict", &json!({"features": row})).await;
    let body = json!({"examples": [{input: row}]});
    let estimated = ask(&gateway, "/v1/models/line:regress", &body).await;
    assert_eq!(estimated, json!({"result": [expected.body["prediction"]]}));
    let wrong = post(&gateway, "/v1/models/line:classify", &body).await;
    assert_eq!(wrong.status.as_u16(), 400, "{wrong:?}");
    assert!(wrong.body["error"].as_str().unwrap().contains("does not classify"), "{wrong:?}");
}

#[tokio::test]
async fn models_of_every_kind_answer() {
    let cases = [
        (
            "columns",
            "columns",
            json!({"instances": [{"city": "Oslo", "age": 9, "visits": 8}]}),
            json!("high"),
        ),
        ("columns", "columns", json!({"instances": [[9, "Oslo", 8]]}), json!("high")),
        (
            "columns",
            "columns",
            json!({"instances": [{"city": ["Oslo"], "age": [9], "visits": [8]}]}),
            json!("high"),
        ),
        ("columns", "columns", json!({"instances": [{"visits": 0}]}), json!("low")),
        ("zip_map", "zip-map", json!({"instances": [[0, 0]]}), json!(0)),
    ];
    table::each_async(cases, async |(kind, model, body, expected)| {
        let gateway = gateway(kind).await;
        let answer = ask(&gateway, &format!("/v1/models/{model}:predict"), &body).await;
        let row = answer["predictions"][0].as_object().unwrap();
        let label = row.iter().find(|(name, _)| name.contains("label")).unwrap().1;
        assert_eq!(*label, expected, "{kind}: {answer}");
        if kind == "zip_map" {
            assert!(row["output_probability"]["0"].as_f64().unwrap() > 0.9, "{answer}");
        }
    })
    .await;
    let half = gateway("half").await;
    let numbers = json!([[0.1, -2.5], ["NaN", "Infinity"]]);
    let refused = post(&half, "/v1/models/half:predict", &json!({"instances": numbers})).await;
    assert_eq!(refused.status.as_u16(), 400, "the contract does not allow them out: {refused:?}");
    let answer = ask(&half, "/v1/models/half:predict", &json!({"instances": [[0.1, -2.5]]})).await;
    let native = half.predict(&json!({"inputs": {"x": [[0.1, -2.5]]}})).await;
    assert_eq!(answer["predictions"][0], native.body["outputs"]["y"]["data"]);

    let texts = gateway("texts").await;
    let body = json!({"instances": [["a", "b"], [{"b64": "w7w="}, ""]]});
    let answer = ask(&texts, "/v1/models/texts:predict", &body).await;
    assert_eq!(answer, json!({"predictions": [["a", "b"], ["ü", ""]]}));

    let vector = gateway("vector").await;
    let cases = [
        json!({"instances": [1.5, "NaN", "-Infinity"]}),
        json!({"instances": [{"x": 1.5}, {"x": "NaN"}, {"x": "-Infinity"}]}),
    ];
    table::each_async(cases, async |body| {
        let answer = ask(&vector, "/v1/models/vector:predict", &body).await;
        assert_eq!(answer, json!({"predictions": [1.5, "NaN", "-Infinity"]}), "{body}");
    })
    .await;
    let answer = ask(&vector, "/v1/models/vector:predict", &json!({"instances": [[1.5], [null]]})).await;
    assert_eq!(answer, json!({"predictions": [1.5, "NaN"]}), "rows of features");

    let scalar = gateway("scalar").await;
    let sound = json!([[[1, 2], [3, 4]]]);
    let answer =
        ask(&scalar, "/v1/models/scalar:predict", &json!({"inputs": {"sound": sound, "gain": 0.5}})).await;
    let louder = json!([[[0.5, 1.0], [1.5, 2.0]]]);
    assert_eq!(answer, json!({"outputs": {"louder": louder, "length": [1, 2, 2]}}));
    let sequence = gateway("sequence_output").await;
    let answer =
        ask(&sequence, "/v1/models/sequence-output:predict", &json!({"inputs": [[1, 2], [3, 4]]})).await;
    assert_eq!(answer, json!({"outputs": [[[1.0, 2.0]], [[3.0, 4.0]]]}));
    let optional = gateway("optional_input").await;
    let answer = ask(&optional, "/v1/models/optional-input:predict", &json!({"inputs": {"x": [1, 2]}})).await;
    assert_eq!(answer, json!({"outputs": {"given": false, "sum": 3.0}}));
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let gateway = TestGateway::builder().model("sum.onnx", "two_inputs").start().await;
    let sum = "/v1/models/sum:predict";
    let cases = [
        (PREDICT, "", &["the body is not valid JSON"][..]),
        (PREDICT, "[]", &["expected an object"]),
        (PREDICT, r#"{"instances":[[NaN,1,1,1]]}"#, &["JSON has no NaN"]),
        (PREDICT, "{}", &["`instances`", "`inputs`"]),
        (PREDICT, r#"{"instances":[[1,1,1,1]],"inputs":[[1,1,1,1]]}"#, &["either"]),
        (PREDICT, r#"{"instance":[[1,1,1,1]]}"#, &["unknown field `instance`"]),
        (
            PREDICT,
            r#"{"instances":[[1,1,1,1]],"signature_name":"x"}"#,
            &["/signature_name", "serving_default"],
        ),
        (PREDICT, r#"{"instances":[[1,1,1,1]],"parameters":{"x":1}}"#, &["/parameters"]),
        (PREDICT, r#"{"instances":7}"#, &["/instances: expected a list of rows"]),
        (PREDICT, r#"{"instances":{"features":[[1,1,1,1]]}}"#, &["/instances: expected a list of rows"]),
        (PREDICT, r#"{"instances":[]}"#, &["/instances: expected at least one row"]),
        (PREDICT, r#"{"instances":[[1,1,1,1],[1,"x",1,1]]}"#, &["/instances/1/1", "a number"]),
        (PREDICT, r#"{"instances":[[1,1,1,1],[1,1]]}"#, &["/instances/1"]),
        (PREDICT, r#"{"instances":[[1,1,1]]}"#, &["/instances: input `features`"]),
        (PREDICT, r#"{"instances":[[1,1,1,1e39]]}"#, &["/instances/0/3"]),
        (
            PREDICT,
            r#"{"instances":[{"features":[1,1,1,1]},[1,1,1,1]]}"#,
            &["/instances/1: expected an object"],
        ),
        (
            PREDICT,
            r#"{"instances":[{"features":[1,1,1,1]},{"features":[1,1,1,{}]}]}"#,
            &["/instances/1/features/3"],
        ),
        (PREDICT, r#"{"instances":[{"features":[1,1,1,1]},{}]}"#, &["/instances/1/features", "required"]),
        (PREDICT, r#"{"instances":[{"feature":[1,1,1,1]}]}"#, &["/instances/0/feature", "[features]"]),
        (
            PREDICT,
            r#"{"instances":[{"sepal_length":1,"sepal_length":1}]}"#,
            &["/instances/0", "more than once"],
        ),
        (
            PREDICT,
            r#"{"instances":[{"sepal_length":99,"sepal_width":"x","petal_length":1}]}"#,
            &["/instances/0/sepal_length", "/instances/0/sepal_width", "/instances/0/petal_width"],
        ),
        (PREDICT, r#"{"inputs":{"feature":[[1,1,1,1]]}}"#, &["/inputs/feature", "[features]"]),
        (PREDICT, r#"{"inputs":{}}"#, &["/inputs/features", "required"]),
        (PREDICT, r#"{"inputs":[[1,1,1]]}"#, &["/inputs/features"]),
        (sum, r#"{"inputs":[[1]]}"#, &["/inputs: expected an object"]),
        (sum, r#"{"inputs":{"a":[[1]],"b":[["x"]]}}"#, &["/inputs/b/0/0"]),
        (sum, r#"{"instances":[1]}"#, &["/instances/0", "[a, b]"]),
        (sum, r#"{"instances":[{"a":1}]}"#, &["/instances/0/b", "required"]),
        (sum, r#"{"instances":[{"a":[1]}]}"#, &["/instances/0/b", "required"]),
        ("/v1/models/iris:classify", r#"{"examples":[]}"#, &["/examples: expected at least one"]),
        ("/v1/models/iris:classify", r#"{"examples":[[1,1,1,1]]}"#, &["/examples/0"]),
        ("/v1/models/iris:classify", r#"{"instances":[[1,1,1,1]]}"#, &["unknown field"]),
        ("/v1/models/iris:regress", r#"{"examples":[{"sepal_length":1}]}"#, &["/examples/0/sepal_width"]),
        (
            "/v1/models/iris:classify",
            r#"{"context":{"petal_width":1},"examples":[{"petal_width":1}]}"#,
            &["/examples/0/petal_width"],
        ),
    ];
    table::each_async(cases, async |(path, body, parts)| {
        let answer = send(&gateway, Method::POST, path, "application/json", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}: {answer:?}");
        assert_eq!(answer.body.as_object().unwrap().len(), 1, "{answer:?}");
        let error = answer.body["error"].as_str().unwrap();
        for part in parts {
            assert!(error.contains(part), "{body}: no `{part}` in `{error}`");
        }
    })
    .await;
    let scalar = super::gateway("scalar").await;
    let body = json!({"instances": [{"sound": [[1, 2]], "gain": 2}]});
    let answer = post(&scalar, "/v1/models/scalar:predict", &body).await;
    assert_eq!(answer.status.as_u16(), 400, "rows of a scalar are none: {answer:?}");
}

#[tokio::test]
async fn models_tell_what_they_are_and_whether_they_serve() {
    let gateway = TestGateway::builder().model("bad.onnx", "iris_nan_weights").start().await;
    assert_eq!(get(&gateway, "/v1/models").await.body, json!({"models": ["iris"]}));
    let serves =
        json!({"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    let expected = json!({"name": "iris", "ready": true, "model_version_status": [serves]});
    for path in ["/v1/models/iris", "/v1/models/iris/versions/1"] {
        assert_eq!(get(&gateway, path).await.body, expected, "{path}");
    }
    let metadata = get(&gateway, "/v1/models/iris/metadata").await.body;
    assert_eq!(metadata["model_spec"], json!({"name": "iris", "signature_name": "", "version": "1"}));
    let definition = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(
        definition["inputs"]["features"],
        json!({"dtype": "DT_FLOAT", "name": "features", "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "4", "name": ""}], "unknown_rank": false}})
    );
    assert_eq!(definition["outputs"]["label"]["dtype"], "DT_INT64");
    let cases = [
        ("/v1/models/nothing", 404),
        ("/v1/models/bad", 503),
        ("/v1/models/bad/metadata", 503),
        ("/v1/models/iris/versions/2", 404),
        ("/v1/models/iris/versions/x", 404),
        ("/v1/models/iris/labels/canary", 404),
        ("/v1/models/iris/labels/1", 404),
        ("/v1/models/iris:predict", 405),
        ("/v1/models/iris:explain", 404),
        ("/v1/models/%FF", 404),
        ("/v1", 404),
        ("/v1/nothing", 404),
    ];
    table::each_async(cases, async |(path, status)| {
        let answer = get(&gateway, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.body["error"].is_string(), "{path}: {answer:?}");
    })
    .await;
    for (path, status) in
        [("/v1/models/iris", 405), ("/v1/models/iris:explain", 404), ("/v1/models/no:predict", 404)]
    {
        let answer = post(&gateway, path, &json!({"instances": ROWS})).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.body["error"].is_string(), "{path}: {answer:?}");
    }
    assert_eq!(get(&gateway, PREDICT).await.header("allow"), "POST");
}

#[tokio::test]
async fn labels_name_versions() {
    let builder = TestGateway::builder();
    builder.repository.put("iris/model.toml", b"[labels]\ncanary = 1\n");
    let gateway = builder.start().await;
    let body = json!({"instances": ROWS});
    let labelled = ask(&gateway, "/v1/models/iris/labels/canary:predict", &body).await;
    assert_eq!(labelled, ask(&gateway, PREDICT, &body).await);
    let status = get(&gateway, "/v1/models/iris/labels/canary").await;
    assert_eq!(status.body["model_version_status"][0]["version"], "1", "{status:?}");
    let wrong = post(&gateway, "/v1/models/iris/versions/canary:predict", &body).await;
    assert_eq!(wrong.status.as_u16(), 404, "{wrong:?}");
}

#[tokio::test]
async fn tokens_and_scopes_are_asked_for() {
    let gateway = TestGateway::start().await;
    let body = json!({"instances": ROWS});
    let cases = [
        (PREDICT, None, true, 401),
        ("/v1/models/iris", None, false, 401),
        (PREDICT, Some("read"), true, 403),
        (PREDICT, Some("predict:wine"), true, 403),
        (PREDICT, Some("predict:iris"), true, 200),
        ("/v1/models/iris", Some("predict"), false, 403),
        ("/v1/models/iris/metadata", Some("read:wine"), false, 403),
        ("/v1/models/iris/metadata", Some("read:iris"), false, 200),
        ("/v1/models", Some("predict"), false, 403),
    ];
    table::each_async(cases, async |(path, scope, post, status)| {
        let method = if post { Method::POST } else { Method::GET };
        let mut request = gateway.client.request(method, gateway.url(path)).json(&body);
        if let Some(scope) = scope {
            request = request.bearer_auth(TokenBuilder::new().scope(scope).build());
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {scope:?}: {answer:?}");
        assert_eq!(answer.body["error"].is_string(), status != 200, "{answer:?}");
    })
    .await;
}
