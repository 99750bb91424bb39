//! The words of errors: the place, once, and what to do.

use serde_json::json;

use super::{JSON, V2, gateway, gateway_of, send, sentence};
use crate::support::{TestGateway, table};

#[tokio::test]
async fn a_frame_without_rows_says_so_whatever_its_form_and_model() {
    let columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    let iris = TestGateway::start().await;
    for gateway in [&iris, &gateway_of("columns").await, &gateway_of("text_rows").await] {
        for body in [
            json!({"dataframe_records": []}),
            json!({"dataframe_split": {"columns": columns, "data": []}}),
            json!({"dataframe_split": {"columns": [], "data": []}}),
            json!({"dataframe_split": {"data": []}}),
            json!({"instances": []}),
        ] {
            let answer = send(gateway, "/invocations", JSON, &[], body.to_string()).await;
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert!(sentence(&answer).contains("expected at least one row"), "{body}: {answer:?}");
        }
    }
    let answer = send(&iris, "/invocations", "text/csv", &[], columns.join(",")).await;
    assert!(sentence(&answer).contains("expected at least one row"), "{answer:?}");
    let answer = send(&iris, "/invocations", JSON, &[], r#"{"dataframe_records":[{}]}"#).await;
    assert!(sentence(&answer).contains("`sepal_length` is required"), "{answer:?}");
}

#[tokio::test]
async fn a_number_that_does_not_fit_or_is_not_json_is_named_once() {
    let gateway = gateway().await;
    let rows = |number: &str| format!(r#"{{"instances":[[5.1,{number},1.4,0.2]]}}"#);
    let v2 = |number: &str| V2.replace("3.5", number);
    let cases = [
        ("/v2/models/iris/infer", v2("1e400"), "/inputs/0/data/1"),
        ("/v2/models/iris/infer", v2("1e39"), "/inputs/0/data/1"),
        ("/v2/models/iris/infer", v2("\"nan\""), "/inputs/0/data/1"),
        ("/v1/models/iris:predict", rows("1e400"), "/instances/0/1"),
        ("/v1/models/iris:predict", rows("-1e400"), "/instances/0/1"),
        ("/v1/models/iris:predict", r#"{"inputs":[[5.1,1e400,1.4,0.2]]}"#.to_owned(), "/inputs/0/1"),
        (
            "/v1/models/iris:predict",
            r#"{"instances":[{"sepal_length":5.1,"sepal_width":1e400}]}"#.to_owned(),
            "/instances/0/sepal_width",
        ),
        ("/invocations", rows("1e400"), "/instances/0/1"),
        (
            "/invocations",
            r#"{"dataframe_split":{"data":[[5.1,1e400,1.4,0.2]]}}"#.to_owned(),
            "/dataframe_split/data/0/1",
        ),
        (super::VERTEX, rows("1e400"), "/instances/0/1"),
        ("/predict", r#"{"features":[5.1,1e400,1.4,0.2]}"#.to_owned(), "/features/1"),
        ("/predict", r#"{"inputs":{"features":[[5.1,1e400,1.4,0.2]]}}"#.to_owned(), "/inputs/features/0/1"),
    ];
    table::each_async(cases, async |(path, body, place)| {
        let answer = send(&gateway, path, JSON, &[], body.as_str()).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{path}, {body}: {answer:?}");
        assert!(sentence(&answer).contains(place), "{path}, {body}: {}", sentence(&answer));
    })
    .await;
    let cases = [
        ("/v2/models/iris/infer", v2("NaN")),
        ("/v1/models/iris:predict", rows("NaN")),
        ("/invocations", rows("NaN")),
        (super::VERTEX, rows("NaN")),
    ];
    table::each_async(cases, async |(path, body)| {
        let answer = send(&gateway, path, JSON, &[], body.as_str()).await;
        let said = answer.body["error"].as_str().unwrap();
        assert_eq!(
            (answer.status.as_u16(), said.matches("JSON has no NaN").count()),
            (400, 1),
            "{path}: {said}"
        );
        assert_eq!(said.matches("at line 1").count(), 1, "{path}: {said}");
    })
    .await;
}

#[tokio::test]
async fn a_token_request_of_another_type_is_told_which_types_are_taken() {
    let gateway = TestGateway::start().await;
    let cases = ["text/plain", "multipart/form-data; boundary=x", "application/xml"];
    table::each_async(cases, async |kind| {
        let answer = send(&gateway, "/token", kind, &[], "grant_type=client_credentials").await;
        assert_eq!(answer.status, 415, "{answer:?}");
        let said = sentence(&answer);
        assert!(
            said.contains("application/x-www-form-urlencoded") && said.contains("application/json"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_length_of_the_json_is_named_beside_that_of_the_body() {
    let gateway = gateway().await;
    let whole = V2.len();
    table::each_async([whole - 20, whole - 1, whole + 7], async |said| {
        let length = said.to_string();
        let headers = [("inference-header-content-length", length.as_str())];
        let answer = send(&gateway, "/v2/models/iris/infer", JSON, &headers, V2).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let sentence = sentence(&answer);
        for part in ["Inference-Header-Content-Length", &format!("{said} bytes"), &format!("has {whole}")] {
            assert!(sentence.contains(part), "{sentence}");
        }
    })
    .await;
    // The JSON is whole, and something follows it that no input has.
    let length = whole.to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    let answer = send(&gateway, "/v2/models/iris/infer", JSON, &headers, format!("{V2}    ")).await;
    let sentence = sentence(&answer);
    assert!(
        sentence.contains("4 bytes are left over") && sentence.contains("Inference-Header-Content-Length"),
        "{sentence}"
    );
}
