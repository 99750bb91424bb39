//! Predictions over HTTP: the native API on the Iris forest and on models that are not like it.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, repository::source_tree, setosa, table, tokens::TokenBuilder};

#[tokio::test]
async fn the_iris_forest_knows_its_flowers() {
    let gateway = TestGateway::start().await;
    let answer = gateway.predict(&setosa()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body["model"], "iris");
    assert_eq!(answer.body["version"], "1");
    assert_eq!(answer.body["prediction"], "setosa");
    assert!(answer.body["probabilities"]["setosa"].as_f64().unwrap() > 0.9, "{answer:?}");
    assert_eq!(answer.header("x-model-version"), "1");
    assert_eq!(answer.header("x-model-digest").len(), 12);
    assert_eq!(answer.header("content-type"), "application/json");

    let answer = gateway.predict(&json!({"features": [6.7, 3.0, 5.2, 2.3]})).await;
    assert_eq!(answer.body["prediction"], "virginica");
}

#[tokio::test]
async fn all_150_rows_are_answered_as_scikit_learn_does() {
    let answers: Value =
        serde_json::from_slice(&fs::read(source_tree().join("tests/data/iris_answers.json")).unwrap())
            .unwrap();
    let gateway = TestGateway::start().await;
    let answer = gateway.predict(&json!({"instances": answers["rows"]})).await;
    assert_eq!(answer.status, StatusCode::OK);
    let predictions = answer.body["predictions"].as_array().unwrap();
    let labels: Vec<&Value> = predictions.iter().map(|row| &row["prediction"]).collect();
    assert_eq!(labels.len(), 150);
    assert_eq!(json!(labels), answers["labels"]);
}

#[tokio::test]
async fn rows_may_be_given_by_name_and_mixed() {
    let gateway = TestGateway::start().await;
    let named = json!({"petal_width": 2.3, "sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2});
    let one = gateway.predict(&json!({"features": named})).await;
    assert_eq!(one.body["prediction"], "virginica");
    let many = gateway.predict(&json!({"instances": [[5.1, 3.5, 1.4, 0.2], named]})).await;
    assert_eq!(many.body["predictions"][0]["prediction"], "setosa");
    assert_eq!(many.body["predictions"][1]["probabilities"], one.body["probabilities"]);
}

/// A body, the status it gets, and pointer and code of each error that is listed.
type BadBody = (&'static str, u16, &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn everything_that_is_wrong_with_a_body_is_said_with_its_place() {
    let gateway = TestGateway::start().await;
    let table: &[BadBody] = &[
        (r#"{"features":[1,2,3]}"#, 422, &[("/features", "wrong_count")]),
        (r#"{"features":[]}"#, 422, &[("/features", "wrong_count")]),
        (r#"{"features":[1,2,3,4,5]}"#, 422, &[("/features", "wrong_count")]),
        (r#"{"features":[1,"2",3,4]}"#, 422, &[("/features/1", "not_a_number")]),
        (
            r#"{"features":[1,null,true,[4]]}"#,
            422,
            &[
                ("/features/1", "not_a_number"),
                ("/features/2", "not_a_number"),
                ("/features/3", "not_a_number"),
            ],
        ),
        (r#"{"features":[1e39,2,3,4]}"#, 422, &[("/features/0", "does_not_fit")]),
        (r#"{"features":[1,2,3,-1e39]}"#, 422, &[("/features/3", "does_not_fit")]),
        (
            r#"{"features":[99,2,3,-1]}"#,
            422,
            &[("/features/0", "out_of_range"), ("/features/3", "out_of_range")],
        ),
        (
            r#"{"features":{"sepal_length":1,"sepal_width":2,"petal_length":3,"petal_wdth":1}}"#,
            422,
            &[("/features/petal_wdth", "unknown_feature"), ("/features/petal_width", "missing")],
        ),
        (
            r#"{"features":{"sepal_length":1,"sepal_length":2,"sepal_width":2,"petal_length":3,"petal_width":1}}"#,
            422,
            &[("/features/sepal_length", "duplicate")],
        ),
        (
            r#"{"instances":[[5,3,1,1],[5,3,1],[5,3,99,1]]}"#,
            422,
            &[("/instances/1", "wrong_count"), ("/instances/2/2", "out_of_range")],
        ),
        (r#"{"instances":[]}"#, 422, &[("", "no_rows")]),
        (r#"{"instances":[[1,2,3,4]],"features":[1,2,3,4]}"#, 422, &[("", "exactly_one_of")]),
        ("{}", 422, &[("", "exactly_one_of")]),
        (r#"{"feature":[1,2,3,4]}"#, 422, &[("/feature", "unknown_field")]),
        (r#"{"features":5}"#, 422, &[("/features", "wrong_form")]),
        (r#"{"instances":{"a":1}}"#, 422, &[("/instances", "wrong_form")]),
        ("[[5.1,3.5,1.4,0.2]]", 422, &[("", "wrong_form")]),
        ("null", 422, &[("", "wrong_form")]),
        (r#"{"features":[1,2,NaN,4]}"#, 400, &[("/features/2", "malformed_json")]),
        (r#"{"features":[1,2,Infinity,4]}"#, 400, &[("/features/2", "malformed_json")]),
        (r#"{"features":[1,2,1e400,4]}"#, 400, &[("/features/2", "malformed_json")]),
        (r#"{"features":[1,2"#, 400, &[("/features", "malformed_json")]),
        (r#"{"features":[5,3,1,1]} x"#, 400, &[("", "malformed_json")]),
        (r#"{"features":{"\ud800":1}}"#, 400, &[("/features", "malformed_json")]),
        ("", 400, &[("", "malformed_json")]),
        ("<html>", 400, &[("", "malformed_json")]),
    ];
    table::each_async(table, async |(body, status, errors)| {
        let answer = gateway.predict_raw(*body).await;
        assert_eq!(answer.status.as_u16(), *status, "{body}: {answer:?}");
        let code = if *status == 400 { "malformed_json" } else { "invalid_body" };
        assert_eq!(answer.problem_code(), code, "{body}");
        let expected: Vec<_> =
            errors.iter().map(|(place, code)| ((*place).to_owned(), (*code).to_owned())).collect();
        assert_eq!(answer.errors(), expected, "{body}: {answer:?}");
    })
    .await;
    let message =
        gateway.predict_raw(r#"{"features":[99,2,3,1]}"#).await.body["errors"][0]["message"].clone();
    assert_eq!(message, "expected a number from 0.1 to 15 (cm), got 99");
    let answer = gateway.predict(&setosa()).await;
    assert_eq!(answer.status, StatusCode::OK, "the gateway is none the worse for it");
}

#[tokio::test]
async fn bodies_without_end_are_refused_and_harm_nobody() {
    let gateway = TestGateway::start().await;
    let large = format!(r#"{{"features":[{}1]}}"#, "1,".repeat(5_000_000));
    let answer = gateway.predict_raw(large).await;
    assert_eq!((answer.status, answer.problem_code()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));

    // More lists within lists than are read, closed or not.
    let (open, closed) = ("[".repeat(200), "]".repeat(200));
    for deep in [open.clone(), format!(r#"{{"features":{open}"#), format!(r#"{{"features":{open}{closed}}}"#)]
    {
        let answer = gateway.predict_raw(deep).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(!answer.errors().is_empty(), "{answer:?}");
    }

    let rows = vec![vec![Value::Null; 4]; 5000];
    let answer = gateway.predict(&json!({"instances": rows})).await;
    assert_eq!(answer.errors().len(), 100, "the first are listed");
    assert!(
        answer.body["detail"].as_str().unwrap().starts_with("the body has 20000 errors"),
        "{}",
        answer.body["detail"]
    );
    let names: serde_json::Map<String, Value> =
        (0..50_000).map(|name| (format!("f{name}"), json!(1))).collect();
    let answer = gateway.predict(&json!({"features": names})).await;
    assert_eq!(answer.errors().len(), 100);
    assert!(
        answer.body["detail"].as_str().unwrap().starts_with("the body has 50004 errors"),
        "{}",
        answer.body["detail"]
    );
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_body_must_be_declared_as_json() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/x.iris+json", 200),
        ("text/plain", 415),
        ("application/xml", 415),
    ];
    table::each_async(cases, async |(content_type, status)| {
        let request =
            gateway.post("/predict").header("content-type", content_type).body(setosa().to_string());
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{content_type}");
    })
    .await;
}

#[tokio::test]
async fn models_and_versions_are_found_by_their_paths() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let cases = [
        ("/models/iris/predict", 200, ""),
        ("/models/iris/versions/1/predict", 200, ""),
        ("/predict", 200, ""),
        ("/models/iris/versions/2/predict", 404, "version_not_found"),
        ("/models/iris/versions/latest/predict", 404, "version_not_found"),
        ("/models/rose/predict", 404, "model_not_found"),
        ("/models/..%2Firis/predict", 404, "not_found"),
        ("/models/%ff/predict", 404, "not_found"),
        ("/models/iris/versions/%ff/predict", 404, "not_found"),
        ("/models/iris/predict/", 404, "not_found"),
        ("/predictions", 404, "not_found"),
    ];
    table::each_async(cases, async |(path, status, code)| {
        let answer = gateway.predict_at(path, &setosa()).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        if status != 200 {
            assert_eq!(answer.problem_code(), code, "{path}");
        }
    })
    .await;
    let answer = Answer::of(gateway.get("/predict").send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "POST");
}

/// The sentence of a refused request, with a token for these scopes.
async fn said_to(gateway: &TestGateway, scopes: &str, path: &str) -> String {
    let token = TokenBuilder::new().scope(scopes).build();
    let request = gateway.client.post(gateway.url(path)).bearer_auth(token).json(&setosa());
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status.as_u16(), 404, "{answer:?}");
    answer.body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_mistyped_model_is_told_of_with_the_nearest_one() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let meant = "there is no model `irsi`: did you mean `iris`?";
    assert_eq!(said_to(&gateway, "predict", "/models/irsi/predict").await, meant);
    let answer = Answer::of(gateway.get("/models/irsi").send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["detail"]), (404, &json!(meant)));
    let unknown = said_to(&gateway, "predict", "/models/churn/predict").await;
    assert_eq!(unknown, "there is no model `churn`");
    // A caller with one model must not learn which others there are.
    let narrow = said_to(&gateway, "predict:irsi", "/models/irsi/predict").await;
    assert_eq!(narrow, "there is no model `irsi`");
}

#[tokio::test]
async fn without_a_default_the_models_that_the_caller_may_use_are_named() {
    let builder = TestGateway::builder_without_models().model("line.onnx", "regressor");
    let gateway = builder.model("wine.onnx", "regressor").start().await;
    let all = said_to(&gateway, "predict", "/predict").await;
    assert!(
        all.contains("as in /models/line/predict") && all.ends_with("in service are line, wine"),
        "{all}"
    );
    let one = said_to(&gateway, "predict:wine", "/predict").await;
    assert!(one.ends_with("in service are wine") && !one.contains("line"), "{one}");
}

#[tokio::test]
async fn a_body_of_another_form_is_told_of_with_one_that_the_model_takes() {
    let builder = TestGateway::builder().model("shop.onnx", "kinds/columns").model("line.onnx", "regressor");
    let gateway = builder.model("states.onnx", "kinds/states").start().await;
    let cases = [
        ("iris", "{}"),
        ("iris", r#"{"rows": [[5.1, 3.5, 1.4, 0.2]]}"#),
        ("iris", "[[5.1, 3.5, 1.4, 0.2]]"),
        ("shop", "{}"),
        ("line", r#"{"data": [1, 2]}"#),
    ];
    table::each_async(cases, async |(model, body)| {
        let path = format!("/models/{model}/predict");
        let wrong = gateway.post(&path).header("content-type", "application/json").body(body);
        let answer = Answer::of(wrong.send().await.unwrap()).await;
        assert_eq!(answer.status.as_u16(), 422, "{body}: {answer:?}");
        let message = answer.body["errors"][0]["message"].as_str().unwrap();
        let (_, right) = message.split_once("; this model takes ").expect(message);
        let answer = gateway.predict_at(&path, &serde_json::from_str(right).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 200, "{right}: {answer:?}");
    })
    .await;
    let answer = gateway.predict_at("/models/states/predict", &json!({})).await;
    let message = answer.body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains(r#"this model takes {"inputs": {"#), "{message}");
}

#[tokio::test]
async fn a_model_without_a_contract_is_asked_by_position() {
    let gateway = TestGateway::builder_without_models().model("line.onnx", "regressor").start().await;
    let answer = gateway.predict(&json!({"features": [10, 100]})).await;
    assert_eq!(answer.body, json!({"model": "line", "version": "1", "prediction": 320.0}));
    let answer = gateway.predict(&json!({"features": {"a": 1, "b": 2}})).await;
    assert_eq!(answer.errors(), [("/features".to_owned(), "no_feature_names".to_owned())]);
}

#[tokio::test]
async fn integers_keep_every_bit() {
    let gateway = TestGateway::builder_without_models().model("integers.onnx", "integers").start().await;
    let answer = gateway.predict(&json!({"features": [9_007_199_254_740_993_i64, i64::MIN]})).await;
    assert_eq!(answer.body["prediction"], json!([9_007_199_254_740_993_i64, i64::MIN]), "{answer:?}");
    let answer = gateway.predict_raw(r#"{"features":[1.5, 9223372036854775808]}"#).await;
    assert_eq!(
        answer.errors(),
        [("/features/0", "not_an_integer"), ("/features/1", "does_not_fit")]
            .map(|(place, code)| (place.to_owned(), code.to_owned()))
    );
}

#[tokio::test]
async fn an_answer_that_json_cannot_carry_is_an_error() {
    let gateway = TestGateway::builder_without_models().model("root.onnx", "square_root").start().await;
    assert_eq!(gateway.predict(&json!({"features": [9]})).await.body["prediction"], 3.0);
    let answer = gateway.predict(&json!({"features": [-1]})).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "non_finite_output"));
}

#[tokio::test]
async fn without_a_model_there_is_an_answer_that_says_so() {
    let gateway = TestGateway::builder_without_models().start().await;
    let answer = gateway.predict(&setosa()).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (404, "no_default_model"));
    let ready = Answer::of(gateway.client.get(gateway.url("/health/ready")).send().await.unwrap()).await;
    assert_eq!((ready.status.as_u16(), ready.problem_code()), (503, "not_ready"));
    assert_eq!(ready.header("retry-after"), "1");
}

#[tokio::test]
async fn another_model_does_not_answer_in_place_of_the_default_one() {
    let builder = TestGateway::builder_without_models().model("iris/1/model.onnx", "nan_weights");
    let gateway = builder.model("line.onnx", "regressor").start().await;
    let answer = gateway.predict(&json!({"features": [1, 1]})).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (503, "model_unavailable"));
}

#[tokio::test]
async fn the_default_model_can_be_chosen() {
    let builder = TestGateway::builder().model("line.onnx", "regressor");
    let gateway = builder.settings(|s| s.models.default = Some("line".parse().unwrap())).start().await;
    assert_eq!(gateway.predict(&json!({"features": [1, 1]})).await.body["model"], "line");
}

/// A body that keeps the slow model busy for half a minute, if nothing ends the run.
fn long() -> Value {
    json!({"features": {"turns": 2e7}})
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended_and_its_instance_serves_on() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder
        .settings(|settings| {
            settings.server.request_timeout_ms = 200;
            settings.runtime.instances = 1;
        })
        .start()
        .await;
    for _ in 0..3 {
        let answer = gateway.predict(&long()).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (504, "timeout"));
    }
    let waiting =
        async { while gateway.predict(&json!({"features": [3]})).await.status != StatusCode::OK {} };
    // Less than one of these runs takes.
    tokio::time::timeout(crate::support::PATIENCE / 3, waiting)
        .await
        .expect("the one instance is free again");
}

#[tokio::test]
async fn more_than_may_wait_are_refused_at_once() {
    let builder = TestGateway::builder_without_models().model("slow.onnx", "slow");
    let gateway = builder
        .settings(|settings| {
            settings.server.request_timeout_ms = 2000;
            settings.runtime.instances = 1;
            settings.runtime.queue_capacity = 1;
        })
        .start()
        .await;
    // Three at a time for one instance and one place: which of them is refused does not matter.
    let body = long();
    let (first, second, third) =
        tokio::join!(gateway.predict(&body), gateway.predict(&body), gateway.predict(&body));
    let mut answers = [first, second, third];
    answers.sort_by_key(|answer| answer.status.as_u16());
    assert_eq!(answers[0].problem_code(), "overloaded");
    assert_eq!(answers[0].header("retry-after"), "1");
    assert_eq!(answers.map(|answer| answer.status.as_u16()), [503, 504, 504]);
}
