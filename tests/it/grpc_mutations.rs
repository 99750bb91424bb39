//! Messages that are almost right: each is answered or refused, and never by a failure of the gateway.

use std::sync::LazyLock;

use onnx_gateway::protocols::open_inference::grpc::proto::{
    InferTensorContents, ModelInferRequest, infer_parameter::ParameterChoice,
};
use proptest::prelude::*;
use prost::Message;
use tokio::runtime::Runtime;
use tonic::Code;

use crate::support::{
    TestGateway,
    grpc::{
        Client, GRPC, Http, code, fp32, framed, http, input, parameter, raw_call_over, requested, setosa_raw,
        setosa_typed,
    },
};

static GATEWAY: LazyLock<(Runtime, TestGateway)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let builder = TestGateway::builder().model("all.onnx", "kinds/every_type");
    let gateway = runtime.block_on(builder.start());
    (runtime, gateway)
});

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let (runtime, gateway) = &*GATEWAY;
    runtime.block_on(async { gateway.grpc() })
});

static HTTP: LazyLock<Http> = LazyLock::new(http);

/// What the gateway may say to a message that is wrong.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::NotFound | Code::ResourceExhausted | Code::DeadlineExceeded)
}

/// Texts that are somewhere in good requests, and some that are nowhere.
fn word() -> impl Strategy<Value = String> {
    let known =
        ["features", "label", "probabilities", "FP32", "FP16", "INT8", "BYTES", "BOOL", "iris", "all", "1"];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), ".{0,8}"]
}

fn contents() -> impl Strategy<Value = InferTensorContents> {
    let few = 0..6_usize;
    (
        prop::collection::vec(any::<f32>(), few.clone()),
        prop::collection::vec(any::<i32>(), 0..2),
        prop::collection::vec(any::<bool>(), 0..2),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5).prop_map(bytes::Bytes::from), 0..2),
    )
        .prop_map(|(fp32_contents, int_contents, bool_contents, bytes_contents)| InferTensorContents {
            fp32_contents,
            int_contents,
            bool_contents,
            bytes_contents,
            ..InferTensorContents::default()
        })
}

/// A change to one thing of a request.
#[derive(Clone, Debug)]
enum Change {
    Model(String),
    Version(String),
    Name(String),
    Datatype(String),
    Shape(Vec<i64>),
    Contents(Option<InferTensorContents>),
    Raw(Vec<Vec<u8>>),
    Output(String, i64),
    Parameter(String, f64),
    Again,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        word().prop_map(Change::Model),
        word().prop_map(Change::Version),
        word().prop_map(Change::Name),
        word().prop_map(Change::Datatype),
        prop::collection::vec(prop_oneof![-2_i64..6, any::<i64>()], 0..4).prop_map(Change::Shape),
        prop::option::of(contents()).prop_map(Change::Contents),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..3).prop_map(Change::Raw),
        (word(), any::<i64>()).prop_map(|(name, classes)| Change::Output(name, classes)),
        (word(), any::<f64>()).prop_map(|(name, value)| Change::Parameter(name, value)),
        Just(Change::Again),
    ]
}

fn changed(mut request: ModelInferRequest, changes: Vec<Change>) -> ModelInferRequest {
    for change in changes {
        let first = request.inputs.first_mut();
        match change {
            Change::Model(name) => request.model_name = name,
            Change::Version(version) => request.model_version = version,
            Change::Name(name) => first.into_iter().for_each(|input| input.name.clone_from(&name)),
            Change::Datatype(name) => first.into_iter().for_each(|input| input.datatype.clone_from(&name)),
            Change::Shape(shape) => first.into_iter().for_each(|input| input.shape.clone_from(&shape)),
            Change::Contents(contents) => {
                if let Some(input) = first {
                    input.contents.clone_from(&contents);
                }
            }
            Change::Raw(raw) => request.raw_input_contents = raw.into_iter().map(Into::into).collect(),
            Change::Output(name, classes) => {
                let mut output = requested(&name);
                let classes = parameter(ParameterChoice::Int64Param(classes));
                output.parameters.insert("classification".to_owned(), classes);
                request.outputs.push(output);
            }
            Change::Parameter(name, value) => {
                request.parameters.insert(name, parameter(ParameterChoice::DoubleParam(value)));
            }
            Change::Again => request.inputs.extend(request.inputs.first().cloned()),
        }
    }
    request
}

/// Good requests, each of which is answered.
fn seed() -> impl Strategy<Value = ModelInferRequest> {
    let mut asked = setosa_typed();
    asked.outputs = vec![requested("probabilities")];
    asked.inputs = vec![input("features", "FP32", &[2, 4], Some(fp32(&[1.0; 8])))];
    prop::sample::select(vec![setosa_raw(), setosa_typed(), asked])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn changed_requests_are_answered_or_refused(
        seed in seed(),
        changes in prop::collection::vec(change(), 0..4),
    ) {
        let request = changed(seed, changes.clone());
        let is_good = changes.is_empty();
        let (runtime, _) = &*GATEWAY;
        match runtime.block_on(CLIENT.clone().model_infer(request.clone())) {
            Ok(answer) => {
                let answer = answer.into_inner();
                let raw = answer.raw_output_contents.len();
                prop_assert_eq!(raw, if request.raw_input_contents.is_empty() { 0 } else { answer.outputs.len() });
            }
            Err(status) => prop_assert!(!is_good && is_refusal(status.code()), "{:?}: {:?}", request, status),
        }
    }

    #[test]
    fn damaged_messages_are_answered_or_refused(
        seed in seed(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut message = seed.encode_to_vec();
        for (position, byte) in changes {
            let position = position.index(message.len());
            message[position] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        let (runtime, gateway) = &*GATEWAY;
        let call = raw_call_over(&HTTP, gateway, &[GRPC], framed(0, &message));
        let (status, headers) = runtime.block_on(call);
        let code = code(&headers);
        prop_assert!(status == 200 && (code == Code::Ok || is_refusal(code)), "{:?}: {:?}", message, headers);
    }
}
