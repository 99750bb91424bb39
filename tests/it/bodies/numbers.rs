//! Whole numbers, however they are written: taken with every digit, or refused for what they are.

use serde_json::{Value, json};

use super::{JSON, gateway_of, send, sentence};
use crate::support::{TestGateway, table};

/// The types of whole numbers with their greatest one.
const TYPES: [(&str, &str, &str); 8] = [
    ("int8", "INT8", "127"),
    ("int16", "INT16", "32767"),
    ("int32", "INT32", "2147483647"),
    ("int64", "INT64", "9223372036854775807"),
    ("uint8", "UINT8", "255"),
    ("uint16", "UINT16", "65535"),
    ("uint32", "UINT32", "4294967295"),
    ("uint64", "UINT64", "18446744073709551615"),
];

async fn integers() -> TestGateway {
    TestGateway::builder_without_models().model("integers.onnx", "integers").start().await
}

/// Every way of sending two numbers to a model of two columns of INT64: path, content type, body, and where the answer is.
fn ways(first: &str, second: &str) -> Vec<(&'static str, &'static str, String, &'static str)> {
    let v2 = |shape: &str, data: String| {
        format!(r#"{{"inputs":[{{"name":"x","datatype":"INT64","shape":{shape},"data":{data}}}]}}"#)
    };
    let (v1, infer, invocations) =
        ("/v1/models/integers:predict", "/v2/models/integers/infer", "/invocations");
    vec![
        ("/predict", JSON, format!(r#"{{"features":[{first},{second}]}}"#), "/prediction"),
        ("/predict", JSON, format!(r#"{{"instances":[[{first},{second}]]}}"#), "/predictions/0/prediction"),
        ("/predict", JSON, format!(r#"{{"inputs":{{"x":[[{first},{second}]]}}}}"#), "/outputs/y/data"),
        (
            "/predict",
            JSON,
            format!(r#"{{"inputs":{{"x":{{"shape":[1.0,2e0],"data":[{first},{second}]}}}}}}"#),
            "/outputs/y/data",
        ),
        (infer, JSON, v2("[1,2]", format!("[{first},{second}]")), "/outputs/0/data"),
        (infer, JSON, v2("[1.0,2.0]", format!("[[{first},{second}]]")), "/outputs/0/data"),
        (v1, JSON, format!(r#"{{"instances":[[{first},{second}]]}}"#), "/predictions/0"),
        (v1, JSON, format!(r#"{{"instances":[{{"x":[{first},{second}]}}]}}"#), "/predictions/0"),
        (v1, JSON, format!(r#"{{"inputs":[[{first},{second}]]}}"#), "/outputs/0"),
        (
            invocations,
            JSON,
            format!(r#"{{"dataframe_split":{{"data":[[{first},{second}]]}}}}"#),
            "/predictions/0",
        ),
        (invocations, JSON, format!(r#"{{"inputs":{{"x":[[{first},{second}]]}}}}"#), "/predictions/0"),
        (invocations, "text/csv", format!("a,b\n{first},{second}\n"), "/predictions/0"),
        (invocations, "text/csv; header=absent", format!("{first},{second}\n"), "/predictions/0"),
    ]
}

#[tokio::test]
async fn whole_numbers_written_as_decimals_keep_every_digit_on_every_route() {
    let gateway = integers().await;
    let cases = [
        ("5.0", 5),
        ("5e0", 5),
        ("1E+2", 100),
        ("-50.00e-1", -5),
        ("-0.0", 0),
        ("-0", 0),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("9.007199254740993e15", 9_007_199_254_740_993),
        ("-9223372036854775808.0", i64::MIN),
    ];
    table::each_async(cases, async |(written, value)| {
        table::each_async(ways("1", written), async |(path, kind, body, place)| {
            let answer = send(&gateway, path, kind, &[], body.as_str()).await;
            assert_eq!(answer.body.pointer(place), Some(&json!([1, value])), "{path}, {body}: {answer:?}");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_fraction_is_quoted_and_a_number_beyond_the_type_is_said_not_to_fit() {
    let gateway = integers().await;
    let cases = [
        ("5.5", "expected a whole number, got 5.5"),
        ("-1e-1", "expected a whole number, got -0.1"),
        ("5.0000000000000000001", "expected a whole number; this number has a fraction"),
        ("9223372036854775808", "does not fit INT64"),
        ("9223372036854775808.0", "9223372036854775808 does not fit INT64"),
        ("1e30", "does not fit INT64"),
        ("1e300", "does not fit INT64"),
    ];
    table::each_async(cases, async |(written, said)| {
        table::each_async(ways("1", written), async |(path, kind, body, _)| {
            let answer = send(&gateway, path, kind, &[], body.as_str()).await;
            assert!([400, 422].contains(&answer.status.as_u16()), "{path}, {body}: {answer:?}");
            let sentence = sentence(&answer);
            assert!(sentence.contains(said), "{path}, {body}: {sentence}");
            assert!(sentence.contains("/1"), "the place is named: {path}, {body}: {sentence}");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_integer_type_takes_its_greatest_number_and_refuses_the_next() {
    let gateway = gateway_of("every_type").await;
    let base: Value = json!({"bool": true, "int8": 1, "int16": 1, "int32": 1, "int64": 1, "uint8": 1, "uint16": 1,
        "uint32": 1, "uint64": 1, "fp32": 1, "fp64": 1, "bytes": "a"});
    // The text of the body is put together by hand: a JSON value would lose digits.
    let row = |name: &str, written: &str| {
        let mut row = base.clone();
        row[name] = "HERE".into();
        row.to_string().replace(r#""HERE""#, written)
    };
    let frame = |name: &str, written: &str| {
        let fields = base.as_object().unwrap();
        let header: Vec<&str> = fields.keys().map(String::as_str).collect();
        let cell = |(column, value): (&String, &Value)| match value {
            _ if column == name => written.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{}\n{}\n", header.join(","), fields.iter().map(cell).collect::<Vec<_>>().join(","))
    };
    table::each_async(TYPES, async |(name, element_type, greatest)| {
        let beyond = (greatest.parse::<u128>().unwrap() + 1).to_string();
        let v1 = "/v1/models/every_type:predict";
        for written in [greatest.to_owned(), format!("{greatest}.0"), format!("{greatest}00e-2")] {
            for (path, kind, body) in [
                ("/predict", JSON, format!(r#"{{"instances":[{}]}}"#, row(name, &written))),
                (v1, JSON, format!(r#"{{"instances":[{}]}}"#, row(name, &written))),
                ("/invocations", JSON, format!(r#"{{"dataframe_records":[{}]}}"#, row(name, &written))),
                ("/invocations", "text/csv", frame(name, &written)),
            ] {
                let answer = send(&gateway, path, kind, &[], body.as_str()).await;
                assert!(answer.status == 200 && answer.text.contains(greatest), "{path}, {body}: {answer:?}");
            }
        }
        for written in [beyond.clone(), format!("{beyond}.0")] {
            for (path, kind, body) in [
                ("/predict", JSON, format!(r#"{{"instances":[{}]}}"#, row(name, &written))),
                (v1, JSON, format!(r#"{{"instances":[{}]}}"#, row(name, &written))),
                ("/invocations", "text/csv", frame(name, &written)),
            ] {
                let answer = send(&gateway, path, kind, &[], body.as_str()).await;
                assert!([400, 422].contains(&answer.status.as_u16()), "{path}, {body}: {answer:?}");
                let sentence = sentence(&answer);
                assert!(
                    sentence.contains(&format!("does not fit {element_type}")),
                    "{path}, {body}: {sentence}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn counts_among_the_parameters_may_be_written_with_a_point_too() {
    let gateway = super::gateway().await;
    let body = json!({"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}],
        "parameters": {"priority": 1.0, "timeout": 1e9},
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2.0}}]});
    let answer = send(&gateway, "/v2/models/iris/infer", JSON, &[], body.to_string()).await;
    assert_eq!(answer.body["outputs"][0]["data"].as_array().map(Vec::len), Some(2), "{answer:?}");
    let negative = super::V2.replace("[1,4]", "[-1,4]");
    let answer = send(&gateway, "/v2/models/iris/infer", JSON, &[], negative).await;
    assert!(sentence(&answer).contains("/inputs/0/shape/0"), "{answer:?}");
    let broken = super::V2.replace("[1,4]", "[1.5,4]");
    let answer = send(&gateway, "/v2/models/iris/infer", JSON, &[], broken).await;
    let said = sentence(&answer);
    assert!(said.contains("/inputs/0/shape/0") && said.contains("whole number"), "{answer:?}");
}
