//! MLflow's scoring server.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ROWS, ask, gateway, native, send};
use crate::support::{Answer, TestGateway, table};

const INVOCATIONS: &str = "/invocations";
const COLUMNS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// The sentence of an error, which must have the form that MLflow's clients expect.
fn error(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.body["error_code"], code, "{answer:?}");
    assert_eq!(answer.body["message"], answer.body["error"], "{answer:?}");
    assert_eq!(answer.body.as_object().unwrap().len(), 3, "{answer:?}");
    answer.body["message"].as_str().unwrap().to_owned()
}

fn csv(header: &[&str], rows: &[[f64; 4]]) -> String {
    let line = |row: &[f64; 4]| row.map(|number| number.to_string()).join(",");
    let lines: Vec<String> = std::iter::once(header.join(",")).chain(rows.iter().map(line)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn frames_and_tensors_give_the_native_numbers() {
    let gateway = TestGateway::start().await;
    let (labels, probabilities) = native(&gateway).await;
    let rows: Vec<Value> = labels
        .iter()
        .zip(&probabilities)
        .map(|(label, probabilities)| json!({"label": label, "probabilities": probabilities}))
        .collect();
    let by_row = json!({"predictions": rows});
    let reversed = ROWS.map(|[a, b, c, d]| [d, c, b, a]);
    let names: Vec<&str> = COLUMNS.into_iter().rev().collect();
    let records = ROWS.map(|row| COLUMNS.into_iter().zip(row).collect::<std::collections::BTreeMap<_, _>>());
    let cases = [
        json!({"dataframe_split": {"columns": COLUMNS, "index": [0, 1, 2], "data": ROWS}}),
        json!({"dataframe_split": {"columns": names, "data": reversed}, "params": {}}),
        json!({"dataframe_split": {"data": ROWS}}),
        json!({"dataframe_records": records}),
        json!({"instances": ROWS}),
        json!({"instances": records, "params": null}),
    ];
    table::each_async(cases, async |body| {
        assert_eq!(ask(&gateway, INVOCATIONS, &body).await, by_row, "{body}");
    })
    .await;
    for table in
        [csv(&COLUMNS, &ROWS), format!("\u{feff}{}\r\n", csv(&names, &reversed).replace('\n', "\r\n"))]
    {
        let answer =
            send(&gateway, Method::POST, INVOCATIONS, "text/csv; charset=utf-8", table.clone()).await;
        assert_eq!(answer.body, by_row, "{table}: {answer:?}");
    }
    let columns = json!({"predictions": {"label": labels, "probabilities": probabilities}});
    for body in [json!({"inputs": ROWS}), json!({"inputs": {"features": ROWS}})] {
        assert_eq!(ask(&gateway, INVOCATIONS, &body).await, columns, "{body}");
    }
}

#[tokio::test]
async fn columns_are_typed_by_the_model() {
    let columns = gateway("columns").await;
    let table = "visits,city,age\n8,Oslo,9\n0,,\n0,\"Rome\",nan\n";
    let answer = send(&columns, Method::POST, INVOCATIONS, "text/csv", table).await;
    let labels: Vec<&Value> =
        answer.body["predictions"].as_array().unwrap().iter().map(|row| &row["label"]).collect();
    assert_eq!(labels, [&json!("high"), &json!("low"), &json!("low")], "{answer:?}");
    let split = json!({"columns": ["city", "age", "visits"], "data": [["Oslo", 9, 8], [null, null, 0]]});
    let records = json!([{"city": "Oslo", "age": 9, "visits": 8}, {"visits": 0}]);
    let framed = ask(&columns, INVOCATIONS, &json!({"dataframe_split": split})).await;
    assert_eq!(framed, ask(&columns, INVOCATIONS, &json!({"dataframe_records": records})).await);
    assert_eq!(framed["predictions"][0]["label"], "high");

    // Without names the order counts, and pandas counts the columns.
    let nameless = gateway("no_zip_map").await;
    let by_position = ask(&nameless, INVOCATIONS, &json!({"instances": [[9, 8], [0, 0]]})).await;
    for split in [
        json!({"columns": [0, 1], "data": [[9, 8], [0, 0]]}),
        json!({"columns": ["a", "b"], "data": [[9, 8], [0, 0]]}),
    ] {
        let framed = ask(&nameless, INVOCATIONS, &json!({"dataframe_split": split})).await;
        assert_eq!(framed, by_position, "{split}");
    }
    for table in ["0,1\n9,8\n0,0", "a,b\n9,8\n0,0"] {
        let answer = send(&nameless, Method::POST, INVOCATIONS, "text/csv", table).await;
        assert_eq!(answer.body, by_position, "{table}: {answer:?}");
    }

    let vector = gateway("vector").await;
    let answer = send(&vector, Method::POST, INVOCATIONS, "text/csv", "height\n1.5\nNaN\n").await;
    assert_eq!(answer.body, json!({"predictions": [1.5, "NaN"]}), "{answer:?}");
    let zip_map = gateway("zip_map").await;
    let answer = ask(&zip_map, INVOCATIONS, &json!({"inputs": [[0, 0]]})).await;
    assert!(answer["predictions"]["output_probability"][0]["0"].as_f64().unwrap() > 0.9, "{answer}");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let gateway = TestGateway::start().await;
    let header = COLUMNS.join(",");
    let json = "application/json";
    let cases = [
        (json, "7".to_owned(), &["expected an object"][..]),
        (json, "{}".to_owned(), &["`dataframe_split`", "`inputs`"]),
        (json, r#"{"columns":["a"],"data":[[1]]}"#.to_owned(), &["unknown field `columns`"]),
        (json, r#"{"instances":[[1,1,1,1]],"inputs":[[1,1,1,1]]}"#.to_owned(), &["one of"]),
        (json, r#"{"instances":[[1,1,1,1]],"params":{"top":1}}"#.to_owned(), &["/params"]),
        (json, r#"{"dataframe_split":[]}"#.to_owned(), &["/dataframe_split"]),
        (json, r#"{"dataframe_split":{"columns":[]}}"#.to_owned(), &["missing field `data`"]),
        (
            json,
            r#"{"dataframe_split":{"columns":["a","a"],"data":[]}}"#.to_owned(),
            &["/dataframe_split/columns/1"],
        ),
        (json, r#"{"dataframe_split":{"columns":["a"],"data":[]}}"#.to_owned(), &["/dataframe_split/data"]),
        (
            json,
            r#"{"dataframe_split":{"columns":["a"],"data":[[1,2]]}}"#.to_owned(),
            &["/dataframe_split/data/0", "got 2"],
        ),
        (
            json,
            r#"{"dataframe_split":{"columns":["sepal_length"],"data":[[1],["x"]]}}"#.to_owned(),
            &["/dataframe_split/data/1/sepal_length", "/dataframe_split/data/0/sepal_width"],
        ),
        (
            json,
            r#"{"dataframe_split":{"data":[[1,1,1,1],[1,1,1,99]]}}"#.to_owned(),
            &["/dataframe_split/data/1/3"],
        ),
        (json, r#"{"dataframe_split":{"data":[{"a":1}]}}"#.to_owned(), &["/dataframe_split/data/0"]),
        (json, r#"{"dataframe_records":[]}"#.to_owned(), &["/dataframe_records"]),
        (json, r#"{"dataframe_records":[[1,1,1,1]]}"#.to_owned(), &["/dataframe_records/0"]),
        (json, r#"{"dataframe_records":[{"sepal":1}]}"#.to_owned(), &["/dataframe_records/0/sepal"]),
        (json, r#"{"instances":[[1,1,1,"x"]]}"#.to_owned(), &["/instances/0/3"]),
        (json, r#"{"inputs":{"x":[[1,1,1,1]]}}"#.to_owned(), &["/inputs/x"]),
        ("text/csv", String::new(), &["/header", "the first line"]),
        ("text/csv", "5.1,3.5,1.4,0.2\n1,1,1,1\n".to_owned(), &["/header", "send a header"]),
        ("text/csv", "a,a\n1,1\n".to_owned(), &["/header/1"]),
        ("text/csv", format!("{header}\n"), &["/rows", "at least one row"]),
        ("text/csv", format!("{header}\n1,1,1,1\n1,1,1\n"), &["/rows/1", "expected 4 values"]),
        ("text/csv", format!("{header}\n1,1,1,1\n1,1,1,x\n"), &["/rows/1/petal_width"]),
        ("text/csv", format!("{header}\n1,1,1,99\n"), &["/rows/0/petal_width", "got 99"]),
        ("text/csv", format!("{header}\n1,1,1,\n"), &["/rows/0/petal_width"]),
        ("text/csv", "sepal,width\n1,1\n".to_owned(), &["/rows/0/sepal", "/rows/0/petal_width"]),
    ];
    table::each_async(cases, async |(content_type, body, parts)| {
        let answer = send(&gateway, Method::POST, INVOCATIONS, content_type, body.clone()).await;
        let message = error(&answer, 400, "BAD_REQUEST");
        for part in parts {
            assert!(message.contains(part), "{body}: no `{part}` in `{message}`");
        }
    })
    .await;
    let not_utf8 = [header.as_bytes(), b"\n1,1,1,\xff\n"].concat();
    let answer = send(&gateway, Method::POST, INVOCATIONS, "text/csv", not_utf8).await;
    assert!(error(&answer, 400, "BAD_REQUEST").contains("UTF-8"), "{answer:?}");
    let scalar = super::gateway("scalar").await;
    let answer = send(&scalar, Method::POST, INVOCATIONS, "text/csv", "sound,gain\n1,1\n").await;
    error(&answer, 400, "BAD_REQUEST");
}

/// A request that a layer refuses, and the status of its answer.
#[derive(Clone, Debug)]
struct Refused<'b> {
    method: Method,
    path: &'static str,
    content_type: &'static str,
    body: &'b str,
    status: u16,
}

#[tokio::test]
async fn every_layer_answers_in_these_words() {
    let gateway = TestGateway::builder()
        .settings(|settings| settings.server.max_tensor_body_bytes = 1000)
        .start()
        .await;
    let large = json!({"instances": vec![[1.5; 4]; 100]}).to_string();
    let usual = Refused {
        method: Method::POST,
        path: INVOCATIONS,
        content_type: "application/json",
        body: "",
        status: 405,
    };
    let cases = [
        Refused { content_type: "text/plain", status: 415, ..usual.clone() },
        Refused { content_type: "application/x-npy", status: 415, ..usual.clone() },
        Refused { method: Method::GET, ..usual.clone() },
        Refused { path: "/ping", ..usual.clone() },
        Refused { body: &large, status: 413, ..usual },
    ];
    table::each_async(cases, async |refused| {
        let Refused { method, path, content_type, body, status } = refused;
        let answer = send(&gateway, method, path, content_type, body.to_owned()).await;
        error(&answer, status, "BAD_REQUEST");
    })
    .await;
    let nobody = gateway.client.post(gateway.url(INVOCATIONS)).json(&json!({"instances": ROWS}));
    error(&Answer::of(nobody.send().await.unwrap()).await, 401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn probes_are_open_and_the_version_is_told() {
    let gateway = TestGateway::start().await;
    let ping = Answer::of(gateway.client.get(gateway.url("/ping")).send().await.unwrap()).await;
    assert_eq!((ping.status.as_u16(), ping.text.as_str()), (200, ""), "{ping:?}");
    let version = Answer::of(gateway.client.get(gateway.url("/version")).send().await.unwrap()).await;
    assert_eq!(version.text, env!("CARGO_PKG_VERSION"));
    let empty = TestGateway::builder_without_models().start().await;
    let ping = Answer::of(empty.client.get(empty.url("/ping")).send().await.unwrap()).await;
    error(&ping, 503, "TEMPORARILY_UNAVAILABLE");
    let body = json!({"instances": ROWS});
    let answer = send(&empty, Method::POST, INVOCATIONS, "application/json", body.to_string()).await;
    error(&answer, 404, "RESOURCE_DOES_NOT_EXIST");
}
