//! Whatever is sent, the answer is right or the sender's own fault.

use std::sync::LazyLock;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{ROWS, send};
use crate::support::{TestGateway, table};

/// One gateway for all cases: that it survives each is part of what is tested.
static GATEWAY: LazyLock<(Runtime, TestGateway)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let builder = TestGateway::builder()
        .settings(|settings| settings.dialects.vertex_predict_route = Some("/ask".to_owned()))
        .model("sum.onnx", "two_inputs")
        .model("texts.onnx", "kinds/texts");
    let gateway = runtime.block_on(builder.start());
    (runtime, gateway)
});

/// Requests that are right, each with where and as what it is sent.
fn requests() -> Vec<(&'static str, &'static str, String)> {
    let json = "application/json";
    let tensor = json!({"name": "features", "shape": [3, 4], "datatype": "FP32", "data": ROWS});
    let named = json!({"inputs": [tensor]}).to_string();
    let frame = json!({"columns": ["b", "a"], "data": [[1, 2.5], [3, 4]]});
    let example = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    vec![
        ("/v1/models/iris:predict", json, json!({"instances": ROWS}).to_string()),
        ("/v1/models/iris:predict", json, json!({"instances": [{"features": ROWS[0]}]}).to_string()),
        ("/v1/models/iris:predict", json, json!({"inputs": {"features": ROWS}}).to_string()),
        ("/v1/models/iris:classify", json, json!({"context": {}, "examples": [example]}).to_string()),
        ("/v1/models/sum:predict", json, json!({"instances": [{"a": [1], "b": [2]}]}).to_string()),
        ("/v1/models/texts:predict", json, json!({"instances": [["a"], [{"b64": "w7w="}]]}).to_string()),
        ("/models/sum/invoke", json, json!({"dataframe_split": frame}).to_string()),
        ("/invocations", json, json!({"dataframe_records": [example]}).to_string()),
        (
            "/invocations",
            "text/csv",
            "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,4\n".to_owned(),
        ),
        ("/models/sum/invoke", "text/csv", "b,a\n\"1\",2.5\n3,4\n".to_owned()),
        ("/models/iris/invoke", json, named.clone()),
        ("/models/iris/invoke", "application/vnd.sagemaker-triton.binary+json;json-header-size=60", named),
        ("/ask", json, json!({"instances": ROWS}).to_string()),
    ]
}

/// One change of a text.
fn mutated(mut body: Vec<u8>, at: usize, how: u8, piece: &[u8]) -> Vec<u8> {
    let at = at % body.len().max(1);
    match how % 4 {
        0 => body.truncate(at),
        1 => body.splice(at..at, piece.iter().copied()).for_each(drop),
        2 => body.splice(at..(at + piece.len()).min(body.len()), piece.iter().copied()).for_each(drop),
        _ => {
            let end = (at + 1 + usize::from(how) / 8).min(body.len());
            body.drain(at..end);
        }
    }
    body
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            "null",
            "1e999",
            "-1",
            "\"\"",
            ",",
            ":",
            "{\"b64\":1}",
            "[[]]",
            "NaN",
            "0.5",
            "true",
            "\n",
            "\"",
            "99999999999999999999",
            "\\ud800",
            "{\"shape\":[2],\"data\":[]}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_request_is_the_servers_fault(
        which in 0..requests().len(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), piece()), 1..4),
    ) {
        let (path, content_type, body) = requests().swap_remove(which);
        let change = |body: Vec<u8>, (at, how, piece): &(usize, u8, Vec<u8>)| mutated(body, *at, *how, piece);
        let body = changes.iter().fold(body.into_bytes(), change);
        let (runtime, gateway) = &*GATEWAY;
        let answer = runtime.block_on(send(gateway, Method::POST, path, content_type, body.clone()));
        let shown = String::from_utf8_lossy(&body);
        prop_assert!([200, 400].contains(&answer.status.as_u16()), "{path}: {shown}: {answer:?}");
        if answer.status.as_u16() == 400 {
            let message = answer.body["error"].as_str().unwrap_or_default();
            prop_assert!(!message.is_empty(), "{path}: {shown}: {answer:?}");
        } else {
            let said: &Value = &answer.body;
            prop_assert!(said.is_object(), "{path}: {shown}: {answer:?}");
        }
    }
}

#[test]
fn what_is_mutated_was_right() {
    let (runtime, gateway) = &*GATEWAY;
    table::each(requests(), |(path, content_type, body)| {
        if content_type.contains("header-size") {
            return;
        }
        let answer = runtime.block_on(send(gateway, Method::POST, path, content_type, body.clone()));
        assert_eq!(answer.status.as_u16(), 200, "{path}: {body}: {answer:?}");
    });
}

/// A body of many small parts costs much more memory as values by name than it has bytes: there is an end to that.
#[test]
fn values_by_name_have_an_end_that_tensors_have_not() {
    const MANY: usize = (1 << 20) + 1;
    let (runtime, gateway) = &*GATEWAY;
    let many = |item: &str| vec![item; MANY].join(",");
    let cases = [
        ("/v1/models/iris:predict", format!(r#"{{"instances":[{}]}}"#, many("{}")), "/instances"),
        ("/v1/models/iris:classify", format!(r#"{{"examples":[{}]}}"#, many("{}")), "/examples"),
        ("/invocations", format!(r#"{{"dataframe_records":[{}]}}"#, many("{}")), "/dataframe_records"),
        (
            "/invocations",
            format!(r#"{{"dataframe_split":{{"columns":[{}],"data":[]}}}}"#, many("1")),
            "/dataframe_split/columns",
        ),
        (
            "/invocations",
            format!(r#"{{"dataframe_split":{{"columns":[1],"data":[{}]}}}}"#, many("[]")),
            "/dataframe_split/data",
        ),
    ];
    table::each(cases, |(path, body, place)| {
        let answer = runtime.block_on(send(gateway, Method::POST, path, "application/json", body));
        assert_eq!(answer.status.as_u16(), 400, "{path}");
        let message = answer.body["error"].as_str().unwrap();
        assert!(message.contains(&format!("{place}: these are too many values")), "{path}: {message}");
    });
    let rows = many("[]").replace("[]", "[1,1,1,1]");
    let body = format!(r#"{{"inputs":[{}]}}"#, &rows[..rows.len() / 64 / 10 * 10 - 1]);
    let answer = runtime.block_on(send(gateway, Method::POST, "/v1/models/iris:predict", "text/plain", body));
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text.get(..200).unwrap_or_default());
}
