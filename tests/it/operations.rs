//! What operators do to models while they serve: load, unload, roll back, and what is told of it afterwards.

use onnx_gateway::model::Digest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    Answer, TestGateway, pause,
    repository::{iris, test_model},
    setosa, table,
    tokens::TokenBuilder,
};

const LOAD: &str = "/v2/repository/models/iris/load";
const UNLOAD: &str = "/v2/repository/models/iris/unload";
const INDEX: &str = "/v2/repository/index";

/// The digest that answers show.
fn short(content: &[u8]) -> String {
    Digest::of(content).short()
}

fn serves(content: &[u8]) -> impl Fn(&Answer) -> bool {
    let digest = short(content);
    move |answer| answer.status == StatusCode::OK && answer.header("x-model-digest") == digest
}

/// The forest with another number of nothing at its end, so that it is another file that answers the same: a field that
/// no reader of ONNX knows.
fn variant(number: u8) -> Vec<u8> {
    // Field 1000, a varint.
    [iris(), vec![0xc0, 0x3e, number]].concat()
}

/// Puts this over version 1 and waits until it serves.
async fn deploy(gateway: &TestGateway, content: &[u8]) {
    gateway.repository.put("iris/1/model.onnx", content);
    gateway.predict_until(serves(content)).await;
}

/// Event, who wanted it, the first digits of its digest and of the one that it replaces, and its reason.
fn told(entry: &Value) -> [String; 5] {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let digits = |key: &str| text(key).chars().take(12).collect::<String>();
    [text("event"), text("by"), digits("digest"), digits("replaces"), text("reason")]
}

async fn asked(gateway: &TestGateway, path: &str, scope: &str) -> Answer {
    let token = TokenBuilder::new().scope(scope).build();
    Answer::of(gateway.client.post(gateway.url(path)).bearer_auth(token).send().await.unwrap()).await
}

async fn load_with(gateway: &TestGateway, body: &Value) -> Answer {
    Answer::of(gateway.post(LOAD).json(body).send().await.unwrap()).await
}

#[tokio::test]
async fn the_index_lists_every_version_with_its_state_and_why() {
    let builder = TestGateway::builder().model("broken.onnx", "nan_weights").model("line.onnx", "regressor");
    let gateway = builder.model("iris/2/model.onnx", "iris_retrained").start().await;
    let index = gateway.manage(INDEX).await;
    assert_eq!((index.status, index.header("content-type")), (StatusCode::OK, "application/json"));
    let shown: Vec<[&str; 3]> = index
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| ["name", "version", "state"].map(|key| entry[key].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            ["broken", "1", "UNAVAILABLE"],
            ["iris", "1", "UNAVAILABLE"],
            ["iris", "2", "READY"],
            ["line", "1", "READY"]
        ]
    );
    assert_eq!(index.body[0]["reason"], "non_finite_output: output `y` holds NaN or infinity");
    assert_eq!(index.body[1]["reason"], "", "a newer one serves");

    let names = async |body: &Value| {
        let answer = Answer::of(gateway.post(INDEX).json(body).send().await.unwrap()).await;
        let entries = answer.body.as_array().unwrap().clone();
        entries.iter().map(|entry| format!("{} {}", entry["name"], entry["version"])).collect::<Vec<_>>()
    };
    assert_eq!(names(&json!({"ready": true})).await, [r#""iris" "2""#, r#""line" "1""#]);
    assert_eq!(names(&json!({"ready": false})).await.len(), 4);
    assert_eq!(names(&json!({})).await.len(), 4);
}

#[tokio::test]
async fn what_is_unloaded_stays_away_until_it_is_loaded() {
    let gateway = TestGateway::start().await;
    let unloaded = gateway.manage(UNLOAD).await;
    assert_eq!((unloaded.status, &unloaded.body), (StatusCode::OK, &json!({})));
    let away = async |gateway: &TestGateway| {
        let answer = gateway.predict(&setosa()).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (503, "model_unavailable"));
        assert_eq!(gateway.indexed("iris", "1").await["state"], "UNAVAILABLE");
    };
    away(&gateway).await;
    let again = gateway.manage(UNLOAD).await;
    assert_eq!(again.status, StatusCode::OK, "it is away, as it is to be");

    gateway.repository.put_test_model("iris/1/model.onnx", "iris_retrained");
    gateway.repository.put("iris/2/model.onnx", &variant(2));
    gateway.everything_is_dealt_with().await;
    away(&gateway).await;

    let gateway = gateway.stop().await.start().await;
    gateway.everything_is_dealt_with().await;
    away(&gateway).await;

    let loaded = gateway.manage(LOAD).await;
    assert_eq!((loaded.status, &loaded.body), (StatusCode::OK, &json!({})));
    let answer = gateway.predict(&setosa()).await;
    assert!(serves(&variant(2))(&answer), "it serves when load answers: {answer:?}");

    let gateway = gateway.stop().await.start().await;
    assert!(serves(&variant(2))(&gateway.predict(&setosa()).await), "loading is remembered too");
}

#[tokio::test]
async fn a_load_that_is_refused_ends_the_unloading_after_a_restart_too() {
    let gateway = TestGateway::start().await;
    gateway.manage(UNLOAD).await;
    gateway.repository.put_test_model("iris/1/model.onnx", "nan_weights");
    assert_eq!(gateway.manage(LOAD).await.status, StatusCode::CONFLICT);
    let stopped = gateway.stop().await;
    stopped.repository.put_iris("iris/1/model.onnx");
    let gateway = stopped.start().await;
    gateway.answer_until("/predict", serves(&iris())).await;
}

/// A request that is refused, with a part of the reason.
#[derive(Clone, Debug)]
struct Refused<'r> {
    /// Not sent if empty.
    token: &'r str,
    method: Method,
    path: &'static str,
    body: &'r str,
    status: u16,
    part: &'static str,
}

#[tokio::test]
async fn errors_are_in_the_words_of_the_protocol() {
    let builder = TestGateway::builder().settings(|settings| settings.server.max_body_bytes = 1000);
    let gateway = builder.model("line.onnx", "regressor").start().await;
    let everything = TokenBuilder::new().build();
    let narrow = TokenBuilder::new().scope("manage:iris").build();
    let reader = TokenBuilder::new().scope("predict read").build();
    let long = format!(r#"{{"parameters":{{"a":"{}"}}}}"#, "x".repeat(2000));
    let known = "unknown parameter: this takes `allow_breaking_changes` (true or false)";
    let usual =
        Refused { token: &everything, method: Method::POST, path: LOAD, body: "", status: 400, part: known };
    let scope = "the token lacks the scope `manage`";
    let no_model = "there is no model `rose`";
    let cases = [
        Refused { token: "", path: INDEX, status: 401, part: "this needs a token", ..usual.clone() },
        Refused {
            token: "nonsense",
            status: 401,
            part: "the token is expired, malformed, or not meant",
            ..usual.clone()
        },
        Refused { token: &reader, path: INDEX, status: 403, part: scope, ..usual.clone() },
        Refused { token: &reader, status: 403, part: scope, ..usual.clone() },
        Refused {
            token: &reader,
            path: "/v2/repository/models/rose/unload",
            status: 403,
            part: "lacks the scope `manage`",
            ..usual.clone()
        },
        Refused {
            token: &narrow,
            path: "/v2/repository/models/line/load",
            status: 403,
            part: "the token lacks the scope `manage` (or `manage:line`)",
            ..usual.clone()
        },
        Refused { path: "/v2/repository/models/rose/load", status: 404, part: no_model, ..usual.clone() },
        Refused { path: "/v2/repository/models/rose/unload", status: 404, part: no_model, ..usual.clone() },
        Refused {
            path: "/v2/repository/models/..%2Firis/load",
            status: 404,
            part: "of such a name",
            ..usual.clone()
        },
        Refused {
            path: "/v2/repository/models/iris/reload",
            status: 404,
            part: "there is no such path",
            ..usual.clone()
        },
        Refused {
            method: Method::GET,
            path: INDEX,
            status: 405,
            part: "this path does not take this method",
            ..usual.clone()
        },
        Refused {
            method: Method::DELETE,
            status: 405,
            part: "this path does not take this method",
            ..usual.clone()
        },
        Refused { body: &long, status: 413, part: "the body is larger than", ..usual.clone() },
        Refused { body: "{", part: "the body is not valid JSON", ..usual.clone() },
        Refused { path: INDEX, body: "ready", part: "the body is not valid JSON", ..usual.clone() },
        Refused { body: r#"{"parameters":{"config":"{}"}}"#, ..usual.clone() },
        Refused { body: r#"{"parameters":{"file:1/model.onnx":"AAAA"}}"#, ..usual.clone() },
        Refused { body: r#"{"parameters":{"allow_breaking_changes":"yes"}}"#, ..usual.clone() },
        Refused {
            path: UNLOAD,
            body: r#"{"parameters":{"allow_breaking_changes":true}}"#,
            part: "`unload_dependents`",
            ..usual.clone()
        },
        Refused { body: r#"{"model":"x"}"#, part: "unknown field", ..usual.clone() },
        Refused { path: INDEX, body: r#"{"ready":"yes"}"#, part: "/ready", ..usual },
    ];
    table::each_async(cases, async |refused| {
        let Refused { token, method, path, body, status, part } = refused;
        let mut request = gateway.client.request(method.clone(), gateway.url(path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = Answer::of(request.body(body.to_owned()).send().await.unwrap()).await;
        let asked = format!("{method} {path} {}", &body[..body.len().min(60)]);
        assert_eq!(answer.status.as_u16(), status, "{asked}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/json", "{asked}");
        assert_eq!(answer.body.as_object().unwrap().len(), 1, "{asked}: {}", answer.text);
        assert!(answer.body["error"].as_str().unwrap().contains(part), "{asked}: {}", answer.text);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{asked}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), matches!(status, 401 | 403), "{asked}");
    })
    .await;
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "nothing was done");
}

#[tokio::test]
async fn who_manages_one_model_sees_and_changes_no_other() {
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let index = asked(&gateway, INDEX, "manage:iris").await;
    let names: Vec<&Value> = index.body.as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["iris"]);
    for (path, status) in [
        (UNLOAD, StatusCode::OK),
        (LOAD, StatusCode::OK),
        ("/v2/repository/models/line/unload", StatusCode::FORBIDDEN),
        ("/models/line/rollback", StatusCode::FORBIDDEN),
        ("/models/iris/rollback", StatusCode::CONFLICT),
        ("/v2/repository/models/rose/load", StatusCode::FORBIDDEN),
    ] {
        let answer = asked(&gateway, path, "manage:iris predict").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

/// A file in place of version 1 that breaks its callers, and is refused.
async fn with_breaking_file() -> TestGateway {
    let gateway = TestGateway::start().await;
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_renamed_feature");
    let entry = gateway.reason_until("iris", "1", "incompatible_signature").await;
    assert_eq!(entry["state"], "READY");
    let reason = entry["reason"].as_str().unwrap();
    for part in [
        "callers of the version in service would break: the features [",
        "] became [",
        "give it another version number, or set allow_breaking_changes in model.toml",
    ] {
        assert!(reason.contains(part), "no `{part}` in {reason}");
    }
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    gateway
}

async fn count(gateway: &TestGateway, event: &str) -> usize {
    gateway.history("iris").await.iter().filter(|entry| entry["event"] == event).count()
}

#[tokio::test]
async fn a_breaking_file_is_not_tried_twice_but_by_request() {
    let gateway = with_breaking_file().await;
    let breaking = test_model("iris_renamed_feature");
    gateway.repository.put("iris/1/model.onnx", &breaking);
    gateway.everything_is_dealt_with().await;
    assert_eq!(count(&gateway, "refused").await, 1, "the same bytes");
    gateway.reason_until("iris", "1", "incompatible_signature").await;

    let refused = gateway.manage(LOAD).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let error = refused.body["error"].as_str().unwrap();
    assert!(error.starts_with("incompatible_signature: callers of the version in service"), "{error}");
    assert_eq!(count(&gateway, "refused").await, 2, "it was asked for");
    let newest = gateway.history("iris").await[0].clone();
    let digest = short(&breaking);
    assert_eq!(told(&newest), ["refused", "caller:tester", &digest, "", "incompatible_signature"]);

    let loaded = load_with(&gateway, &json!({"parameters": {"allow_breaking_changes": false}})).await;
    assert_eq!(loaded.status, StatusCode::CONFLICT);
    let loaded = load_with(&gateway, &json!({"parameters": {"allow_breaking_changes": true}})).await;
    assert_eq!(loaded.status, StatusCode::OK, "{loaded:?}");
    assert!(serves(&breaking)(&gateway.predict(&setosa()).await));
    assert_eq!(
        told(&gateway.history("iris").await[0]),
        ["deployed", "caller:tester", &digest, &short(&iris()), ""]
    );
    gateway.repository.put_iris("iris/1/model.onnx");
    gateway.reason_until("iris", "1", "incompatible_signature").await;
}

#[tokio::test]
async fn a_breaking_file_serves_where_model_toml_allows_it() {
    let gateway = with_breaking_file().await;
    gateway.repository.put("iris/model.toml", b"allow_breaking_changes = true");
    gateway.predict_until(serves(&test_model("iris_renamed_feature"))).await;
}

#[tokio::test]
async fn a_breaking_file_serves_as_another_version() {
    let gateway = with_breaking_file().await;
    let breaking = test_model("iris_renamed_feature");
    gateway.repository.put("iris/2/model.onnx", &breaking);
    let answer = gateway.predict_until(serves(&breaking)).await;
    assert_eq!(answer.header("x-model-version"), "2");
}

#[tokio::test]
async fn rolls_back_in_place_as_often_as_there_is_something_before() {
    let gateway = TestGateway::start().await;
    let nothing = gateway.roll_back("iris").await;
    assert_eq!((nothing.status.as_u16(), nothing.problem_code()), (409, "nothing_before"));
    for number in 1..=3 {
        deploy(&gateway, &variant(number)).await;
    }
    let answer = gateway.roll_back("iris").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        answer.body,
        json!({"model": "iris", "version": "1", "digest": short(&variant(2)), "replaces": short(&variant(3))})
    );
    assert!(serves(&variant(2))(&gateway.predict(&setosa()).await));
    let entry = gateway.indexed("iris", "1").await;
    assert_eq!(entry["state"], "READY");
    assert!(
        entry["reason"].as_str().unwrap().starts_with("rolled_back: it served and was rolled back"),
        "{entry}"
    );
    assert_eq!(gateway.roll_back("iris").await.body["digest"], json!(short(&variant(1))));
    assert!(serves(&variant(1))(&gateway.predict(&setosa()).await));
    // Two are kept by default, so the first file is not among them any more.
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
    assert!(serves(&variant(1))(&gateway.predict(&setosa()).await), "what serves goes on");
    assert_eq!(gateway.roll_back("rose").await.problem_code(), "model_not_found");
    let metrics = gateway.metrics().await;
    assert!(metrics.lines().any(|line| line.contains("rollback") && line.ends_with(" 2")), "{metrics}");
}

#[tokio::test]
async fn what_serves_is_no_way_back_from_itself() {
    let gateway = TestGateway::start().await;
    gateway.manage(UNLOAD).await;
    assert_eq!(gateway.manage(LOAD).await.status, StatusCode::OK);
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
    deploy(&gateway, &variant(1)).await;
    deploy(&gateway, &iris()).await;
    assert_eq!(gateway.roll_back("iris").await.body["digest"], json!(short(&variant(1))));
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
    assert!(serves(&variant(1))(&gateway.predict(&setosa()).await));
}

#[tokio::test]
async fn rolls_back_between_version_folders() {
    let gateway = TestGateway::start().await;
    for number in [2, 3] {
        gateway.repository.put(&format!("iris/{number}/model.onnx"), &variant(number));
        gateway.predict_until(serves(&variant(number))).await;
    }
    for (from, to, content) in [(3, "2", variant(2)), (2, "1", iris())] {
        let answer = gateway.roll_back("iris").await;
        assert_eq!(answer.body["version"], to, "{answer:?}");
        let answer = gateway.predict(&setosa()).await;
        assert!(serves(&content)(&answer));
        assert_eq!(answer.header("x-model-version"), to);
        let taken_back = gateway.reason_until("iris", &from.to_string(), "rolled_back: ").await;
        assert_eq!(taken_back["state"], "UNAVAILABLE");
    }
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "it stays so");
    let gateway = gateway.stop().await.start().await;
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "after a restart too");
    gateway.repository.put("iris/4/model.onnx", &variant(4));
    gateway.predict_until(serves(&variant(4))).await;
}

#[tokio::test]
async fn what_was_taken_back_does_not_return_by_itself() {
    let gateway = TestGateway::start().await;
    deploy(&gateway, &variant(1)).await;
    gateway.roll_back("iris").await;
    gateway.repository.put("iris/1/model.onnx", &variant(1));
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "the same bytes put there again");
    // As another version they are still what was taken back.
    gateway.repository.put("iris/2/model.onnx", &variant(1));
    gateway.reason_until("iris", "2", "rolled_back").await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await));
    gateway.repository.remove("iris/2");

    let gateway = gateway.stop().await.start().await;
    gateway.reason_until("iris", "1", "rolled_back").await;
    gateway.everything_is_dealt_with().await;
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "a restart changes nothing");

    deploy(&gateway, &variant(2)).await;
    assert_eq!(gateway.roll_back("iris").await.body["digest"], json!(short(&iris())), "a newer file serves");
    let loaded = gateway.manage(LOAD).await;
    assert_eq!(loaded.status, StatusCode::OK, "{loaded:?}");
    assert!(serves(&variant(2))(&gateway.predict(&setosa()).await), "what is asked for serves");
    let gateway = gateway.stop().await.start().await;
    gateway.everything_is_dealt_with().await;
    assert!(serves(&variant(2))(&gateway.predict(&setosa()).await), "and does after a restart");
}

#[tokio::test]
async fn how_many_deployments_are_kept_is_a_setting() {
    let builder = TestGateway::builder().settings(|settings| settings.models.keep_previous = 0);
    let gateway = builder.start().await;
    deploy(&gateway, &variant(1)).await;
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
    let copies_until = async |count: usize| {
        let folder = gateway.repository.state().join("copies");
        // One that was just taken out of service is held for a moment.
        let waiting = async {
            while std::fs::read_dir(&folder).unwrap().count() != count {
                pause().await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("so many copies are kept");
    };
    copies_until(1).await;
    gateway.reload(|settings| settings.models.keep_previous = 3);
    for number in 2..=5 {
        deploy(&gateway, &variant(number)).await;
    }
    copies_until(4).await;
    for number in (2..=4).rev() {
        assert_eq!(gateway.roll_back("iris").await.body["digest"], json!(short(&variant(number))));
    }
    // What was taken back in place is held by nothing any more.
    copies_until(1).await;
    assert_eq!(gateway.roll_back("iris").await.problem_code(), "nothing_before");
}

/// A sepal that the model answers with NaN, which no golden case shows.
fn large() -> Value {
    json!({"features": [15, 3.5, 1.4, 0.2]})
}

#[tokio::test]
async fn a_deployment_that_fails_in_service_is_taken_back_by_itself() {
    let builder = TestGateway::builder().settings(|settings| settings.rollback.min_answers = 4);
    let gateway = builder.start().await;
    assert_eq!(gateway.predict(&large()).await.status, StatusCode::OK);
    let failing = test_model("iris_nan_on_large");
    deploy(&gateway, &failing).await;
    let answered = async {
        loop {
            let answer = gateway.predict(&large()).await;
            if answer.status == StatusCode::OK {
                return answer;
            }
            assert_eq!(answer.problem_code(), "non_finite_output");
        }
    };
    let answer = tokio::time::timeout(crate::support::PATIENCE, answered).await.expect("it is taken back");
    assert!(serves(&iris())(&answer));
    gateway.everything_is_dealt_with().await;
    let newest = gateway.history("iris").await[0].clone();
    assert_eq!(told(&newest), ["rolled_back", "automatic", &short(&iris()), &short(&failing), ""]);
    let detail = newest["detail"].as_str().unwrap();
    assert!(detail.contains(" requests failed; the previous deployment answered "), "{detail}");
    assert!(serves(&iris())(&gateway.predict(&setosa()).await), "it does not return");
    gateway.reason_until("iris", "1", "rolled_back").await;
}

#[tokio::test]
async fn nobody_makes_a_good_deployment_go_by_asking_with_nan() {
    let builder =
        TestGateway::builder_without_models().settings(|settings| settings.rollback.min_answers = 4);
    let gateway = builder.model("half.onnx", "kinds/half").start().await;
    // Metadata in another part of the file: a protocol buffer may be written in parts, one behind the other.
    let other = [&test_model("kinds/half")[..], &[0x72, 6, 0x0a, 1, b'a', 0x12, 1, b'b']].concat();
    gateway.repository.put("half.onnx", &other);
    let digest = short(&other);
    gateway.version_until("half", |version| version["digest"] == digest).await;
    let body = json!({"inputs": {"x": {"shape": [1, 2], "data": ["NaN", 1]}}});
    for _ in 0..20 {
        let answer = gateway.predict(&body).await;
        assert_eq!((answer.status.as_u16(), answer.problem_code()), (422, "non_finite_input"));
    }
    gateway.everything_is_dealt_with().await;
    assert_eq!(gateway.version("half").await["digest"], digest);
}

#[tokio::test]
async fn without_a_deployment_before_or_the_setting_nothing_is_taken_back() {
    let builder =
        TestGateway::builder_without_models().settings(|settings| settings.rollback.min_answers = 2);
    let gateway = builder.model("iris/1/model.onnx", "iris_nan_on_large").start().await;
    for _ in 0..10 {
        assert_eq!(gateway.predict(&large()).await.problem_code(), "non_finite_output");
    }
    assert!(
        serves(&test_model("iris_nan_on_large"))(&gateway.predict(&setosa()).await),
        "the first there is"
    );

    let builder = TestGateway::builder().settings(|settings| {
        settings.rollback.min_answers = 2;
        settings.rollback.automatic = false;
    });
    let gateway = builder.start().await;
    deploy(&gateway, &test_model("iris_nan_on_large")).await;
    for _ in 0..20 {
        assert_eq!(gateway.predict(&large()).await.problem_code(), "non_finite_output");
    }
    gateway.everything_is_dealt_with().await;
    assert_eq!(count(&gateway, "rolled_back").await, 0);
}

#[tokio::test]
async fn the_history_tells_what_was_done_by_whom_and_survives_a_restart() {
    // The last model of a repository would serve on without its file.
    let gateway = TestGateway::builder().model("line.onnx", "regressor").start().await;
    let (first, second, refused) =
        (short(&iris()), short(&variant(1)), short(&test_model("iris_golden_mismatch")));
    deploy(&gateway, &variant(1)).await;
    gateway.repository.put_test_model("iris/1/model.onnx", "iris_golden_mismatch");
    gateway.reason_until("iris", "1", "golden_mismatch").await;
    gateway.roll_back("iris").await;
    gateway.manage(UNLOAD).await;
    gateway.repository.put("iris/1/model.onnx", &iris());
    let ops = TokenBuilder::new().claim("sub", json!("ops")).build();
    let loaded = gateway.client.post(gateway.url(LOAD)).bearer_auth(ops).send().await.unwrap();
    assert_eq!(loaded.status(), StatusCode::OK);
    gateway.repository.remove("iris");
    gateway.version_until("iris", Value::is_null).await;
    let expected: Vec<[String; 5]> = [
        ["removed", "repository", &first, "", ""],
        ["deployed", "caller:ops", &first, "", ""],
        ["unloaded", "caller:tester", &first, "", ""],
        ["rolled_back", "caller:tester", &first, &second, ""],
        ["refused", "repository", &refused, "", "golden_mismatch"],
        ["deployed", "repository", &second, &first, ""],
        ["deployed", "repository", &first, "", ""],
    ]
    .map(|entry| entry.map(str::to_owned))
    .to_vec();
    let history = gateway.history("iris").await;
    assert_eq!(history.iter().map(told).collect::<Vec<_>>(), expected);
    for entry in &history {
        assert_eq!((&entry["model"], &entry["version"]), (&json!("iris"), &json!("1")));
        assert!(entry["time"].as_str().unwrap().ends_with('Z'), "{entry}");
        assert_eq!(entry["timings"]["proof_ms"].is_u64(), entry["event"] == "deployed", "{entry}");
        if let Some(digest) = entry["digest"].as_str() {
            assert_eq!(digest.len(), 64, "in full");
        }
    }
    let times: Vec<&str> = history.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let detail = history[4]["detail"].as_str().unwrap();
    assert!(detail.starts_with("golden case "), "{detail}");

    let gateway = gateway.stop().await.start().await;
    assert_eq!(gateway.history("iris").await, history, "of a model that is gone, after a restart");
    gateway.repository.put_iris("iris/1/model.onnx");
    gateway.answer_until("/predict", serves(&iris())).await;
    let gateway = gateway.stop().await.start().await;
    let history = gateway.history("iris").await;
    assert_eq!(told(&history[0]), ["restored", "start", &first, "", ""]);
    assert_eq!(history.len(), expected.len() + 2);
    let unknown = Answer::of(gateway.get("/models/rose/history").send().await.unwrap()).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem_code()), (404, "model_not_found"));
}
