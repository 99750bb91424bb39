//! The Open Inference Protocol over REST, as its specification and clients have it.

use std::io::Write;

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, table, tokens::TokenBuilder};

const INFER: &str = "/v2/models/iris/infer";
const JSON_LENGTH: &str = "inference-header-content-length";

/// An answer with what follows its JSON.
struct Inferred {
    status: u16,
    headers: reqwest::header::HeaderMap,
    json: Value,
    binary: Vec<u8>,
}

async fn send(request: reqwest::RequestBuilder) -> Inferred {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    let length = headers.get(JSON_LENGTH).map(|value| value.to_str().unwrap().parse().unwrap());
    let (json, binary) = body.split_at(length.unwrap_or(body.len()));
    Inferred { status, headers, json: serde_json::from_slice(json).unwrap(), binary: binary.to_vec() }
}

async fn infer(gateway: &TestGateway, body: &Value) -> Inferred {
    send(gateway.post(INFER).body(body.to_string())).await
}

/// JSON with these bytes after it.
async fn infer_binary(gateway: &TestGateway, path: &str, json: &Value, binary: &[u8]) -> Inferred {
    let json = json.to_string();
    let body = [json.as_bytes(), binary].concat();
    send(gateway.post(path).header(JSON_LENGTH, json.len()).body(body)).await
}

fn input(data: &Value) -> Value {
    json!({"name": "features", "shape": [2, 4], "datatype": "FP32", "data": data})
}

fn two_rows() -> Value {
    json!({"inputs": [input(&json!([5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]))]})
}

fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The sentence of an error, which must say no more than that.
fn error(answer: &Inferred) -> String {
    assert!(answer.json.as_object().unwrap().len() == 1, "{}", answer.json);
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_model_is_described_and_asked() {
    let gateway = TestGateway::start().await;
    for path in ["/v2", "/v2/"] {
        let server = Answer::of(gateway.get(path).send().await.unwrap()).await;
        assert_eq!((server.status.as_u16(), &server.body["name"]), (200, &json!("onnx-gateway")));
    }
    let model = Answer::of(gateway.get("/v2/models/iris").send().await.unwrap()).await;
    assert_eq!(
        model.body,
        json!({"name": "iris", "versions": ["1"], "platform": "onnxruntime_onnx",
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]})
    );
    let version = Answer::of(gateway.get("/v2/models/iris/versions/1").send().await.unwrap()).await;
    assert_eq!(version.body, model.body);
    for path in ["/v2/models/iris/ready", "/v2/models/iris/versions/1/ready"] {
        let ready = Answer::of(gateway.get(path).send().await.unwrap()).await;
        assert_eq!((ready.status.as_u16(), ready.body), (200, json!({"name": "iris", "ready": true})));
    }
    let names = Answer::of(gateway.get("/v2/models").send().await.unwrap()).await;
    assert_eq!(names.body, json!({"models": ["iris"]}));
    let config = Answer::of(gateway.get("/v2/models/iris/config").send().await.unwrap()).await;
    assert_eq!(
        config.body["input"],
        json!([{"name": "features", "data_type": "TYPE_FP32", "dims": [-1, 4]}])
    );

    let answer = infer(&gateway, &two_rows()).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    assert_eq!((&answer.json["model_name"], &answer.json["model_version"]), (&json!("iris"), &json!("1")));
    assert!(answer.json.get("id").is_none());
    assert_eq!(
        answer.json["outputs"][0],
        json!({"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 2]})
    );
    let rows = json!({"inputs": {"features": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}});
    let native = gateway.predict(&rows).await.body;
    assert_eq!(answer.json["outputs"][1]["data"], native["outputs"]["probabilities"]["data"]);
    assert_eq!(answer.headers["x-model-version"], "1");
    assert_eq!(answer.headers["x-model-digest"].len(), 12);

    let nested = json!({"id": "7", "inputs": [input(&json!([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]))]});
    let again = infer(&gateway, &nested).await;
    assert_eq!(again.json["outputs"], answer.json["outputs"]);
    assert_eq!(again.json["id"], "7");
}

#[tokio::test]
async fn probes_need_no_token_and_all_else_does() {
    let gateway = TestGateway::start().await;
    for (path, body) in
        [("/v2/health/live", json!({"live": true})), ("/v2/health/ready", json!({"ready": true}))]
    {
        let answer = Answer::of(gateway.client.get(gateway.url(path)).send().await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, body), "{path}");
    }
    for path in ["/v2", "/v2/models", "/v2/models/iris", "/v2/models/iris/stats", "/v2/nothing"] {
        let answer = send(gateway.client.get(gateway.url(path))).await;
        assert_eq!(answer.status, 401, "{path}");
        error(&answer);
    }
    let token = |scope: &str| TokenBuilder::new().claim("scope", scope.into()).build();
    let request = gateway.client.post(gateway.url(INFER)).body(two_rows().to_string());
    let refused = send(request.try_clone().unwrap().bearer_auth(token("read"))).await;
    assert_eq!(refused.status, 403, "{}", error(&refused));
    assert_eq!(send(request.bearer_auth(token("predict:iris"))).await.status, 200);
}

#[tokio::test]
async fn outputs_come_in_the_order_and_form_that_is_asked_for() {
    let gateway = TestGateway::start().await;
    let mut body = two_rows();
    body["outputs"] =
        json!([{"name": "probabilities", "parameters": {"binary_data": true}}, {"name": "label"}]);
    let answer = infer(&gateway, &body).await;
    let names: Vec<&Value> =
        answer.json["outputs"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["probabilities", "label"]);
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.json["outputs"][0]["parameters"], json!({"binary_data_size": 24}));
    assert!(answer.json["outputs"][0].get("data").is_none());
    assert_eq!(answer.json["outputs"][1]["data"], json!([0, 2]));

    let as_json = infer(&gateway, &two_rows()).await;
    let probabilities = as_json.json["outputs"][1]["data"].as_array().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "they were 32-bit floats")]
    let expected: Vec<f32> = probabilities.iter().map(|number| number.as_f64().unwrap() as f32).collect();
    assert_eq!(answer.binary, little_endian(&expected), "bit for bit");

    // What tritonclient sends for JSON inputs and no list of outputs: no header, and bytes are wanted.
    let mut body = two_rows();
    body["parameters"] = json!({"binary_data_output": true});
    let answer = infer(&gateway, &body).await;
    assert_eq!(answer.json["outputs"][0]["parameters"], json!({"binary_data_size": 16}));
    assert_eq!(answer.binary.len(), 16 + 24);

    let mut body = two_rows();
    body["outputs"] = json!([{"name": "probabilities", "parameters": {"classification": 2}}]);
    let answer = infer(&gateway, &body).await;
    let output = &answer.json["outputs"][0];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("BYTES"), &json!([2, 2])));
    assert!(output["data"][0].as_str().unwrap().ends_with(":0:setosa"), "{output}");
    assert!(output["data"][2].as_str().unwrap().ends_with(":2:virginica"), "{output}");
}

#[tokio::test]
async fn tensors_travel_as_bytes() {
    let gateway = TestGateway::start().await;
    let numbers = [5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3];
    let bytes = little_endian(&numbers);
    let binary_input = |size: usize| {
        json!({"inputs": [{"name": "features", "shape": [2, 4], "datatype": "FP32",
            "parameters": {"binary_data_size": size}}]})
    };
    let expected = infer(&gateway, &two_rows()).await.json;
    let answer = infer_binary(&gateway, INFER, &binary_input(32), &bytes).await;
    assert_eq!(answer.json, expected);

    // The body is the only input.
    let raw = send(gateway.post(INFER).header(JSON_LENGTH, 0).body(bytes.clone())).await;
    assert_eq!(raw.status, 200, "{}", raw.json);
    assert_eq!(raw.json["outputs"][0]["shape"], json!([2]));
    assert_eq!(raw.binary.len(), 16 + 24);

    let cases = [
        (binary_input(32), &bytes[..31], "/inputs/0/parameters/binary_data_size"),
        (binary_input(28), &bytes[..28], "/inputs/0"),
        (binary_input(32), &[&bytes[..], b"x"].concat()[..], "1 bytes are left over"),
        (
            json!({"inputs": [{"name": "features", "shape": [2, 4], "datatype": "FP32"}]}),
            &bytes[..],
            "/inputs/0",
        ),
    ];
    table::each_async(cases, async |(json, binary, place)| {
        let answer = infer_binary(&gateway, INFER, &json, binary).await;
        assert_eq!(answer.status, 400, "{json}");
        assert!(error(&answer).contains(place), "{place}: {}", answer.json);
    })
    .await;
    let mut both = two_rows();
    both["inputs"][0]["parameters"] = json!({"binary_data_size": 32});
    let answer = infer_binary(&gateway, INFER, &both, &bytes).await;
    assert!(error(&answer).contains("both `data` and `binary_data_size`"), "{}", answer.json);
    table::each_async(["-1", "1000000", "x", "", "1, 2", "18446744073709551616"], async |length| {
        let answer = send(gateway.post(INFER).header(JSON_LENGTH, length).body(two_rows().to_string())).await;
        assert_eq!(answer.status, 400, "{length}: {}", answer.json);
        error(&answer);
    })
    .await;
}

#[tokio::test]
async fn texts_and_truths_travel_in_both_forms() {
    let gateway = TestGateway::builder_without_models()
        .model("texts.onnx", "kinds/texts")
        .model("truths.onnx", "kinds/truths")
        .model("half.onnx", "kinds/half")
        .start()
        .await;
    table::each_async(["texts", "truths", "half"], async |name| {
        let path = format!("/v2/models/{name}");
        let model = Answer::of(gateway.get(&path).send().await.unwrap()).await.body;
        let inputs = model["inputs"].as_array().unwrap();
        let (mut as_json, mut as_binary, mut binary) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            let shape: Vec<i64> =
                input["shape"].as_array().unwrap().iter().map(|size| size.as_i64().unwrap().max(1)).collect();
            let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
            let (data, bytes) = match input["datatype"].as_str().unwrap() {
                "BYTES" => (json!(vec!["größer"; count]), {
                    let text = "größer".as_bytes();
                    [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text].concat().repeat(count)
                }),
                "BOOL" => (json!(vec![true; count]), vec![1; count]),
                "FP16" => (json!(vec![1.5; count]), [0x00, 0x3e].repeat(count)),
                "FP32" => (json!(vec![1.5; count]), little_endian(&vec![1.5; count])),
                other => panic!("{name}: {other}"),
            };
            let with = |key: &str, value: Value| json!({"name": input["name"], "datatype": input["datatype"], "shape": shape, key: value});
            as_json.push(with("data", data));
            as_binary.push(with("parameters", json!({"binary_data_size": bytes.len()})));
            binary.extend(bytes);
        }
        let path = format!("{path}/infer");
        let one = send(gateway.post(&path).body(json!({"inputs": as_json}).to_string())).await;
        assert_eq!(one.status, 200, "{name}: {}", one.json);
        let other = infer_binary(&gateway, &path, &json!({"inputs": as_binary}), &binary).await;
        assert_eq!(one.json, other.json, "{name}");
    })
    .await;
}

#[tokio::test]
async fn probabilities_in_maps_are_one_tensor() {
    let gateway = TestGateway::builder_without_models().model("zip.onnx", "kinds/zip_map").start().await;
    let model = Answer::of(gateway.get("/v2/models/zip").send().await.unwrap()).await.body;
    let output = &model["outputs"][1];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("FP32"), &json!([-1, -1])));
    let name = &model["inputs"][0]["name"];
    let body = json!({"inputs": [{"name": name, "datatype": "FP32", "shape": [2, 2], "data": [0, 0, 9, 9]}],
        "outputs": [{"name": output["name"]}, {"name": model["outputs"][0]["name"]}]});
    let answer = send(gateway.post("/v2/models/zip/infer").body(body.to_string())).await;
    assert_eq!(answer.json["outputs"][0]["shape"], json!([2, 2]), "{}", answer.json);
}

#[tokio::test]
async fn bodies_may_be_compressed() {
    let gateway = TestGateway::builder()
        .settings(|settings| settings.server.max_tensor_body_bytes = 100_000)
        .start()
        .await;
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |bytes: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let expected = infer(&gateway, &two_rows()).await.json;
    let json = two_rows().to_string();
    for (encoding, body) in [("gzip", gzip(json.as_bytes())), ("deflate", deflate(json.as_bytes()))] {
        let answer = send(gateway.post(INFER).header("content-encoding", encoding).body(body)).await;
        assert_eq!(answer.json, expected, "{encoding}");
        let request = gateway.post(INFER).header("accept-encoding", encoding).body(json.clone());
        assert_eq!(request.send().await.unwrap().headers()["content-encoding"], encoding);
    }
    // The length of the JSON is that of the unpacked body.
    let head = json!({"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32",
        "parameters": {"binary_data_size": 16}}]})
    .to_string();
    let body = gzip(&[head.as_bytes(), &little_endian(&[5.1, 3.5, 1.4, 0.2])].concat());
    let request = gateway.post(INFER).header("content-encoding", "gzip").header(JSON_LENGTH, head.len());
    assert_eq!(send(request.body(body)).await.status, 200);

    let cases = [
        ("br", json.clone().into_bytes(), 415),
        ("gzip", json.clone().into_bytes(), 400),
        ("gzip", gzip(&vec![b' '; 10_000_000]), 413),
    ];
    table::each_async(cases, async |(encoding, body, status)| {
        let answer = send(gateway.post(INFER).header("content-encoding", encoding).body(body)).await;
        assert_eq!(answer.status, status, "{encoding}: {}", answer.json);
        // An error is as it is, whatever its caller takes.
        let request = gateway.post(INFER).header("accept-encoding", "gzip").body("{}");
        assert!(!request.send().await.unwrap().headers().contains_key("content-encoding"));
        error(&answer);
    })
    .await;
}

#[tokio::test]
async fn whatever_is_wrong_is_named() {
    let gateway = TestGateway::start().await;
    let with = |change: fn(&mut Value)| {
        let mut body = two_rows();
        change(&mut body);
        body.to_string()
    };
    let cases = [
        (with(|body| body["inputs"][0]["name"] = json!("feature")), "did you mean `features`"),
        (with(|body| body["inputs"] = json!([])), "/inputs/features"),
        (with(|body| body["inputs"] = json!([body["inputs"][0], body["inputs"][0]])), "more than once"),
        (with(|body| body["inputs"][0]["datatype"] = json!("FP64")), "takes FP32, not FP64"),
        (with(|body| body["inputs"][0]["datatype"] = json!("fp32")), "/inputs/0/datatype"),
        (with(|body| body["inputs"][0]["shape"] = json!([4, 2])), "expected FP32 [?, 4]"),
        (with(|body| body["inputs"][0]["shape"] = json!([8])), "expected FP32 [?, 4]"),
        (with(|body| body["inputs"][0]["shape"] = json!([-2, -4])), "/inputs/0/shape/0"),
        (with(|body| body["inputs"][0]["shape"] = json!([u64::MAX, 4])), "/inputs/0/shape/0"),
        (with(|body| body["inputs"][0]["shape"] = json!([1_u64 << 62, 4])), "/inputs/0/shape"),
        (with(|body| body["inputs"][0]["shape"] = json!([3, 4])), "holds 12 elements, not 8"),
        (with(|body| body["inputs"][0]["shape"] = json!([0, 1_u64 << 40])), "/inputs/0"),
        (with(|body| body["inputs"][0]["data"][3] = json!(1e39)), "/inputs/0/data/3"),
        (with(|body| body["inputs"][0]["data"][3] = json!(null)), "/inputs/0/data/3"),
        (with(|body| body["inputs"][0]["data"][3] = json!([1])), "/inputs/0/data/3"),
        (with(|body| body["inputs"][0]["parameters"] = json!({"a": []})), "/inputs/0/parameters/a"),
        (with(|body| body["parameters"] = json!({"triton_x": 1})), "/parameters/triton_x"),
        (with(|body| body["parameters"] = json!({"timeout": -1})), "/parameters/timeout"),
        (with(|body| body["outputs"] = json!([{"name": "proba"}])), "/outputs/0/name"),
        (with(|body| body["outputs"] = json!([{"name": "label"}, {"name": "label"}])), "/outputs/1/name"),
        (
            with(|body| body["outputs"] = json!([{"name": "label", "parameters": {"classification": 0}}])),
            "/outputs/0/parameters/classification",
        ),
        (
            with(|body| body["inputs"][0]["parameters"] = json!({"shared_memory_region": "r"})),
            "shared memory is not supported",
        ),
        (with(|body| body["id"] = json!(7)), "/id"),
        (two_rows().to_string().replace("0.2", "NaN"), r#"the texts "NaN""#),
        (two_rows().to_string().replace("0.2", "-Infinity"), r#"the texts "NaN""#),
        ("[]".to_owned(), "expected an object"),
        (String::new(), "not valid JSON"),
        ("{}".to_owned(), "inputs"),
    ];
    table::each_async(cases, async |(body, place)| {
        let answer = send(gateway.post(INFER).body(body.clone())).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.json);
        assert!(error(&answer).contains(place), "{body}: {} has no {place}", answer.json);
    })
    .await;
    let named = with(|body| {
        body["id"] = json!("7");
        body["inputs"] = json!([]);
    });
    assert_eq!(send(gateway.post(INFER).body(named)).await.json["id"], "7");
    let cases = [
        (reqwest::Method::GET, INFER, 405),
        (reqwest::Method::POST, "/v2/models/nothing/infer", 404),
        (reqwest::Method::POST, "/v2/models/iris/versions/9/infer", 404),
        (reqwest::Method::POST, "/v2/models/iris/versions/-1/infer", 404),
        (reqwest::Method::GET, "/v2/models/nothing", 404),
        (reqwest::Method::GET, "/v2/repository/index", 405),
        (reqwest::Method::POST, "/v2/models/iris/nothing", 404),
    ];
    table::each_async(cases, async |(method, path, status)| {
        let request = gateway.client.request(method.clone(), gateway.url(path));
        let answer =
            send(request.bearer_auth(TokenBuilder::new().build()).body(two_rows().to_string())).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.json);
        error(&answer);
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_is_counted() {
    let gateway = TestGateway::start().await;
    for _ in 0..3 {
        infer(&gateway, &two_rows()).await;
    }
    gateway.predict(&crate::support::setosa()).await;
    let cases = ["/v2/models/stats", "/v2/models/iris/stats", "/v2/models/iris/versions/1/stats"];
    table::each_async(cases, async |path| {
        let stats = Answer::of(gateway.get(path).send().await.unwrap()).await.body;
        let stats = &stats["model_stats"][0];
        assert_eq!((&stats["name"], &stats["version"]), (&json!("iris"), &json!("1")), "{path}");
        assert_eq!((&stats["inference_count"], &stats["execution_count"]), (&json!(7), &json!(4)), "{path}");
        assert_eq!(stats["inference_stats"]["success"]["count"], 4);
        assert!(stats["inference_stats"]["compute_infer"]["ns"].as_u64().unwrap() > 0);
        assert_eq!(stats["batch_stats"][1]["batch_size"], 2);
        assert_eq!(stats["batch_stats"][1]["compute_infer"]["count"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_request_says_how_long_it_waits() {
    let gateway = TestGateway::builder_without_models().model("slow.onnx", "slow").start().await;
    // It would run for half a minute.
    let body = json!({"parameters": {"timeout": 1}, "inputs": [{"name": "turns", "shape": [1, 1], "datatype": "FP32",
        "data": [2e7]}]});
    let answer = send(gateway.post("/v2/models/slow/infer").body(body.to_string())).await;
    assert_eq!(answer.status, 504, "{}", answer.json);
    assert!(error(&answer).contains("the request took longer than its own timeout"), "{}", answer.json);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_answered_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.2),
        shift in -3_i64..4,
    ) {
        static GATEWAY: std::sync::LazyLock<(tokio::runtime::Runtime, TestGateway)> =
            std::sync::LazyLock::new(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let gateway = runtime.block_on(TestGateway::start());
                (runtime, gateway)
            });
        let json = json!({"id": "x", "inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32",
            "parameters": {"binary_data_size": 16}}], "outputs": [{"name": "label"}]}).to_string();
        let mut body = [json.as_bytes(), &little_endian(&[5.1, 3.5, 1.4, 0.2])].concat();
        for (index, byte) in &changes {
            let position = index.index(body.len());
            body[position] = *byte;
        }
        if is_cut {
            body.truncate(cut.index(body.len()));
        }
        let length = i64::try_from(json.len()).unwrap() + shift;
        let (runtime, gateway) = &*GATEWAY;
        let request = gateway.post(INFER).header(JSON_LENGTH, length).body(body);
        let status = runtime.block_on(request.send()).unwrap().status().as_u16();
        prop_assert!(status == 200 || status == 400, "{}", status);
    }
}
