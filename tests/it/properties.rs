//! Whatever a client sends, it gets an answer that is its own fault or right; never 500, never silence.

use std::sync::LazyLock;

use onnx_gateway::{
    codec::TensorsResponse,
    model::{
        Dimension, ElementType, ModelVersion, Signature, Tensor, TensorData, TensorDocuments, ValueSpec,
        documents_to_tensors,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Answer, TestGateway};

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

/// A model of one input and output `x` of this type and any shape.
fn one_tensor(element_type: ElementType) -> Signature {
    let spec = || vec![ValueSpec::tensor("x", element_type, Vec::<Dimension>::new())];
    Signature { inputs: spec(), outputs: spec() }
}

/// The tensor that a JSON document is read as.
fn read(document: &Value, element_type: ElementType) -> Option<Tensor> {
    let text = json!({"x": document}).to_string();
    let documents: TensorDocuments<'_> = serde_json::from_str(&text).unwrap();
    let inputs = documents_to_tensors(&documents, &one_tensor(element_type)).ok()?;
    inputs.into_iter().next().map(|(_, tensor)| tensor)
}

/// The document that a tensor is answered as.
fn written(tensor: &Tensor) -> Value {
    let signature = one_tensor(tensor.data().element_type());
    let outputs = [tensor.clone().into()];
    let version = ModelVersion::new(1);
    let answer = TensorsResponse { model: "m", version, signature: &signature, outputs: &outputs };
    serde_json::to_value(answer).unwrap()["outputs"]["x"].clone()
}

/// The elements as nested lists of this shape.
fn nested(shape: &[usize], elements: &[Value]) -> Value {
    match shape.split_first() {
        None => elements[0].clone(),
        Some((&size, inner)) => {
            let width = inner.iter().product::<usize>();
            (0..size).map(|index| nested(inner, &elements[index * width..(index + 1) * width])).collect()
        }
    }
}

/// A shape and as many numbers as it holds.
fn shaped<T: std::fmt::Debug>(
    smallest: usize,
    element: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = (Vec<usize>, Vec<T>)> {
    prop::collection::vec(smallest..4_usize, 0..4).prop_flat_map(move |shape| {
        let count = shape.iter().product::<usize>();
        (Just(shape), prop::collection::vec(element.clone(), count))
    })
}

/// JSON of any form, deep and ragged.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("shape".to_owned()), Just("data".to_owned()), any::<String>()];
    cell().prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
            prop::collection::btree_map(name.clone(), inner, 0..4).prop_map(|object| json!(object)),
        ]
    })
}

proptest! {
    #[test]
    fn tensors_are_read_alike_from_every_form_with_every_bit((shape, numbers) in shaped(1, any::<i64>())) {
        let tensor = Tensor::new(shape.clone(), TensorData::I64(numbers.clone().into())).unwrap();
        let elements: Vec<Value> = numbers.iter().map(|number| json!(number)).collect();
        prop_assert_eq!(read(&nested(&shape, &elements), ElementType::I64), Some(tensor.clone()));
        let flat = json!({"shape": shape, "data": numbers});
        prop_assert_eq!(read(&flat, ElementType::I64), Some(tensor));
    }

    #[test]
    fn what_is_answered_can_be_sent((shape, numbers) in shaped(0, any::<u32>())) {
        // Every bit pattern of a float, NaN and infinities among them.
        let floats: Vec<f32> = numbers.iter().map(|bits| f32::from_bits(*bits)).collect();
        let tensor = Tensor::new(shape.clone(), TensorData::F32(floats.clone().into())).unwrap();
        let again = read(&written(&tensor), ElementType::F32).unwrap();
        prop_assert_eq!(again.shape(), shape.as_slice());
        let TensorData::F32(again) = again.data() else { panic!("{again:?}") };
        let same = |(one, other): (&f32, &f32)| one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan());
        prop_assert!(floats.iter().zip(again.iter()).all(same), "{:?} {:?}", floats, again);
    }

    #[test]
    fn no_bit_of_a_64_bit_float_is_lost(numbers in prop::collection::vec(any::<f64>(), 0..50)) {
        let text = json!({"shape": [numbers.len()], "data": numbers}).to_string();
        let document: Value = serde_json::from_str(&text).unwrap();
        let again = read(&document, ElementType::F64).unwrap();
        let TensorData::F64(again) = again.data() else { panic!("{again:?}") };
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(again), bits(&numbers));
    }

    #[test]
    fn any_document_is_a_tensor_or_a_list_of_faults(document in any_json()) {
        for element_type in [ElementType::F16, ElementType::I8, ElementType::Bool, ElementType::String] {
            let text = json!({"x": document}).to_string();
            let documents: Result<TensorDocuments<'_>, _> = serde_json::from_str(&text);
            let Ok(documents) = documents else { continue };
            if let Err(violations) = documents_to_tensors(&documents, &one_tensor(element_type)) {
                prop_assert!(violations.total > 0 && !violations.listed.is_empty());
            }
        }
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
