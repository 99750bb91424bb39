//! A row costs one on every protocol, along both paths.

use serde_json::{Value, json};
use tonic::Code;

use super::{a_day, left, of_callers, predict, send, token_of};
use crate::support::{
    Answer, TestGateway,
    grpc::{input, setosa_raw},
    setosa, table,
};

const ROW: [f32; 4] = [5.1, 3.5, 1.4, 0.2];

/// A path of each protocol with a body of this number of rows, and its content type.
fn every_protocol(rows: usize) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let instances = vec![ROW; rows];
    let flat: Vec<f32> = instances.concat();
    let tensor = json!({"name": "features", "datatype": "FP32", "shape": [rows, 4], "data": flat});
    let native = json!({"instances": instances});
    let csv = instances.iter().map(|_| "5.1,3.5,1.4,0.2\n").collect::<String>();
    let json = |body: &Value| body.to_string().into_bytes();
    let (of_json, of_csv) = ("application/json", "text/csv; header=absent");
    vec![
        ("/predict", of_json, json(&native)),
        ("/models/iris/predict", of_json, json(&json!({"inputs": {"features": instances}}))),
        ("/v2/models/iris/infer", of_json, json(&json!({"inputs": [tensor]}))),
        ("/v1/models/iris:predict", of_json, json(&native)),
        ("/v1/models/iris:predict", of_json, json(&json!({"inputs": instances}))),
        ("/invocations", of_json, json(&native)),
        ("/invocations", of_json, json(&json!({"dataframe_split": {"data": instances}}))),
        ("/invocations", of_csv, csv.clone().into_bytes()),
        ("/models/iris/invoke", of_csv, csv.into_bytes()),
        ("/ask", of_json, json(&native)),
    ]
}

/// The same as bytes of the Open Inference Protocol, with the length of its JSON.
fn binary(rows: usize) -> (usize, Vec<u8>) {
    let bytes: Vec<u8> = ROW.repeat(rows).iter().flat_map(|number| number.to_le_bytes()).collect();
    let parameters = json!({"binary_data_size": bytes.len()});
    let tensor =
        json!({"name": "features", "datatype": "FP32", "shape": [rows, 4], "parameters": parameters});
    let head = json!({"inputs": [tensor]}).to_string();
    (head.len(), [head.as_bytes(), &bytes].concat())
}

async fn post(
    gateway: &TestGateway,
    subject: &str,
    path: &str,
    kind: &str,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> Answer {
    let request = gateway.client.post(gateway.url(path)).bearer_auth(token_of(subject).build());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request.header("content-type", kind).body(body)).await
}

/// Headers that take a request along the fast path, once its token is known, and along the slow one.
const PATHS: [&[(&str, &str)]; 2] = [&[], &[("x-tenant", "a")]];

#[tokio::test]
async fn a_thousand_rows_cost_a_thousand_on_every_rest_protocol() {
    let gateway = TestGateway::builder().settings(of_callers(1500)).start().await;
    let requests = every_protocol(1000);
    let cases =
        requests.iter().enumerate().flat_map(|case| PATHS.iter().enumerate().map(move |way| (case, way)));
    table::each_async(cases, async |((case, (path, kind, body)), (way, headers))| {
        let subject = format!("{case} {way}");
        // The token is known from now on.
        let one = predict(&gateway, &token_of(&subject).build()).await;
        assert_eq!((one.status.as_u16(), left(&one.headers, "caller")), (200, 1499));
        let answer = post(&gateway, &subject, path, kind, body.clone(), headers).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(left(&answer.headers, "caller"), 499, "{path} {kind} {headers:?}");
    })
    .await;
    let (length, body) = binary(1000);
    table::each_async(PATHS, async |headers| {
        let subject = format!("binary {}", headers.len());
        predict(&gateway, &token_of(&subject).build()).await;
        let length = length.to_string();
        let headers = [headers, &[("inference-header-content-length", length.as_str())]].concat();
        let path = "/v2/models/iris/infer";
        let answer = post(&gateway, &subject, path, "application/octet-stream", body.clone(), &headers).await;
        assert_eq!((answer.status.as_u16(), left(&answer.headers, "caller")), (200, 499), "{answer:?}");
    })
    .await;
}

/// A call with this number of rows.
fn call(rows: usize) -> onnx_gateway::protocols::open_inference::grpc::proto::ModelInferRequest {
    let mut call = setosa_raw();
    let shape = [i64::try_from(rows).unwrap(), 4];
    call.inputs = vec![input("features", "FP32", &shape, None)];
    call.raw_input_contents = vec![call.raw_input_contents[0].repeat(rows).into()];
    call
}

#[tokio::test]
async fn a_thousand_rows_cost_a_thousand_over_grpc() {
    let gateway = TestGateway::builder().settings(of_callers(2500)).start().await;
    for (subject, tenant) in [("fast", None), ("slow", Some("a"))] {
        let mut client = gateway.grpc_with(&token_of(subject));
        client.model_infer(call(1)).await.unwrap();
        let mut request = tonic::Request::new(call(1000));
        if let Some(tenant) = tenant {
            request.metadata_mut().insert("x-tenant", tenant.parse().unwrap());
        }
        let answer = client.model_infer(request).await.unwrap();
        assert_eq!(left(&answer.metadata().clone().into_headers(), "caller"), 1499, "{subject}");
    }
    let mut client = gateway.grpc_with(&token_of("stream"));
    let messages = futures_util::stream::iter([call(1000), call(1000), call(1000)]);
    let mut answers = client.model_stream_infer(messages).await.unwrap().into_inner();
    let mut errors = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        errors.push(answer.error_message);
    }
    assert_eq!((errors[0].as_str(), errors[1].as_str()), ("", ""));
    assert!(errors[2].contains("rate_limit.per_caller"), "{errors:?}");
    let refused = client.model_infer(call(2501)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("2501 rows"), "{refused:?}");
    assert!(!refused.metadata().contains_key("retry-after"), "waiting does not help: {refused:?}");
}

#[tokio::test]
async fn a_call_of_a_tool_costs_as_much_as_its_rows() {
    let builder = TestGateway::builder().model("texts.onnx", "kinds/texts").settings(of_callers(100));
    let gateway = builder.start().await;
    let token = token_of("agent").build();
    let call = async |name: &str, arguments: Value| {
        let params = json!({"name": name, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = gateway.client.post(gateway.url("/mcp")).bearer_auth(&token);
        let request = request.header("mcp-protocol-version", "2025-11-25");
        send(request.header("accept", "application/json, text/event-stream").json(&message)).await
    };
    let features = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let names: Vec<String> = vec!["word".to_owned(); 3];
    let one = call("iris", features).await;
    assert_eq!((one.status.as_u16(), left(&one.headers, "caller")), (200, 99), "{one:?}");
    let many = call("texts", json!({"inputs": {"x": [names, names]}})).await;
    // Its inputs have no batch dimension, so they are one row.
    assert_eq!((many.status.as_u16(), left(&many.headers, "caller")), (200, 98), "{many:?}");
}

#[tokio::test]
async fn rows_that_can_never_fit_are_told_so() {
    let gateway = TestGateway::builder().settings(of_callers(10)).start().await;
    let requests = every_protocol(11);
    let cases =
        requests.iter().enumerate().flat_map(|case| PATHS.iter().enumerate().map(move |way| (case, way)));
    table::each_async(cases, async |((case, (path, kind, body)), (way, headers))| {
        let subject = format!("{case} {way}");
        predict(&gateway, &token_of(&subject).build()).await;
        let answer = post(&gateway, &subject, path, kind, body.clone(), headers).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(
            answer.text.contains("11 rows") && answer.text.contains("rate_limit.per_caller"),
            "{answer:?}"
        );
        assert!(answer.headers.get("retry-after").is_none(), "waiting does not help: {answer:?}");
        assert_eq!(left(&answer.headers, "caller"), 8, "{path}: the request itself costs one");
    })
    .await;
    let native =
        post(&gateway, "other", "/predict", "application/json", every_protocol(11)[0].2.clone(), &[]).await;
    assert_eq!(native.problem_code(), "rows_exceed_quota");
}

#[tokio::test]
async fn too_many_rows_for_now_cost_one() {
    let gateway = TestGateway::builder().settings(of_callers(10)).start().await;
    for (subject, headers) in ["fast", "slow"].into_iter().zip(PATHS) {
        let rows = |rows| {
            post(
                &gateway,
                subject,
                "/predict",
                "application/json",
                every_protocol(rows)[0].2.clone(),
                headers,
            )
        };
        assert_eq!(left(&rows(4).await.headers, "caller"), 6);
        let refused = rows(7).await;
        assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "caller_quota_exceeded"));
        // It has to come again with all of its rows: two more than are left.
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((8640..=2 * 8640 + 10).contains(&wait), "{wait}");
        assert_eq!(left(&rows(5).await.headers, "caller"), 0, "five were left: {subject}");
    }
}

#[tokio::test]
async fn requests_without_rows_and_those_that_are_refused_cost_one() {
    let gateway = TestGateway::builder().settings(of_callers(1000)).start().await;
    let token = token_of("a").build();
    let get = async |path: &str| send(gateway.client.get(gateway.url(path)).bearer_auth(&token)).await;
    assert_eq!(left(&get("/models").await.headers, "caller"), 999);
    assert_eq!(left(&get("/nothing").await.headers, "caller"), 998);
    let wrong = json!({"instances": vec![["a", "b", "c", "d"]; 100]}).to_string();
    for (place, headers) in PATHS.into_iter().enumerate() {
        let answer =
            post(&gateway, "a", "/predict", "application/json", wrong.clone().into_bytes(), headers).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(left(&answer.headers, "caller"), 997 - u32::try_from(place).unwrap());
    }
}

#[tokio::test]
async fn a_model_has_a_quota_for_all_its_callers() {
    let builder = TestGateway::builder().model("wine.onnx", "regressor").settings(of_callers(1000));
    let builder = builder.settings(|settings| {
        settings.rate_limit.per_model.insert("iris".parse().unwrap(), a_day(10));
    });
    let gateway = builder.start().await;
    let rows = async |subject: &str, rows: usize, headers| {
        post(&gateway, subject, "/predict", "application/json", every_protocol(rows)[0].2.clone(), headers)
            .await
    };
    gateway.reload(|settings| settings.models.default = Some("iris".parse().unwrap()));
    let first = rows("a", 4, PATHS[1]).await;
    assert_eq!((first.status.as_u16(), left(&first.headers, "model")), (200, 6), "{first:?}");
    let policy = r#""address";q=1000000;w=86400, "caller";q=1000;w=86400, "model";q=10;w=86400"#;
    assert_eq!(first.header("ratelimit-policy"), policy);
    let second = rows("a", 4, PATHS[0]).await;
    assert_eq!((left(&second.headers, "model"), left(&second.headers, "caller")), (2, 992));
    let refused = rows("b", 3, PATHS[0]).await;
    assert_eq!((refused.status.as_u16(), refused.problem_code()), (429, "model_quota_exceeded"));
    assert!(refused.text.contains("rate_limit.per_model.iris"), "{refused:?}");
    assert_eq!(refused.body["violated-policies"], json!(["model"]));
    assert_eq!(rows("b", 11, PATHS[0]).await.status, 413);
    let other = gateway.predict_at("/models/wine/predict", &setosa()).await;
    assert_ne!(other.status, 429, "another model has none: {other:?}");
    gateway.reload(|settings| settings.rate_limit.per_caller = a_day(2000));
    assert_eq!(rows("b", 3, PATHS[0]).await.status, 429, "an unchanged quota keeps its charges");
    gateway.reload(|settings| settings.rate_limit.per_model.clear());
    assert_eq!(rows("b", 3, PATHS[0]).await.status, 200);
}
