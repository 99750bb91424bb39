//! The functions that every prediction runs, each alone and on the same input each time, to have their instructions
//! counted (`tools/count-instructions`). Names that end in `_long_way` are the variants for unusual requests and
//! responses.
#![expect(clippy::print_stderr, reason = "it says how it is used")]
#![allow(clippy::allow_attributes, reason = "an expectation would have to hold in every part of this file")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on fails")]
#![allow(missing_docs, reason = "a benchmark is used by its name only")]

use std::{
    env,
    hint::black_box,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use onnx_gateway::{
    auth::{Authentication, Scopes},
    codec::parse_valid,
    config::{AuthSettings, Secret},
    model::{
        Contract, Dimension, ElementType, Feature, FlatLayout, Layout, ModelVersion, Signature, Tensor,
        TensorData, Value, ValueSpec, rows_to_tensors,
    },
    protocols::native::json::{PredictRequest, RequestInputs, ResponseTemplate, read_flat_rows},
    serving::{ResponseParts, RowsWriter as _},
};

/// A benchmark that calls a function this number of times.
type Run = fn(usize);

const FUNCTIONS: &[(&str, Run)] = &[
    ("token", token),
    ("token_long_way", token_long_way),
    ("parse_row", |times| parse(&body(1), times)),
    ("parse_row_long_way", |times| parse_long_way(&body(1), times)),
    ("parse_1024", |times| parse(&body(1024), times)),
    ("parse_1024_long_way", |times| parse_long_way(&body(1024), times)),
    ("parse_1024_doubles", |times| parse(&doubles(), times)),
    ("parse_1024_doubles_long_way", |times| parse_long_way(&doubles(), times)),
    ("batch_8", |times| batch(8, times)),
    ("batch_64", |times| batch(64, times)),
    ("serialise_row", |times| serialise(1, times)),
    ("serialise_1024", |times| serialise(1024, times)),
];

fn main() -> ExitCode {
    // `cargo bench` adds its own arguments.
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let name = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|times| times.parse().ok());
    if let (Some((_, run)), Some(times)) = (FUNCTIONS.iter().find(|(known, _)| *known == name), times) {
        run(times);
        return ExitCode::SUCCESS;
    }
    let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    eprintln!("hot_functions FUNCTION TIMES, where FUNCTION is one of\n{}", names.join("\n"));
    ExitCode::FAILURE
}

/// The signature and contract of the shipped model.
struct Iris {
    signature: Signature,
    contract: Contract,
    layout: Layout,
}

impl Iris {
    fn new() -> Self {
        let rows = || Dimension::Dynamic("N".to_owned());
        let signature = Signature {
            inputs: vec![ValueSpec::tensor("features", ElementType::F32, vec![rows(), Dimension::Fixed(4)])],
            outputs: vec![
                ValueSpec::tensor("label", ElementType::I64, vec![rows()]),
                ValueSpec::tensor("probabilities", ElementType::F32, vec![rows(), Dimension::Fixed(3)]),
            ],
        };
        let names = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
        let feature = |name| Feature { minimum: Some(0.0), maximum: Some(15.0), ..Feature::new(name) };
        let classes = ["setosa", "versicolor", "virginica"].map(str::to_owned).to_vec();
        let contract = Contract::new(names.map(feature).to_vec(), classes);
        let layout = Layout::of(&signature, &contract).unwrap().unwrap();
        Self { signature, contract, layout }
    }
}

fn body(rows: u16) -> String {
    let row = |row: u16| {
        let tenth = |at: u16| f64::from((row * 7 + at * 13) % 79 + 1) / 10.0;
        format!("[{},{},{},{}]", tenth(0), tenth(1), tenth(2), tenth(3))
    };
    if rows == 1 {
        return r#"{"features":[5.1,3.5,1.4,0.2]}"#.to_owned();
    }
    format!(r#"{{"instances":[{}]}}"#, (0..rows).map(row).collect::<Vec<_>>().join(","))
}

/// Numbers with all the digits of a 64-bit float, as a program computes them.
fn doubles() -> String {
    let row = |row: u16| {
        let number = |at: u16| f64::from(row * 7 + at * 13 + 1).sqrt() / 20.0;
        format!("[{},{},{},{}]", number(0), number(1), number(2), number(3))
    };
    format!(r#"{{"instances":[{}]}}"#, (0..1024).map(row).collect::<Vec<_>>().join(","))
}

fn outputs(rows: u16) -> Vec<Value> {
    let count = usize::from(rows);
    let labels = (0..rows).map(|row| i64::from(row % 3)).collect();
    let probability = |row: u16, class: u16| f32::from((row * 31 + class * 17) % 101) / 100.0;
    let probabilities = (0..rows).flat_map(|row| (0..3).map(move |class| probability(row, class))).collect();
    vec![
        Tensor::new(vec![count], TensorData::I64(labels)).unwrap().into(),
        Tensor::new(vec![count, 3], TensorData::F32(probabilities)).unwrap().into(),
    ]
}

/// Returns the authentication, a valid token signed with HS256, and the time.
fn believed() -> (Authentication, String, SystemTime) {
    let secret = Secret::new("nothing but a benchmark is kept by this secret".to_owned());
    let settings = AuthSettings { signing_secret: Some(secret), ..AuthSettings::default() };
    let authentication = Authentication::new(&settings, &|_| false).unwrap();
    let now = SystemTime::now();
    let scopes = Scopes::of_claim("predict read");
    let token = authentication.issuer.as_ref().unwrap().issue("benchmark", scopes, now, None).unwrap().token;
    authentication.verify(&token, now).now_or_never().unwrap().unwrap();
    (authentication, token, now)
}

/// Looks up a token that was verified before.
fn token(times: usize) {
    let (authentication, token, now) = believed();
    for _ in 0..times {
        black_box(authentication.known(black_box(&token), now).unwrap());
    }
}

/// Verifies a token.
fn token_long_way(times: usize) {
    let (authentication, token, now) = believed();
    for time in 1..=times {
        // A cached token is valid only from its first verification on, and these times are before it.
        let before = now - Duration::from_nanos(u64::try_from(time).unwrap());
        black_box(authentication.verify(black_box(&token), before).now_or_never().unwrap().unwrap());
    }
}

/// Joins the rows of this number of requests into one tensor, and splits the outputs of the run again.
fn batch(requests: u16, times: usize) {
    let row = Tensor::new(vec![1, 4], TensorData::F32(vec![5.1, 3.5, 1.4, 0.2].into())).unwrap();
    let rows = vec![&row; usize::from(requests)];
    let outputs = outputs(requests);
    for _ in 0..times {
        black_box(Tensor::joined(black_box(&rows)).unwrap());
        for request in 0..usize::from(requests) {
            for output in black_box(&outputs) {
                black_box(output.rows(request..request + 1).unwrap());
            }
        }
    }
}

fn parse(body: &str, times: usize) {
    let iris = Iris::new();
    let layout = FlatLayout::of(&iris.layout, &iris.contract).unwrap();
    for _ in 0..times {
        let mut elements: Vec<f32> = Vec::new();
        let read = read_flat_rows(black_box(body.as_bytes()), black_box(&layout), &mut elements).unwrap();
        black_box(layout.tensor(read.rows, elements).unwrap());
    }
}

fn parse_long_way(body: &str, times: usize) {
    let iris = Iris::new();
    for _ in 0..times {
        let request: PredictRequest = parse_valid(black_box(body.as_bytes())).unwrap();
        let RequestInputs::Rows(rows, _) = request.asked() else { return };
        black_box(rows_to_tensors(&rows, &iris.layout, &iris.contract).unwrap());
    }
}

fn serialise(rows: u16, times: usize) {
    let (outputs, iris) = (outputs(rows), Iris::new());
    let Iris { signature, contract, layout } = &iris;
    let (name, version) = ("iris", ModelVersion::new(1));
    let template = ResponseTemplate::new(ResponseParts { name, version, signature, contract, layout });
    let total = usize::from(rows);
    for _ in 0..times {
        let mut out = Vec::new();
        assert!(template.write(&mut out, black_box(&outputs), 0..total, total, rows > 1));
        black_box(out);
    }
}
