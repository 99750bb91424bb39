//! The gRPC transport: every method, both forms of tensors, and that it refuses whom and what REST refuses.
#![expect(clippy::too_many_lines, reason = "tables of cases are long")]

use onnx_gateway::protocols::open_inference::grpc::proto::{
    DataType, InferTensorContents, ModelConfigRequest, ModelInferRequest, ModelMetadataRequest,
    ModelReadyRequest, ModelRepositoryParameter, ModelStatisticsRequest, RepositoryIndexRequest,
    RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerLiveRequest, ServerMetadataRequest,
    ServerReadyRequest, infer_parameter::ParameterChoice, model_repository_parameter,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::{
    Answer, TestGateway,
    grpc::{fp32, input, parameter, requested, setosa_raw, setosa_typed},
    setosa, table,
    tokens::TokenBuilder,
};

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|number| f32::from_le_bytes(number.try_into().unwrap())).collect()
}

fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("it should be refused");
    (status.code(), status.message().to_owned())
}

// --- Methods ---

#[tokio::test]
async fn the_server_tells_of_itself() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc_without_token();
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    assert_eq!(refused(client.server_metadata(ServerMetadataRequest {}).await).0, Code::Unauthenticated);
    let metadata = gateway.grpc().server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!(metadata.name, "onnx-gateway");
    let rest = Answer::of(gateway.get("/v2").send().await.unwrap()).await;
    assert_eq!(json!(metadata.extensions), rest.body["extensions"]);
    assert_eq!(metadata.version, rest.body["version"].as_str().unwrap());
}

#[tokio::test]
async fn models_are_told_of_as_by_rest() {
    let gateway = TestGateway::builder().model("two/3/model.onnx", "two_inputs").start().await;
    let mut client = gateway.grpc();
    let name = || "iris".to_owned();
    let request = ModelMetadataRequest { name: name(), ..Default::default() };
    let metadata = client.model_metadata(request).await.unwrap().into_inner();
    let rest = Answer::of(gateway.get("/v2/models/iris").send().await.unwrap()).await.body;
    let tensor = |tensor: &onnx_gateway::protocols::open_inference::grpc::proto::model_metadata_response::TensorMetadata| json!({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape});
    assert_eq!(metadata.inputs.iter().map(tensor).collect::<Value>(), rest["inputs"]);
    assert_eq!(metadata.outputs.iter().map(tensor).collect::<Value>(), rest["outputs"]);
    assert_eq!(
        (json!(metadata.versions), json!(metadata.platform)),
        (json!(["1"]), rest["platform"].clone())
    );

    let request = ModelConfigRequest { name: name(), ..Default::default() };
    let config = client.model_config(request).await.unwrap().into_inner().config.unwrap();
    let rest = Answer::of(gateway.get("/v2/models/iris/config").send().await.unwrap()).await.body;
    assert_eq!(json!(config.backend), rest["backend"]);
    assert_eq!(config.input[0].data_type(), DataType::TypeFp32);
    assert_eq!(json!(config.input[0].dims), rest["input"][0]["dims"]);
    assert_eq!(json!(config.instance_group[0].count), rest["instance_group"][0]["count"]);

    let cases = [
        ("iris", "", Ok(true)),
        ("iris", "1", Ok(true)),
        ("iris", "2", Err(Code::NotFound)),
        ("two", "3", Ok(true)),
        ("nothing", "", Err(Code::NotFound)),
        ("", "", Err(Code::NotFound)),
        ("../iris", "", Err(Code::NotFound)),
        ("iris", "no version", Err(Code::NotFound)),
    ];
    table::each_async(cases, async |(name, version, expected)| {
        let request = ModelReadyRequest { name: name.to_owned(), version: version.to_owned() };
        let ready = client.model_ready(request).await.map(|answer| answer.into_inner().ready);
        assert_eq!(ready.map_err(|status| status.code()), expected, "{name} {version}");
    })
    .await;
}

#[tokio::test]
async fn answers_are_counted_with_those_of_rest() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    client.model_infer(setosa_raw()).await.unwrap();
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    for (name, version) in [("iris", ""), ("iris", "1"), ("", "")] {
        let request = ModelStatisticsRequest { name: name.to_owned(), version: version.to_owned() };
        let statistics = client.model_statistics(request).await.unwrap().into_inner().model_stats;
        assert_eq!(statistics.len(), 1);
        assert_eq!((statistics[0].inference_count, statistics[0].execution_count), (2, 2));
        let parts = statistics[0].inference_stats.unwrap();
        assert_eq!(parts.success.unwrap().count, 2);
        assert!(parts.compute_infer.unwrap().ns > 0);
        assert_eq!(statistics[0].batch_stats[0].batch_size, 1);
    }
    let request = ModelStatisticsRequest { name: "nothing".to_owned(), ..Default::default() };
    assert_eq!(refused(client.model_statistics(request).await).0, Code::NotFound);
    let metrics = gateway.metrics().await;
    for line in [
        r#"gateway_requests_total{method="POST",route="/inference.GRPCInferenceService/ModelInfer",status="OK"} 1"#,
        r#"gateway_requests_total{method="POST",route="/inference.GRPCInferenceService/ModelStatistics",status="NOT_FOUND"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn the_repository_is_managed_as_by_rest() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    let index = |ready| RepositoryIndexRequest { ready, ..Default::default() };
    let models = client.repository_index(index(false)).await.unwrap().into_inner().models;
    let shown = (models[0].name.as_str(), models[0].version.as_str(), models[0].state.as_str());
    assert_eq!((models.len(), shown), (1, ("iris", "1", "READY")));

    let unload = |name: &str| RepositoryModelUnloadRequest {
        model_name: name.to_owned(),
        parameters: [("unload_dependents".to_owned(), truth(true))].into(),
        ..Default::default()
    };
    client.repository_model_unload(unload("iris")).await.unwrap();
    assert_eq!(refused(client.model_infer(setosa_raw()).await).0, Code::Unavailable);
    let request = ModelReadyRequest { name: "iris".to_owned(), ..Default::default() };
    assert!(!client.model_ready(request).await.unwrap().into_inner().ready);
    assert!(client.repository_index(index(true)).await.unwrap().into_inner().models.is_empty());
    assert!(!client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);

    let load = |name: &str, parameters: &[(&str, ModelRepositoryParameter)]| RepositoryModelLoadRequest {
        model_name: name.to_owned(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..Default::default()
    };
    client.repository_model_load(load("iris", &[("allow_breaking_changes", truth(true))])).await.unwrap();
    client.model_infer(setosa_raw()).await.unwrap();
    let cases = [
        (load("nothing", &[]), Code::NotFound),
        (load("iris", &[("config", truth(true))]), Code::InvalidArgument),
        (
            load("iris", &[("allow_breaking_changes", ModelRepositoryParameter::default())]),
            Code::InvalidArgument,
        ),
        (
            RepositoryModelLoadRequest { repository_name: "x".to_owned(), ..load("iris", &[]) },
            Code::InvalidArgument,
        ),
    ];
    table::each_async(cases, async |(request, code)| {
        assert_eq!(refused(client.repository_model_load(request.clone()).await).0, code, "{request:?}");
    })
    .await;
    assert_eq!(refused(client.repository_model_unload(unload("nothing")).await).0, Code::NotFound);
}

#[tokio::test]
async fn what_has_no_effect_is_in_the_index_as_by_rest() {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("churn/1/churn.onnx", "regressor");
    let entry = gateway.index_until("churn", "1", |entry| entry["state"] == "UNAVAILABLE").await;
    let index = |ready| RepositoryIndexRequest { ready, ..Default::default() };
    let mut client = gateway.grpc();
    let models = client.repository_index(index(false)).await.unwrap().into_inner().models;
    let shown = [&models[0].name, &models[0].version, &models[0].state, &models[0].reason];
    let reason = "expected churn/1/model.onnx, found churn/1/churn.onnx: rename it";
    assert_eq!(shown, ["churn", "1", "UNAVAILABLE", reason]);
    assert_eq!(entry["reason"], reason);
    assert_eq!(models.len(), 2);
    assert_eq!(client.repository_index(index(true)).await.unwrap().into_inner().models.len(), 1);
}

fn truth(truth: bool) -> ModelRepositoryParameter {
    let choice = model_repository_parameter::ParameterChoice::BoolParam(truth);
    ModelRepositoryParameter { parameter_choice: Some(choice) }
}

// --- Inference ---

#[tokio::test]
async fn both_forms_are_answered_in_kind_and_bit_for_bit_as_by_rest() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    let body = json!({"inputs": {"features": [[5.1, 3.5, 1.4, 0.2]]}});
    let rest = gateway.predict(&body).await;
    let probabilities: Vec<f32> =
        serde_json::from_value(rest.body["outputs"]["probabilities"]["data"].clone()).unwrap();

    let answer = client.model_infer(setosa_raw()).await.unwrap();
    assert_eq!(answer.metadata().get("x-model-version").unwrap(), "1");
    assert_eq!(answer.metadata().get("x-model-digest").unwrap(), rest.header("x-model-digest"));
    assert!(answer.metadata().get("x-request-id").is_some());
    let raw = answer.into_inner();
    assert_eq!((raw.model_name.as_str(), raw.model_version.as_str(), raw.id.as_str()), ("iris", "1", ""));
    let names: Vec<&str> = raw.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["label", "probabilities"]);
    assert!(raw.outputs.iter().all(|output| output.contents.is_none()));
    assert_eq!(raw.raw_output_contents[0], 0_i64.to_le_bytes()[..]);
    assert_eq!(floats(&raw.raw_output_contents[1]), probabilities);

    let typed = client.model_infer(setosa_typed()).await.unwrap().into_inner();
    assert!(typed.raw_output_contents.is_empty());
    assert_eq!(
        (typed.outputs[1].datatype.as_str(), typed.outputs[1].shape.as_slice()),
        ("FP32", &[1, 3][..])
    );
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().int64_contents, [0]);
    assert_eq!(typed.outputs[1].contents.as_ref().unwrap().fp32_contents, probabilities);
}

#[tokio::test]
async fn outputs_come_as_they_are_asked_for() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    let mut classified = requested("probabilities");
    classified.parameters.insert("classification".to_owned(), parameter(ParameterChoice::Int64Param(2)));
    let mut request = setosa_typed();
    request.id = "an id".to_owned();
    request.outputs = vec![classified, requested("label")];
    request.parameters = [
        ("timeout".to_owned(), parameter(ParameterChoice::Uint64Param(30_000_000))),
        ("binary_data_output".to_owned(), parameter(ParameterChoice::BoolParam(true))),
        ("mine".to_owned(), parameter(ParameterChoice::StringParam("mine".to_owned()))),
    ]
    .into();
    let answer = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!(answer.id, "an id");
    let names: Vec<&str> = answer.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["probabilities", "label"]);
    assert_eq!(
        (answer.outputs[0].datatype.as_str(), answer.outputs[0].shape.as_slice()),
        ("BYTES", &[1, 2][..])
    );
    let texts = &answer.outputs[0].contents.as_ref().unwrap().bytes_contents;
    assert!(texts[0].starts_with(b"0.99") && texts[0].ends_with(b":0:setosa"), "{texts:?}");
}

/// An identity for each type that a field is for.
fn every_type() -> ModelInferRequest {
    let none = InferTensorContents::default;
    let ints = || InferTensorContents { int_contents: vec![-128, 127], ..none() };
    let uints = || InferTensorContents { uint_contents: vec![0, 255], ..none() };
    let inputs = [
        ("BOOL", InferTensorContents { bool_contents: vec![true, false], ..none() }),
        ("INT8", ints()),
        ("INT16", ints()),
        ("INT32", ints()),
        ("INT64", InferTensorContents { int64_contents: vec![i64::MIN, i64::MAX], ..none() }),
        ("UINT8", uints()),
        ("UINT16", uints()),
        ("UINT32", uints()),
        ("UINT64", InferTensorContents { uint64_contents: vec![0, u64::MAX], ..none() }),
        ("FP32", fp32(&[0.1, -0.0])),
        ("FP64", InferTensorContents { fp64_contents: vec![0.1, f64::MIN_POSITIVE], ..none() }),
        ("BYTES", InferTensorContents { bytes_contents: vec!["größer".into(), "".into()], ..none() }),
    ];
    let inputs =
        inputs.map(|(datatype, contents)| input(&datatype.to_lowercase(), datatype, &[2], Some(contents)));
    ModelInferRequest { model_name: "all".to_owned(), inputs: inputs.into(), ..ModelInferRequest::default() }
}

#[tokio::test]
async fn every_type_goes_both_ways() {
    let gateway = TestGateway::builder_without_models().model("all.onnx", "kinds/every_type").start().await;
    let mut client = gateway.grpc();
    let typed = client.model_infer(every_type()).await.unwrap().into_inner();
    assert_eq!(typed.outputs.len(), 12);
    for (output, input) in typed.outputs.iter().zip(every_type().inputs) {
        assert_eq!(output.contents, input.contents, "{}", output.datatype);
        assert_eq!((&output.datatype, &output.shape), (&input.datatype, &input.shape));
    }
    // The same, raw: what was answered raw is asked.
    let bytes: [&[u8]; 12] = [
        &[1, 0],
        &[0x80, 0x7f],
        &[0x80, 0xff, 0x7f, 0],
        &[0x80, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0],
        &[i64::MIN.to_le_bytes(), i64::MAX.to_le_bytes()].concat(),
        &[0, 255],
        &[0, 0, 255, 0],
        &[0, 0, 0, 0, 255, 0, 0, 0],
        &[[0; 8], [255; 8]].concat(),
        &[0.1_f32.to_le_bytes(), (-0.0_f32).to_le_bytes()].concat(),
        &[0.1_f64.to_le_bytes(), f64::MIN_POSITIVE.to_le_bytes()].concat(),
        &[&[8, 0, 0, 0], "größer".as_bytes(), &[0; 4]].concat(),
    ];
    let mut request = every_type();
    request.inputs.iter_mut().for_each(|input| input.contents = None);
    request.raw_input_contents = bytes.map(bytes::Bytes::copy_from_slice).into();
    let expected = request.raw_input_contents.clone();
    let raw = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!(raw.raw_output_contents, expected);

    // An empty tensor is one too.
    let mut request = every_type();
    request.inputs.iter_mut().for_each(|input| (input.shape, input.contents) = (vec![0], None));
    let empty = client.model_infer(request).await.unwrap().into_inner();
    assert!(empty.outputs.iter().all(|output| output.shape == [0]), "{empty:?}");
}

#[tokio::test]
async fn half_floats_go_raw_only() {
    let builder = TestGateway::builder_without_models().model("half.onnx", "kinds/half");
    let gateway = builder.model("brain.onnx", "kinds/brain_half").start().await;
    let mut client = gateway.grpc();
    for (name, datatype) in [("half", "FP16"), ("brain", "BF16")] {
        let raw = ModelInferRequest {
            model_name: name.to_owned(),
            inputs: vec![input("x", datatype, &[1, 2], None)],
            raw_input_contents: vec![vec![0, 0x3e, 0, 0x3e].into()],
            ..ModelInferRequest::default()
        };
        let typed = ModelInferRequest {
            inputs: vec![input("x", datatype, &[1, 2], Some(fp32(&[1.0, 1.0])))],
            raw_input_contents: Vec::new(),
            ..raw.clone()
        };
        let answer = client.model_infer(raw).await.unwrap().into_inner();
        assert_eq!(answer.raw_output_contents[0].len(), 4);
        let (code, message) = refused(client.model_infer(typed).await);
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.contains("/inputs/0/contents: elements of"), "{message}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_with_its_place() {
    let gateway = TestGateway::builder().model("all.onnx", "kinds/every_type").start().await;
    let mut client = gateway.grpc();
    let changed = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = setosa_typed();
        change(&mut request);
        request
    };
    let raw = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = setosa_raw();
        change(&mut request);
        request
    };
    let of_type = |datatype: &str, contents: InferTensorContents| {
        let mut request = every_type();
        let input = request.inputs.iter_mut().find(|input| input.datatype == datatype).unwrap();
        input.contents = Some(contents);
        request
    };
    let none = InferTensorContents::default;
    let with = |name: &str, value: ParameterChoice| [(name.to_owned(), parameter(value))].into();
    let region = || ParameterChoice::StringParam("region".to_owned());
    let cases = [
        // Tensors
        (
            changed(&|request| request.inputs[0].contents = None),
            "/inputs/0/contents/fp32_contents: the shape [1, 4] holds 4 elements, not 0",
        ),
        (changed(&|request| request.inputs[0].contents = Some(fp32(&[1.0; 5]))), "holds 4 elements, not 5"),
        (
            changed(&|request| request.inputs[0].contents.as_mut().unwrap().int64_contents.push(1)),
            "belong here, not in int64_contents",
        ),
        (changed(&|request| request.inputs[0].shape = vec![1, -4]), "/inputs/0/shape/1: expected a size"),
        (
            changed(&|request| request.inputs[0].shape = vec![i64::MAX, 4]),
            "/inputs/0/shape: it holds too many",
        ),
        (changed(&|request| request.inputs[0].shape = vec![4]), "/inputs/features: expected FP32"),
        (
            changed(&|request| request.inputs[0].datatype = "fp32".to_owned()),
            "/inputs/0/datatype: `fp32` is not a datatype",
        ),
        (
            changed(&|request| request.inputs[0].datatype = "FP64".to_owned()),
            "belong here, not in fp32_contents",
        ),
        (changed(&|request| request.inputs[0].name = "feature".to_owned()), "did you mean `features`"),
        (changed(&|request| request.inputs.clear()), "`features` (FP32 [?, 4]) is required"),
        (changed(&|request| request.inputs.push(request.inputs[0].clone())), "given more than once"),
        (
            changed(&|request| request.inputs[0].parameters = with("shared_memory_region", region())),
            "shared memory is not supported",
        ),
        (
            of_type("INT8", InferTensorContents { int_contents: vec![0, 128], ..none() }),
            "/inputs/1/contents/int_contents/1: 128 does not fit INT8",
        ),
        (
            of_type("INT16", InferTensorContents { int_contents: vec![-32_769, 0], ..none() }),
            "does not fit INT16",
        ),
        (
            of_type("UINT8", InferTensorContents { uint_contents: vec![300, 0], ..none() }),
            "300 does not fit UINT8",
        ),
        (
            of_type("UINT16", InferTensorContents { uint_contents: vec![0, 65_536], ..none() }),
            "does not fit UINT16",
        ),
        (
            of_type(
                "BYTES",
                InferTensorContents { bytes_contents: vec!["a".into(), vec![0xff].into()], ..none() },
            ),
            "bytes_contents/1: this is not UTF-8",
        ),
        (
            of_type("BYTES", InferTensorContents { bytes_contents: vec!["a".into(), "\0".into()], ..none() }),
            "must not hold a NUL",
        ),
        // Raw ones
        (
            raw(&|request| request.inputs[0].contents = Some(fp32(&[5.1, 3.5, 1.4, 0.2]))),
            "/inputs/0/contents: a request with raw_input_contents must have no contents here",
        ),
        (raw(&|request| request.inputs[0].contents = Some(none())), "must have no contents here"),
        (
            raw(&|request| request.raw_input_contents.push(bytes::Bytes::new())),
            "/raw_input_contents: expected 1 contents, one for each input, got 2",
        ),
        (
            raw(&|request| request.raw_input_contents[0] = vec![0; 15].into()),
            "/raw_input_contents/0: 4 elements of FP32 take 16 bytes, not 15",
        ),
        (raw(&|request| request.raw_input_contents[0] = vec![0; 17].into()), "take 16 bytes, not 17"),
        // Outputs and parameters
        (
            changed(&|request| request.outputs = vec![requested("labels")]),
            "/outputs/0/name: the model has no output `labels`",
        ),
        (
            changed(&|request| request.outputs = vec![requested("label"), requested("label")]),
            "requested more than once",
        ),
        (
            changed(&|request| {
                let mut output = requested("label");
                output.parameters = with("classification", ParameterChoice::Int64Param(0));
                request.outputs = vec![output];
            }),
            "/outputs/0/parameters/classification: expected a whole number from 1",
        ),
        (
            changed(&|request| request.parameters = with("timeout", ParameterChoice::Int64Param(-1))),
            "/parameters/timeout: expected a whole number from 0",
        ),
        (
            changed(&|request| request.parameters = with("timeout", ParameterChoice::DoubleParam(f64::NAN))),
            "/parameters/timeout: expected",
        ),
        (
            changed(&|request| request.parameters = with("triton_x", ParameterChoice::BoolParam(true))),
            "are reserved",
        ),
        (
            changed(&|request| {
                request.parameters.insert(
                    "x".to_owned(),
                    onnx_gateway::protocols::open_inference::grpc::proto::InferParameter::default(),
                );
            }),
            "/parameters/x: expected a text",
        ),
    ];
    table::each_async(cases, async |(request, expected)| {
        let (code, message) = refused(client.model_infer(request.clone()).await);
        assert_eq!(code, Code::InvalidArgument, "{expected}: {message}");
        assert!(message.contains(expected), "{expected}: {message}");
    })
    .await;
    let cases =
        [("nothing", ""), ("", ""), ("iris", "9"), ("iris", "-1"), ("iris", "no such"), ("\u{1f300}", "")];
    table::each_async(cases, async |(name, version)| {
        let request = ModelInferRequest {
            model_name: name.to_owned(),
            model_version: version.to_owned(),
            ..setosa_raw()
        };
        assert_eq!(refused(client.model_infer(request).await).0, Code::NotFound, "{name} {version}");
    })
    .await;
}

// --- Who may, and how much ---

#[tokio::test]
async fn grpc_refuses_whom_rest_refuses() {
    let gateway = TestGateway::builder().model("wine.onnx", "regressor").start().await;
    let ask = async |token: &TokenBuilder| gateway.grpc_with(token).model_infer(setosa_raw()).await;
    assert_eq!(
        refused(gateway.grpc_without_token().model_infer(setosa_raw()).await).0,
        Code::Unauthenticated
    );
    let good = TokenBuilder::new();
    ask(&good).await.unwrap();
    let cases = [
        (good.clone().claim("exp", json!(crate::support::tokens::now() - 60)), Code::Unauthenticated),
        (good.clone().claim("aud", json!("else")), Code::Unauthenticated),
        (good.clone().header("alg", json!("none")), Code::Unauthenticated),
        (good.clone().scope(""), Code::PermissionDenied),
        (good.clone().scope("read manage"), Code::PermissionDenied),
        (good.clone().scope("predict:wine"), Code::PermissionDenied),
    ];
    table::each_async(cases, async |(token, code)| {
        let status = ask(&token).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        let challenge = status.metadata().get("www-authenticate").unwrap().to_str().unwrap();
        assert!(challenge.starts_with("Bearer realm=\"onnx-gateway\", error=\"in"), "{challenge}");
    })
    .await;
    ask(&good.clone().scope("predict:iris")).await.unwrap();

    let mut reader = gateway.grpc_with(&good.clone().scope("read:iris"));
    let named = |name: &str| ModelMetadataRequest { name: name.to_owned(), ..Default::default() };
    reader.model_metadata(named("iris")).await.unwrap();
    assert_eq!(refused(reader.model_metadata(named("wine")).await).0, Code::PermissionDenied);
    // Whether there is a model is nothing to tell.
    assert_eq!(refused(reader.model_metadata(named("nothing")).await).0, Code::PermissionDenied);
    let all = reader.model_statistics(ModelStatisticsRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.model_stats.len(), 1, "only of what it may read");
    assert_eq!(
        refused(reader.repository_index(RepositoryIndexRequest::default()).await).0,
        Code::PermissionDenied
    );
    let load = RepositoryModelLoadRequest { model_name: "iris".to_owned(), ..Default::default() };
    assert_eq!(refused(reader.repository_model_load(load).await).0, Code::PermissionDenied);
    let mut nobody = gateway.grpc_with(&good.scope("predict"));
    let config = ModelConfigRequest { name: "iris".to_owned(), ..Default::default() };
    assert_eq!(refused(nobody.model_config(config).await).0, Code::PermissionDenied);
}

#[tokio::test]
async fn the_quota_of_a_caller_is_one_for_both() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_caller.requests = 3;
            settings.rate_limit.per_caller.period_seconds = 3600;
        })
        .start()
        .await;
    let mut client = gateway.grpc();
    client.model_infer(setosa_raw()).await.unwrap();
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    client.model_infer(setosa_raw()).await.unwrap();
    let status = client.model_infer(setosa_raw()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let seconds: u64 = status.metadata().get("retry-after").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=1210).contains(&seconds), "{seconds}");
    assert_eq!(status.metadata().get("ratelimit-policy").unwrap(), "\"caller\";q=3;w=3600");
    assert_eq!(status.metadata().get("ratelimit").unwrap(), &format!("\"caller\";r=0;t={seconds}"));
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::TOO_MANY_REQUESTS);
    let other = TokenBuilder::new().claim("sub", json!("other"));
    gateway.grpc_with(&other).model_infer(setosa_raw()).await.unwrap();
}

#[tokio::test]
async fn the_quota_of_tokens_that_are_not_believed_is_one_for_both() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.failed_tokens.requests = 2;
            settings.rate_limit.failed_tokens.period_seconds = 3600;
        })
        .start()
        .await;
    let mut nobody = gateway.grpc_without_token();
    assert_eq!(refused(nobody.model_infer(setosa_raw()).await).0, Code::Unauthenticated);
    let forged = gateway.client.post(gateway.url("/predict")).bearer_auth("a.b.c").send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    let status = nobody.model_infer(setosa_raw()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.metadata().get("ratelimit-policy").unwrap(), "\"failed-tokens\";q=2;w=3600");
    assert!(status.metadata().contains_key("retry-after"));
    gateway.grpc().model_infer(setosa_raw()).await.unwrap();
}

#[tokio::test]
async fn the_quota_of_an_address_is_one_for_both_and_probes_are_not_counted() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_address.requests = 3;
            settings.rate_limit.per_address.period_seconds = 3600;
        })
        .start()
        .await;
    let mut nobody = gateway.grpc_without_token();
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK);
    assert_eq!(refused(nobody.model_infer(setosa_raw()).await).0, Code::Unauthenticated);
    gateway.grpc().model_infer(setosa_raw()).await.unwrap();
    for _ in 0..3 {
        let status = gateway.grpc().model_infer(setosa_raw()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("ratelimit-policy").unwrap(), "\"address\";q=3;w=3600");
        nobody.server_live(ServerLiveRequest {}).await.unwrap();
        nobody.server_ready(ServerReadyRequest {}).await.unwrap();
    }
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::TOO_MANY_REQUESTS);
}
