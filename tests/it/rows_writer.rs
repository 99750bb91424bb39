//! Answers to rows are the same bytes, whoever writes them.

mod by_serde;

use std::ops::Range;

use onnx_gateway::{
    model::{
        Contract, Dimension, ElementType, Feature, Labels, Layout, ModelVersion, Output, RowOutputs,
        Signature, Tensor, TensorData, Value, ValueKind, ValueSpec,
    },
    protocols::native::json::ResponseTemplate,
    serving::{ResponseParts, RowsWriter as _},
};
use proptest::prelude::*;

use self::by_serde::RowsAnswer;
use crate::support::table;

/// A model with these outputs, of which the first is the prediction.
struct Model {
    signature: Signature,
    contract: Contract,
    layout: Layout,
}

impl Model {
    fn new(outputs: Vec<ValueSpec>, classes: &[String]) -> Self {
        let rows = Dimension::Dynamic("N".to_owned());
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, vec![rows, Dimension::Fixed(1)])];
        let signature = Signature { inputs, outputs };
        let contract = Contract::new(vec![Feature::new("f")], classes.to_vec());
        let layout = Layout::of(&signature, &contract).unwrap().unwrap();
        Self { signature, contract, layout }
    }

    /// A label, probabilities, and more.
    fn classifier(classes: &[&str]) -> Self {
        let outputs =
            vec![any_kind("label"), any_kind("probabilities"), any_kind("z \"\n"), any_kind("leaf")];
        let mut model =
            Self::new(outputs, &classes.iter().map(|class| (*class).to_owned()).collect::<Vec<_>>());
        model.layout.outputs = vec![Output::Prediction, Output::Probabilities, Output::Other, Output::Other];
        model
    }

    /// The same, of a graph that lists labels.
    fn labelled(mut self, labels: Option<Labels>, score_labels: Option<Labels>) -> Self {
        self.contract.graph.labels = labels;
        self.contract.graph.score_labels = score_labels;
        self
    }

    fn by_serde(&self, outputs: &[Value], total: usize, many: bool) -> Option<String> {
        let Self { signature, contract, layout } = self;
        let outputs = &RowOutputs::new(total, outputs.to_vec(), signature, &layout.outputs).ok()?;
        let version = ModelVersion::new(7);
        let answer = RowsAnswer { model: "iris", version, signature, contract, layout, outputs, many };
        Some(serde_json::to_string(&answer).unwrap())
    }

    fn by_template(&self, outputs: &[Value], rows: Range<usize>, total: usize, many: bool) -> Option<String> {
        let Self { signature, contract, layout } = self;
        let (name, version) = ("iris", ModelVersion::new(7));
        let template = ResponseTemplate::new(ResponseParts { name, version, signature, contract, layout });
        let mut out = b"before".to_vec();
        let is_written = template.write(&mut out, outputs, rows, total, many);
        let text = String::from_utf8(out).unwrap();
        let answer = text.strip_prefix("before").unwrap();
        assert!(is_written || answer.is_empty());
        is_written.then(|| answer.to_owned())
    }

    fn assert_alike(&self, outputs: &[Value], total: usize) {
        for many in [true, false] {
            let expected = self.by_serde(outputs, total, many);
            assert_eq!(self.by_template(outputs, 0..total, total, many), expected, "{outputs:?}");
        }
    }
}

/// An output; what it is declared as does not matter to the answer.
fn any_kind(name: &str) -> ValueSpec {
    ValueSpec::tensor(name, ElementType::F32, Vec::new())
}

fn tensor(shape: &[usize], data: TensorData) -> Value {
    Tensor::new(shape.to_vec(), data).unwrap().into()
}

fn map(keys: TensorData, values: &[f32]) -> Value {
    Value::Map { keys, values: TensorData::F32(values.to_vec().into()) }
}

#[test]
fn the_answer_of_a_classifier_is_written() {
    let float = |data: &[f32]| TensorData::F32(data.to_vec().into());
    let outputs = [
        tensor(&[2], TensorData::I64(vec![1, 9].into())),
        tensor(&[2, 2], float(&[0.25, 0.75, 1.0, f32::NAN])),
        tensor(&[2, 0], float(&[])),
        tensor(&[2, 3], float(&[1e-7, 1e16, -0.0, f32::INFINITY, f32::MIN, 123_456.7])),
    ];
    let model = Model::classifier(&["se\"tosa", "vir\u{e4}"]);
    assert_eq!(
        model.by_template(&outputs, 0..2, 2, true).unwrap(),
        concat!(
            r#"{"model":"iris","version":"7","predictions":["#,
            r#"{"prediction":"virä","probabilities":{"se\"tosa":0.25,"virä":0.75},"#,
            r#""outputs":{"z \"\n":[],"leaf":[1e-7,1e+16,-0.0]}},"#,
            r#"{"prediction":9,"probabilities":{"se\"tosa":1.0,"virä":"NaN"},"#,
            r#""outputs":{"z \"\n":[],"leaf":["Infinity",-3.4028235e+38,123456.7]}}]}"#
        )
    );
    model.assert_alike(&outputs, 2);
    Model::classifier(&[]).assert_alike(&outputs, 2);
    Model::classifier(&["a", "b", "c"]).assert_alike(&outputs, 2);
    // A request that shared a run has its own rows only.
    let alone = outputs.each_ref().map(|output| row_of(output, 1));
    for many in [true, false] {
        let expected = model.by_serde(&alone, 1, many);
        assert_eq!(model.by_template(&outputs, 1..2, 2, many), expected);
    }
}

/// One row as the outputs of a run on it alone.
fn row_of(output: &Value, row: usize) -> Value {
    let Value::Tensor(whole) = output else { panic!("{output:?}") };
    let width = whole.row_width(2).unwrap();
    let data = match whole.data() {
        TensorData::F32(elements) => {
            TensorData::F32(elements[row * width..(row + 1) * width].to_vec().into())
        }
        TensorData::I64(elements) => {
            TensorData::I64(elements[row * width..(row + 1) * width].to_vec().into())
        }
        other => panic!("{other:?}"),
    };
    tensor(&[&[1], &whole.shape()[1..]].concat(), data)
}

#[test]
fn the_answer_of_a_regressor_and_of_no_output_is_written() {
    let regressor = Model::new(vec![any_kind("variable")], &[]);
    regressor.assert_alike(&[tensor(&[2, 1], TensorData::F32(vec![1.5, 2.0].into()))], 2);
    regressor.assert_alike(&[tensor(&[1, 2], TensorData::F64(vec![1.5, 2e300].into()))], 1);
    Model::new(Vec::new(), &[]).assert_alike(&[], 2);
}

#[test]
fn maps_and_sequences_are_written() {
    let numbers = || TensorData::I64(vec![0, 5].into());
    let texts = || TensorData::String(vec!["a\"".to_owned(), "1".to_owned()]);
    let maps = |keys: &dyn Fn() -> TensorData| {
        Value::Sequence(vec![map(keys(), &[0.5, 1.0]), map(keys(), &[f32::NAN, 0.0])])
    };
    let parts = || {
        Value::Sequence(vec![
            tensor(&[2], TensorData::I8(vec![0, 1].into())),
            tensor(&[2, 2], TensorData::Bool(vec![true; 4])),
        ])
    };
    for classes in [&[][..], &["low"], &["low", "high"]] {
        let model = Model::classifier(classes);
        model.assert_alike(&[parts(), maps(&numbers), maps(&texts), parts()], 2);
        model.assert_alike(&[maps(&numbers), parts(), maps(&numbers), parts()], 2);
        model.assert_alike(&[maps(&texts), maps(&texts), parts(), parts()], 2);
    }
    let kind =
        ValueKind::Sequence(Box::new(ValueKind::Map { key: ElementType::I64, value: ElementType::F32 }));
    let model = Model::new(vec![ValueSpec { name: "y".to_owned(), kind }], &[]);
    model.assert_alike(&[maps(&numbers)], 2);
}

#[test]
fn what_is_the_same_for_all_rows_is_written_whole_beside_each() {
    let mut model = Model::new(vec![any_kind("scores"), any_kind("classes"), any_kind("scale")], &[]);
    model.layout.outputs = vec![Output::Prediction, Output::Constant, Output::Constant];
    let outputs = [
        tensor(&[2, 1], TensorData::F32(vec![0.5, 1.5].into())),
        tensor(&[3], TensorData::I64(vec![10, 20, 30].into())),
        tensor(&[], TensorData::F32(vec![f32::NAN].into())),
    ];
    model.assert_alike(&outputs, 2);
    let beside = r#""outputs":{"classes":[10,20,30],"scale":"NaN"}"#;
    assert_eq!(
        model.by_template(&outputs, 1..2, 2, true).unwrap(),
        format!(r#"{{"model":"iris","version":"7","predictions":[{{"prediction":1.5,{beside}}}]}}"#)
    );
}

#[test]
fn what_does_not_hold_the_rows_is_not_written() {
    let model = Model::new(vec![any_kind("y")], &[]);
    let matrix = || tensor(&[2, 1], TensorData::F32(vec![0.0; 2].into()));
    let keys = || TensorData::I64(vec![0].into());
    let cases = [
        Value::Absent,
        Value::Sequence(Vec::new()),
        map(keys(), &[1.0]),
        Value::Sequence(vec![map(keys(), &[1.0])]),
        Value::Sequence(vec![map(keys(), &[1.0]), matrix()]),
        Value::Sequence(vec![matrix(), map(keys(), &[1.0])]),
        Value::Sequence(vec![matrix(), Value::Absent]),
        tensor(&[], TensorData::F32(vec![0.0].into())),
        tensor(&[3], TensorData::F32(vec![0.0; 3].into())),
    ];
    table::each(cases, |output| {
        assert_eq!(model.by_serde(std::slice::from_ref(&output), 2, true), None, "{output:?}");
        assert_eq!(model.by_template(&[output], 0..2, 2, true), None);
    });
    assert_eq!(model.by_template(&[matrix()], 1..3, 2, true), None);
    assert_eq!(model.by_template(&[matrix()], 1..1, 2, true), None);
    assert_eq!(model.by_template(&[matrix(), matrix()], 0..2, 2, true), None);
}

/// So many elements of any type.
fn elements(count: usize) -> impl Strategy<Value = TensorData> {
    use prop::collection::vec;
    prop_oneof![
        4 => vec(any::<u32>().prop_map(f32::from_bits), count).prop_map(|elements| TensorData::F32(elements.into())),
        2 => vec(0.0..1.0_f32, count).prop_map(|elements| TensorData::F32(elements.into())),
        2 => vec(any::<u64>().prop_map(f64::from_bits), count).prop_map(|elements| TensorData::F64(elements.into())),
        1 => vec(any::<u16>().prop_map(half::f16::from_bits), count).prop_map(|elements| TensorData::F16(elements.into())),
        1 => vec(any::<u16>().prop_map(half::bf16::from_bits), count).prop_map(|elements| TensorData::Bf16(elements.into())),
        1 => vec(any::<i8>(), count).prop_map(|elements| TensorData::I8(elements.into())),
        1 => vec(any::<i16>(), count).prop_map(|elements| TensorData::I16(elements.into())),
        1 => vec(-1..4_i32, count).prop_map(|elements| TensorData::I32(elements.into())),
        2 => vec(-1..4_i64, count).prop_map(|elements| TensorData::I64(elements.into())),
        1 => vec(any::<i64>(), count).prop_map(|elements| TensorData::I64(elements.into())),
        1 => vec(0..4_u8, count).prop_map(|elements| TensorData::U8(elements.into())),
        1 => vec(0..4_u16, count).prop_map(|elements| TensorData::U16(elements.into())),
        1 => vec(0..4_u32, count).prop_map(|elements| TensorData::U32(elements.into())),
        1 => vec(prop_oneof![0..4_u64, any::<u64>()], count).prop_map(|elements| TensorData::U64(elements.into())),
        1 => vec(any::<bool>(), count).prop_map(TensorData::Bool),
        2 => vec(any::<String>(), count).prop_map(TensorData::String),
    ]
}

fn rows_of_tensor(rows: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(0..4_usize, 0..3).prop_flat_map(move |inner| {
        let shape = [&[rows], inner.as_slice()].concat();
        elements(shape.iter().product()).prop_map(move |data| tensor(&shape, data))
    })
}

fn any_map() -> impl Strategy<Value = Value> {
    (0..4_usize).prop_flat_map(|count| {
        (elements(count), elements(count)).prop_map(|(keys, values)| Value::Map { keys, values })
    })
}

/// An output of so many rows, or nearly so.
fn output(rows: usize) -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => rows_of_tensor(rows),
        3 => prop::collection::vec(any_map(), rows).prop_map(Value::Sequence),
        3 => prop::collection::vec(rows_of_tensor(rows), 1..3).prop_map(Value::Sequence),
        1 => rows_of_tensor(rows + 1),
        1 => any_map(),
    ]
}

fn labels() -> impl Strategy<Value = Labels> {
    prop_oneof![
        prop::collection::vec(-1..4_i64, 0..4).prop_map(Labels::Integers),
        prop::collection::vec(any::<String>(), 0..4).prop_map(Labels::Texts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn whatever_is_the_same_for_all_rows_is_the_same_bytes(
        by_row in output(2),
        constant in prop_oneof![output(2), output(3), Just(Value::Absent)],
    ) {
        let mut model = Model::new(vec![any_kind("y"), any_kind("c")], &[]);
        model.layout.outputs = vec![Output::Prediction, Output::Constant];
        model.assert_alike(&[by_row, constant], 2);
    }

    #[test]
    fn whatever_a_model_answers_is_the_same_bytes(
        (total, outputs) in (1..4_usize).prop_flat_map(|rows| (Just(rows), prop::collection::vec(output(rows), 4))),
        classes in prop::collection::vec(any::<String>(), 0..4),
        labels in prop::option::of(labels()),
        score_labels in prop::option::of(labels()),
    ) {
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        Model::classifier(&classes).labelled(labels, score_labels).assert_alike(&outputs, total);
    }
}
