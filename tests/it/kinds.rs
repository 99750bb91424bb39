//! Models of every kind over HTTP: what they are asked with and what they answer.

use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, table};

/// A gateway with one model of `tests/models/kinds`.
async fn gateway(kind: &str) -> TestGateway {
    let file = format!("{}.onnx", kind.replace('_', "-"));
    TestGateway::builder_without_models().model(&file, &format!("kinds/{kind}")).start().await
}

/// What a model answers to a body, without its name and version.
async fn ask(gateway: &TestGateway, body: &Value) -> Value {
    let mut answer = gateway.predict(body).await;
    assert_eq!(answer.status.as_u16(), 200, "{body}: {answer:?}");
    let fields = answer.body.as_object_mut().unwrap();
    assert!(fields.remove("model").is_some() && fields.remove("version").is_some());
    answer.body
}

fn errors(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

/// What is wrong with a body.
async fn faults(gateway: &TestGateway, body: &str) -> Vec<(String, String)> {
    let answer = gateway.predict_raw(body.to_owned()).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "invalid_body"), "{body}: {answer:?}");
    answer.errors()
}

/// Why a model is not in service.
async fn refusal(kind: &str) -> (String, String) {
    let gateway = gateway(kind).await;
    let refusal = gateway.version(&kind.replace('_', "-")).await["refusal"].clone();
    let text =
        |field: &str| refusal[field].as_str().unwrap_or_else(|| panic!("it serves: {kind}")).to_owned();
    (text("reason"), text("detail"))
}

#[tokio::test]
async fn classifiers_of_every_export_answer_label_and_probabilities() {
    let cases = [
        ("zip_map", json!("low"), "low"),
        ("zip_map_text", json!("low"), "low"),
        ("no_zip_map", json!(0), "0"),
        ("wrong_shape", json!(0), "0"),
    ];
    table::each_async(cases, async |(kind, low, high)| {
        let gateway = gateway(kind).await;
        let one = ask(&gateway, &json!({"features": [0, 0]})).await;
        assert_eq!(one["prediction"], low, "{kind}: {one}");
        assert!(one["probabilities"][high].as_f64().unwrap() > 0.9, "{kind}: {one}");
        assert_eq!(one["probabilities"].as_object().unwrap().len(), 2, "{kind}: {one}");
        let many = ask(&gateway, &json!({"instances": [[9, 9], [0, 0], [8, 9]]})).await;
        let predictions = many["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), 3);
        assert_eq!(predictions[1], one, "{kind}");
        assert_ne!(predictions[0]["prediction"], low, "{kind}");
    })
    .await;
}

#[tokio::test]
async fn several_targets_are_answered_for_each_row() {
    let gateway = gateway("several_targets").await;
    let answer = ask(&gateway, &json!({"instances": [[0, 0], [9, 9]]})).await;
    let row = &answer["predictions"][1];
    assert_eq!(row["prediction"], json!([1, 0]), "{answer}");
    let parts = row["outputs"]["probabilities"].as_array().unwrap();
    let probable = |part: usize, class: usize| parts[part][class].as_f64().unwrap() > 0.9;
    assert!(parts.len() == 2 && probable(0, 1) && probable(1, 0), "{answer}");
}

#[tokio::test]
async fn columns_of_different_types_make_rows() {
    let gateway = gateway("columns").await;
    let by_name = ask(&gateway, &json!({"features": {"city": "Oslo", "age": 9, "visits": 8}})).await;
    assert_eq!(by_name["prediction"], "high", "{by_name}");
    let by_position = ask(&gateway, &json!({"features": [9, "Oslo", 8]})).await;
    assert_eq!(by_position, by_name, "in the order of the contract");
    let missing = ask(&gateway, &json!({"instances": [{"visits": 0}, [null, null, 0]]})).await;
    assert_eq!(missing["predictions"][0], missing["predictions"][1]);
    assert_eq!(missing["predictions"][0]["prediction"], "low", "something stands in for them");

    let cases = [
        (
            r#"{"features":[200,5,1.5]}"#,
            vec![
                ("/features/0", "out_of_range"),
                ("/features/1", "wrong_type"),
                ("/features/2", "not_an_integer"),
            ],
        ),
        (
            r#"{"features":{"city":"Rome","age":1,"visit":1}}"#,
            vec![("/features/visit", "unknown_feature"), ("/features/visits", "missing")],
        ),
        (r#"{"instances":[[1,"Rome",1],[1,"Rome",null]]}"#, vec![("/instances/1/2", "not_a_number")]),
    ];
    table::each_async(cases, async |(body, expected)| {
        assert_eq!(faults(&gateway, body).await, errors(&expected), "{body}");
    })
    .await;
    let tensors = json!({"inputs": {"city": [["Oslo"]], "age": [[9]], "visits": [[8]]}});
    let answer = ask(&gateway, &tensors).await;
    assert_eq!(answer["outputs"]["label"], json!({"datatype": "BYTES", "shape": [1], "data": ["high"]}));
}

#[tokio::test]
async fn inputs_without_a_contract_are_features_too() {
    let gateway = TestGateway::builder_without_models().model("sum.onnx", "two_inputs").start().await;
    let answer = ask(&gateway, &json!({"instances": [{"b": 2, "a": 1}, [10, 20]]})).await;
    assert_eq!(answer["predictions"], json!([{"prediction": 3.0}, {"prediction": 30.0}]));
}

#[tokio::test]
async fn a_vector_takes_one_value_a_row_and_nan_for_a_missing_one() {
    let gateway = gateway("vector").await;
    let answer = ask(&gateway, &json!({"instances": [[1.5], [null], {}, {"height": 2}]})).await;
    let predictions: Vec<&Value> =
        answer["predictions"].as_array().unwrap().iter().map(|row| &row["prediction"]).collect();
    assert_eq!(predictions, [&json!(1.5), &json!("NaN"), &json!("NaN"), &json!(2.0)]);
    let infinite = ask(&gateway, &json!({"inputs": {"x": ["Infinity", "-Infinity"]}})).await;
    assert_eq!(infinite["outputs"]["y"]["data"], json!(["Infinity", "-Infinity"]));
}

#[tokio::test]
async fn a_model_that_takes_no_rows_says_so_and_takes_tensors() {
    let gateway = gateway("scalar").await;
    let answer = gateway.predict(&json!({"features": [1, 2]})).await;
    assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "rows_not_supported"));
    assert!(answer.body["detail"].as_str().unwrap().contains("`inputs`"), "{answer:?}");
    let answer = ask(&gateway, &json!({"inputs": {"sound": [[[1, 2], [3, 4]]], "gain": 0.5}})).await;
    let louder = json!({"datatype": "FP32", "shape": [1, 2, 2], "data": [0.5, 1.0, 1.5, 2.0]});
    let length = json!({"datatype": "INT64", "shape": [3], "data": [1, 2, 2]});
    assert_eq!(answer["outputs"], json!({"louder": louder, "length": length}));
    let empty =
        json!({"inputs": {"sound": {"shape": [1, 0, 2], "data": []}, "gain": {"shape": [], "data": [1]}}});
    let answer = ask(&gateway, &empty).await;
    assert_eq!(answer["outputs"]["louder"], json!({"datatype": "FP32", "shape": [1, 0, 2], "data": []}));
}

/// A model, what its one input is given, and what its one output answers.
type Echo = (&'static str, Value, Value);

#[tokio::test]
async fn every_element_type_comes_back_as_it_went_in() {
    let table: [Echo; 7] = [
        ("half", json!([[0.5, -2]]), json!({"datatype": "FP16", "shape": [1, 2], "data": [0.5, -2.0]})),
        ("brain_half", json!([[0.5, -2]]), json!({"datatype": "BF16", "shape": [1, 2], "data": [0.5, -2.0]})),
        ("bytes_in", json!([[[0, 255]]]), json!({"datatype": "UINT8", "shape": [1, 1, 2], "data": [0, 255]})),
        (
            "unsigned",
            json!([9_007_199_254_740_993_u64, u64::MAX, 0]),
            json!({"datatype": "UINT64", "shape": [3], "data": [9_007_199_254_740_993_u64, u64::MAX, 0]}),
        ),
        (
            "texts",
            json!([["ä"], ["NaN"]]),
            json!({"datatype": "BYTES", "shape": [2, 1], "data": ["ä", "NaN"]}),
        ),
        (
            "truths",
            json!([[[true], [false]]]),
            json!({"datatype": "BOOL", "shape": [1, 2, 1], "data": [false, true]}),
        ),
        (
            "sequence_output",
            json!([[1, 2], [3, 4]]),
            json!({"sequence": [
                {"datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]},
                {"datatype": "FP32", "shape": [1, 2], "data": [3.0, 4.0]},
            ]}),
        ),
    ];
    table::each_async(table, async |(kind, input, expected)| {
        let answer = ask(&gateway(kind).await, &json!({"inputs": {"x": input}})).await;
        let outputs = answer["outputs"].as_object().unwrap();
        assert_eq!(outputs.values().collect::<Vec<_>>(), [&expected], "{kind}");
    })
    .await;
}

#[tokio::test]
async fn a_map_is_answered_by_key() {
    let answer = ask(&gateway("zip_map").await, &json!({"inputs": {"X": [[0, 0]]}})).await;
    let map = &answer["outputs"]["output_probability"]["sequence"][0]["map"];
    assert!(map["0"].as_f64().unwrap() > 0.9, "tensors are answered as they are: {answer}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_inputs_is_said_with_its_place() {
    let bytes = gateway("bytes_in").await;
    let cases = [
        (r#"{"inputs":{"x":[[[1,300]]]}}"#, ("/inputs/x/0/0/1", "does_not_fit")),
        (r#"{"inputs":{"x":{"shape":[1,1,4],"data":[1,2,3,300]}}}"#, ("/inputs/x/data/3", "does_not_fit")),
        (r#"{"inputs":{"x":[[[1.5]]]}}"#, ("/inputs/x/0/0/0", "not_an_integer")),
        (r#"{"inputs":{"x":[[[1],[2,3]]]}}"#, ("/inputs/x/0/1", "wrong_form")),
        (r#"{"inputs":{"x":[1]}}"#, ("/inputs/x", "wrong_shape")),
        (r#"{"inputs":{"x":{"shape":[1,1,2],"data":[1]}}}"#, ("/inputs/x", "wrong_shape")),
        (
            r#"{"inputs":{"x":{"shape":[1,1,1],"data":[1],"datatype":"FP32"}}}"#,
            ("/inputs/x/datatype", "wrong_datatype"),
        ),
        (r#"{"inputs":{"x":{"shape":[0,9999999999,1],"data":[]}}}"#, ("/inputs/x", "too_large")),
        (r#"{"inputs":{"x":[[[1]]],"y/z":1}}"#, ("/inputs/y~1z", "unknown_input")),
        (r#"{"inputs":{"x":[[[1]]],"x":[[[1]]]}}"#, ("/inputs/x", "duplicate")),
        (r#"{"inputs":{"x":null}}"#, ("/inputs/x", "not_a_number")),
        (r#"{"inputs":{}}"#, ("/inputs/x", "missing")),
        (r#"{"inputs":[1]}"#, ("/inputs", "wrong_form")),
        (r#"{"inputs":{"x":[[[1]]]},"features":[1]}"#, ("", "exactly_one_of")),
    ];
    table::each_async(cases, async |(body, expected)| {
        assert_eq!(faults(&bytes, body).await, errors(&[expected]), "{body}");
    })
    .await;
    let same = gateway("same_symbol").await;
    let body = r#"{"inputs":{"a":[[1,2],[3,4]],"b":[[1,2]]}}"#;
    assert_eq!(faults(&same, body).await, errors(&[("/inputs/b", "wrong_shape")]));
    let texts = gateway("texts").await;
    assert_eq!(
        faults(&texts, r#"{"inputs":{"x":[["\u0000"],["a"]]}}"#).await,
        errors(&[("/inputs/x/0/0", "invalid_text")])
    );
    let half = gateway("half").await;
    assert_eq!(
        faults(&half, r#"{"inputs":{"x":[[1,1e5]]}}"#).await,
        errors(&[("/inputs/x/0/1", "does_not_fit")])
    );
}

#[tokio::test]
async fn a_nan_in_the_input_is_the_callers_own_error() {
    let half = gateway("half").await;
    let answer = half.predict(&json!({"inputs": {"x": [["NaN", 1]]}})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem_code()),
        (422, "non_finite_input"),
        "the caller's own"
    );
}

#[tokio::test]
async fn an_optional_input_may_be_left_out() {
    let gateway = gateway("optional_input").await;
    let cases = [
        (json!({"x": [1, 2]}), false),
        (json!({"x": [1, 2], "maybe": null}), false),
        (json!({"x": [1, 2], "maybe": [3, 4]}), true),
    ];
    table::each_async(cases, async |(inputs, given)| {
        let answer = ask(&gateway, &json!({"inputs": inputs})).await;
        assert_eq!(answer["outputs"]["given"]["data"], json!([given]), "{inputs}");
    })
    .await;
    let version = gateway.version("optional-input").await;
    assert_eq!(
        version["inputs"][1],
        json!({"name": "maybe", "kind": "tensor", "optional": true, "datatype": "FP32", "shape": ["2"]})
    );
}

#[tokio::test]
async fn names_may_hold_anything() {
    let gateway = gateway("odd_names").await;
    let answer = ask(&gateway, &json!({"inputs": {"a/b ~ö\n": [1, 2]}})).await;
    assert_eq!(answer["outputs"]["out:0"]["data"], json!([1.0, 2.0]));
    assert_eq!(
        faults(&gateway, r#"{"inputs":{"a/b ~ö\n":[1]}}"#).await,
        errors(&[("/inputs/a~1b ~0ö\n", "wrong_shape")])
    );
}

#[tokio::test]
async fn a_model_is_tried_with_inputs_of_several_sizes() {
    let gateway = gateway("large_image").await;
    assert_eq!(gateway.version("large-image").await["state"], "READY");
    let (reason, detail) = refusal("picky").await;
    assert_eq!(reason, "run_failed");
    assert!(detail.contains("add a golden case to the contract"), "{detail}");
    assert!(!detail.contains("onnxruntime_src"), "no path: {detail}");
}

#[tokio::test]
async fn a_golden_case_compares_what_is_in_sequences_and_maps() {
    let (reason, detail) = refusal("zip_map_mismatch").await;
    assert_eq!(reason, "golden_mismatch");
    let place = "golden case 0, output `output_probability`: item 0: key";
    assert!(detail.starts_with(place), "{detail}");
}

#[tokio::test]
async fn what_cannot_be_fed_or_read_is_refused_with_its_name() {
    let (reason, detail) = refusal("sequence_input").await;
    assert_eq!(reason, "unsupported");
    assert!(detail.contains("input `parts`") && detail.contains("Sequence"), "{detail}");
}

#[tokio::test]
async fn what_a_model_takes_and_gives_is_shown() {
    let gateway = gateway("zip_map").await;
    let answer = Answer::of(gateway.get("/models/zip-map").send().await.unwrap()).await;
    let version = &answer.body["versions"][0];
    assert_eq!(
        version["inputs"][0],
        json!({"name": "X", "kind": "tensor", "datatype": "FP32", "shape": ["?", "2"]})
    );
    let map = json!({"kind": "map", "key": "INT64", "value": "FP32"});
    assert_eq!(
        version["outputs"][1],
        json!({"name": "output_probability", "kind": "sequence", "items": map})
    );
    assert_eq!(version["takes_rows"], json!(true));
}

#[tokio::test]
async fn a_model_that_divides_does_not_take_the_least_integer() {
    let gateway = TestGateway::builder_without_models().model("quotient.onnx", "quotient").start().await;
    let least = i64::MIN;
    let body = format!("{{\"inputs\": {{\"a\": [[{least}]], \"b\": [[2]]}}}}");
    assert_eq!(faults(&gateway, &body).await, errors(&[("/inputs/a", "does_not_fit")]));
    let answer = ask(&gateway, &json!({"inputs": {"a": [[7]], "b": [[2]]}})).await;
    assert_eq!(answer["outputs"]["y"]["data"], json!([3]));
}
