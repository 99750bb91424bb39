//! CSV: no row is taken for a header unless it looks like one.

use serde_json::json;

use super::{gateway_of, send, sentence};
use crate::support::{TestGateway, table};

const INVOCATIONS: &str = "/invocations";

#[tokio::test]
async fn rows_without_a_header_are_all_answered_where_the_request_says_so() {
    let texts = gateway_of("text_rows").await;
    for kind in ["text/csv; header=absent", "text/csv;HEADER=\"Absent\"; charset=utf-8"] {
        let answer = send(&texts, INVOCATIONS, kind, &[], "Bern,red\nBasel,blue\n").await;
        assert_eq!(answer.body["predictions"], json!([["Bern", "red"], ["Basel", "blue"]]), "{answer:?}");
    }
    let iris = TestGateway::start().await;
    let rows = "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n";
    let answer = send(&iris, INVOCATIONS, "text/csv; header=absent", &[], rows).await;
    assert_eq!(answer.body["predictions"].as_array().map(Vec::len), Some(2), "{answer:?}");
    let answer = send(&iris, INVOCATIONS, "text/csv; header=absent", &[], "5.1,3.5,1.4\n").await;
    assert!(answer.status == 400 && sentence(&answer).contains("/rows/0"), "{answer:?}");
    // By the contract's names, in any order, as ever.
    let named = "petal_width,sepal_length,sepal_width,petal_length\n0.2,5.1,3.5,1.4\n";
    let answer = send(&iris, INVOCATIONS, "text/csv; header=present", &[], named).await;
    assert_eq!(answer.body["predictions"].as_array().map(Vec::len), Some(1), "{answer:?}");
    for kind in ["text/csv; header=maybe", "text/csv; header", "text/csv; header="] {
        let answer = send(&iris, INVOCATIONS, kind, &[], rows).await;
        assert_eq!(answer.status, 400, "{kind}: {answer:?}");
        assert!(sentence(&answer).contains("`present` or `absent`"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_first_row_with_a_number_or_a_gap_is_not_taken_for_a_header() {
    let integers = TestGateway::builder_without_models().model("integers.onnx", "integers").start().await;
    let cases = [
        ("1,2\n3,4\n", "numbers"),
        ("1,\n3,4\n", "numbers"),
        (",2\n3,4\n", "numbers"),
        ("x,2\n3,4\n", "numbers"),
        ("nan,x\n3,4\n", "numbers"),
        ("1e3,x\n3,4\n", "numbers"),
        ("1,0\n3,4\n", "numbers"),
        ("x,\n3,4\n", "empty"),
    ];
    table::each_async(cases, async |(rows, named)| {
        let answer = send(&integers, INVOCATIONS, "text/csv", &[], rows).await;
        assert_eq!(answer.status, 400, "{rows:?}: {answer:?}");
        let said = sentence(&answer);
        assert!(said.contains(named) && said.contains("header=absent"), "{rows:?}: {said}");
    })
    .await;
    // pandas' names of columns that have none, and names that the request says are some.
    let cases =
        [("text/csv", "0,1\n3,4\n"), ("text/csv", "x,z\n3,4\n"), ("text/csv;header=present", "7,\n3,4\n")];
    table::each_async(cases, async |(kind, rows)| {
        let answer = send(&integers, INVOCATIONS, kind, &[], rows).await;
        assert_eq!(answer.body["predictions"], json!([[3, 4]]), "{rows:?}: {answer:?}");
    })
    .await;
}

#[tokio::test]
async fn an_open_quote_and_a_gap_in_the_only_column_are_refused_and_take_no_row() {
    let texts = gateway_of("text_column").await;
    let cases = [
        ("text\n\"Bern\nBasel\nChur\n", "a quote is not closed"),
        ("text\nBern\n\"Basel\nChur\n", "a quote is not closed"),
        ("text\nBern\n\nChur\n", "line 3 is empty"),
        ("text\r\nBern\r\n\r\nChur\r\n", "line 3 is empty"),
    ];
    table::each_async(cases, async |(rows, named)| {
        let answer = send(&texts, INVOCATIONS, "text/csv", &[], rows).await;
        assert!(answer.status == 400 && sentence(&answer).contains(named), "{rows:?}: {answer:?}");
    })
    .await;
    let rows = "text\nBern\n\"a \"\"b\"\"\n\nc\"\n\n";
    let answer = send(&texts, INVOCATIONS, "text/csv", &[], rows).await;
    assert_eq!(answer.body["predictions"].as_array().map(Vec::len), Some(2), "{answer:?}");
}
