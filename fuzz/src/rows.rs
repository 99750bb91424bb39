//! Rows as JSON: the fast reader accepts only what the other one reads alike.

use std::sync::LazyLock;

use onnx_gateway::{
    codec::{RowBase, parse_valid},
    model::{
        Contract, Dimension, ElementType, Feature, FlatLayout, Layout, Signature, TensorData, ValueSpec,
        rows_to_tensors,
    },
    protocols::native::json::{PredictRequest, RequestInputs, read_numbers},
};

static MODEL: LazyLock<(Contract, Layout, FlatLayout)> = LazyLock::new(|| {
    let feature =
        |name: &str| Feature { minimum: Some(0.0), maximum: Some(10.0), ..Feature::new(name.to_owned()) };
    let contract = Contract::new(["a", "b"].map(feature).to_vec(), Vec::new());
    let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(2)];
    let inputs = vec![ValueSpec::tensor("x", ElementType::F32, shape)];
    let signature = Signature { inputs, outputs: Vec::new() };
    let layout = Layout::of(&signature, &contract).expect("a contract that fits").expect("a layout");
    let flat = FlatLayout::of(&layout, &contract).expect("rows of numbers");
    (contract, layout, flat)
});

/// Reads the bytes as the body of a native request, in both ways.
pub fn run(data: &[u8]) {
    let (contract, layout, flat) = &*MODEL;
    let fast = read_numbers(flat, data);
    let slow = parse_valid::<PredictRequest>(data).ok().map(PredictRequest::asked);
    let Some((tensor, read)) = fast else { return };
    let shown = String::from_utf8_lossy(data);
    let Some(RequestInputs::Rows(rows, base)) = slow else { panic!("only the fast reader accepts {shown}") };
    assert_eq!((read.rows, read.many), (rows.len(), base == RowBase::Instances), "{shown}");
    let tensors = rows_to_tensors(&rows, layout, contract).expect("rows that the fast reader accepts");
    let [(_, other)] = tensors.as_slice() else { panic!("the model has one input") };
    let bits = |data: &TensorData| match data {
        TensorData::F32(elements) => elements.iter().map(|element| element.to_bits()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((tensor.shape(), bits(tensor.data())), (other.shape(), bits(other.data())), "{shown}");
}

/// Returns bodies of every form, good and bad.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"features":[5.1,3.5]}"#,
        r#" {"instances" : [[5.1, 3.5e0], [0.1,-0.0]]} "#,
        r#"{"features":{"a":1,"b":2}}"#,
        r#"{"instances":[{"a":1,"b":null}]}"#,
        r#"{"inputs":{"x":{"shape":[1,2],"data":[1,2]}}}"#,
        r#"{"features":[1e39,1]}"#,
        r#"{"features":[9999999999999999999999,1.00000000000000000000001]}"#,
        r#"{"features":["\ud83d\ude00",true]}"#,
        r#"{"features":[[[[[[[[1]]]]]]]]}"#,
        "",
    ]
    .map(|body| body.as_bytes().to_vec())
    .to_vec()
}
