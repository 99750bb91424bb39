//! Whatever a client sends, it gets an answer that is its own fault or right; never 500, never silence.
#![allow(clippy::allow_attributes, reason = "what a test file needs of these differs from one to the next")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Answer, TestGateway};
use tokio::runtime::Runtime;

/// One gateway for all cases: that it survives each is part of what is tested.
static GATEWAY: LazyLock<(Runtime, TestGateway)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let gateway = runtime.block_on(TestGateway::start());
    (runtime, gateway)
});

fn ask(body: Vec<u8>) -> Answer {
    let (runtime, gateway) = &*GATEWAY;
    runtime.block_on(gateway.predict_raw(body))
}

/// Values as they occur in rows, good and bad.
fn cell() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (0.1_f64..10.0).prop_map(|number| json!(number)),
        2 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<String>().prop_map(|text| json!(text)),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(|truth| json!(truth)),
        1 => prop::collection::vec(any::<u8>(), 0..3).prop_map(|list| json!(list)),
    ]
}

fn feature_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["sepal_length", "sepal_width", "petal_length", "petal_width"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn row() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::collection::vec(cell(), 0..6).prop_map(|cells| json!(cells)),
        prop::collection::btree_map(feature_name(), cell(), 0..6).prop_map(|cells| json!(cells)),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    prop_oneof![
        row().prop_map(|row| json!({"features": row})),
        prop::collection::vec(row(), 0..4).prop_map(|rows| json!({"instances": rows})),
        (any::<String>(), row()).prop_map(|(name, row)| json!({name: row})),
    ]
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let status = answer.status.as_u16();
    prop_assert!([200, 400, 422].contains(&status), "{answer:?}");
    if status != 200 {
        prop_assert_eq!(answer.header("content-type"), "application/problem+json");
        prop_assert!(!answer.errors().is_empty(), "no place is named: {:?}", answer);
    }
    Ok(())
}

/// Whether a row is what the Iris forest takes, said a second time and in another way.
fn is_good(row: &Value) -> bool {
    let limits =
        [("sepal_length", 15.0), ("sepal_width", 10.0), ("petal_length", 15.0), ("petal_width", 10.0)];
    let fits =
        |value: &Value, maximum: f64| value.as_f64().is_some_and(|number| (0.1..=maximum).contains(&number));
    match row {
        Value::Array(cells) => {
            cells.len() == 4 && cells.iter().zip(limits).all(|(cell, (_, maximum))| fits(cell, maximum))
        }
        Value::Object(cells) => {
            cells.len() == 4
                && limits.iter().all(|(name, maximum)| cells.get(*name).is_some_and(|c| fits(c, *maximum)))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn requests_of_the_right_form_are_answered_exactly_if_their_rows_are_good(request in request()) {
        let answer = ask(request.to_string().into_bytes());
        check(&answer)?;
        let good = match (&request["features"], &request["instances"]) {
            (Value::Null, Value::Array(rows)) => !rows.is_empty() && rows.iter().all(is_good),
            (row, Value::Null) => is_good(row),
            _ => false,
        };
        prop_assert_eq!(answer.status.as_u16() == 200, good, "{}: {:?}", request, answer);
    }

    #[test]
    fn damaged_requests_are_never_the_gateways_fault(
        request in request(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = request.to_string().into_bytes();
        let position = position.index(body.len());
        body[position] = byte;
        check(&ask(body))?;
    }

    #[test]
    fn noise_is_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer = ask(body);
        check(&answer)?;
        prop_assert_ne!(answer.status.as_u16(), 200);
    }
}
