//! The description of the API: complete, true, and shown without a network.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::{Answer, TestGateway, table, tokens::TokenBuilder};

fn description() -> Value {
    serde_json::to_value(onnx_gateway::protocols::openapi()).unwrap()
}

/// Every operation: method, path, and its description.
fn operations(description: &Value) -> Vec<(Method, String, Value)> {
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_description_is_of_openapi_3_1() {
    assert!(description()["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn every_operation_says_what_it_takes_and_answers() {
    table::each(operations(&description()), |(method, path, operation)| {
        let name = format!("{method} {path}");
        assert!(operation["summary"].is_string(), "{name} has no summary");
        let takes_a_body = method == Method::POST && !path.ends_with("/rollback");
        assert_eq!(operation["requestBody"].is_object(), takes_a_body, "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("200"), "{name}");
        for (status, response) in responses {
            assert!(response["description"].is_string(), "{name} {status} has no description");
            let content =
                response["content"].as_object().unwrap_or_else(|| panic!("{name} {status} has no body"));
            assert!(content.values().all(|body| body["schema"].is_object()), "{name} {status}");
        }
    });
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut seen = BTreeSet::new();
    table::each(operations(&description()), |(method, path, operation)| {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(seen.insert(name.clone()), "{method} {path} is called {name}, as another is");
    });
}

#[test]
fn every_form_of_a_request_and_its_answer_is_described() {
    let description = description();
    let schemas = &description["components"]["schemas"];
    for (schema, properties) in [
        ("PredictRequest", ["features", "instances", "inputs"].as_slice()),
        ("PredictAnswer", &["prediction", "predictions", "probabilities", "outputs"]),
        ("KindDocument", &["kind", "datatype", "shape", "items", "key", "value", "optional"]),
    ] {
        for property in properties {
            let found = &schemas[schema]["properties"][property];
            assert!(found.is_object(), "{schema} says nothing of {property}: {}", schemas[schema]);
        }
    }
    for (schema, forms) in [("InputDocument", 3), ("ValueDocument", 3), ("CellDocument", 4)] {
        let described = schemas[schema]["oneOf"].as_array().map(Vec::len);
        assert_eq!(described, Some(forms), "{schema}: {}", schemas[schema]);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    match value.as_str() {
                        Some(target) if name == "$ref" => found.push(target.to_owned()),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

#[tokio::test]
async fn every_path_needs_a_token_but_those_that_are_listed_as_open() {
    let gateway = TestGateway::start().await;
    table::each_async(operations(&description()), async |(method, path, operation)| {
        let concrete = path.replace("{model}", "iris").replace("{version}", "1").replace("{label}", "canary");
        let request = gateway.client.request(method.clone(), gateway.url(&concrete));
        let status = request.send().await.unwrap().status();
        let open = onnx_gateway::protocols::open_paths().contain(&path);
        assert_eq!(status == StatusCode::UNAUTHORIZED, !open, "{method} {path}: {status}");
        assert_eq!(operation["security"].is_array(), !open, "{method} {path} is described otherwise");
    })
    .await;
    let cases = ["/admin", "/v2", "/metrics", "/.env", "/models/iris/../../health"];
    table::each_async(cases, async |unknown| {
        let status = gateway.client.get(gateway.url(unknown)).send().await.unwrap().status();
        let closed =
            status == StatusCode::UNAUTHORIZED || (unknown.contains("..") && status == StatusCode::OK);
        assert!(closed, "{unknown}: {status}");
    })
    .await;
}

/// A path with names of what there is; `canary` is a label that no version has.
fn concrete(path: &str) -> String {
    path.replace("{model}", "iris").replace("{version}", "1").replace("{label}", "canary")
}

/// The most bytes of a body where these tests send more.
const MAX_BODY_BYTES: u64 = 4096;

async fn with_small_bodies() -> TestGateway {
    let builder = TestGateway::builder().settings(|settings| {
        settings.server.max_body_bytes = MAX_BODY_BYTES;
        settings.server.max_tensor_body_bytes = MAX_BODY_BYTES;
    });
    builder.start().await
}

/// Requests with nothing wrong, and with what can be wrong about a body: its form, its length, its type, its encoding.
fn with_each_body(request: &reqwest::RequestBuilder) -> Vec<(&'static str, reqwest::RequestBuilder)> {
    let like = || request.try_clone().unwrap();
    let json = |text: &str| like().header("content-type", "application/json").body(text.to_owned());
    let long = "x".repeat(2 * usize::try_from(MAX_BODY_BYTES).unwrap());
    vec![
        ("no body", like()),
        ("an empty object", json("{}")),
        ("rows", json(r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#)),
        ("an unknown member", json(r#"{"parameters": {"nothing": 1}}"#)),
        ("a place elsewhere", json(r#"{"model_name": "iris", "url": "/elsewhere"}"#)),
        ("not JSON", json("{")),
        ("another type", like().header("content-type", "text/plain").body("x")),
        ("too long", json(&long)),
        ("too long, of another type", like().header("content-type", "text/plain").body(long)),
        ("another encoding", json("{}").header("content-encoding", "br")),
        ("not what its encoding says", json("{}").header("content-encoding", "gzip")),
        ("another model's name", json("{}").header("x-amzn-sagemaker-target-model", "../iris")),
        ("a length that is no number", json("{}").header("inference-header-content-length", "x")),
    ]
}

#[tokio::test]
async fn the_token_is_checked_then_the_scope_then_the_body() {
    let gateway = with_small_bodies().await;
    let nobody = TokenBuilder::new().scope("").build();
    table::each_async(operations(&description()), async |(method, path, operation)| {
        let Some(scopes) = operation["security"][0]["bearer"].as_array() else { return };
        let request = gateway.client.request(method.clone(), gateway.url(&concrete(&path)));
        table::each_async(with_each_body(&request), async |(body, without_token)| {
            let without_scope = without_token.try_clone().unwrap().bearer_auth(&nobody);
            let status = without_token.send().await.unwrap().status();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}, {body}");
            if !scopes.is_empty() {
                let answer = Answer::of(without_scope.send().await.unwrap()).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}, {body}: {answer:?}");
                let challenge = answer.header("www-authenticate");
                assert!(challenge.contains(&format!("scope={}", scopes[0])), "{method} {path}: {challenge}");
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_answer_is_described_with_its_status_and_its_form() {
    let gateway = with_small_bodies().await;
    let (all, nobody) = (TokenBuilder::new().build(), TokenBuilder::new().scope("").build());
    let description = description();
    let mut operations = operations(&description);
    // What takes the model out of service comes last.
    operations.sort_by_key(|(method, path, _)| {
        (*method == Method::DELETE || path.ends_with("/unload"), path.clone())
    });
    let mut seen = BTreeSet::new();
    table::each_async(operations, async |(method, path, operation)| {
        for names in [concrete(&path), concrete(&path).replace("iris", "nothing")] {
            let request = gateway.client.request(method.clone(), gateway.url(&names));
            for (body, request) in with_each_body(&request) {
                let requests = [
                    request.try_clone().unwrap(),
                    request.try_clone().unwrap().bearer_auth(&nobody),
                    request.try_clone().unwrap().bearer_auth(&all),
                    request.bearer_auth(&all).bearer_auth(&all),
                ];
                for request in requests {
                    let answer = Answer::of(request.send().await.unwrap()).await;
                    let response = &operation["responses"][answer.status.as_str()];
                    assert!(response.is_object(), "{method} {path}, {body}: {answer:?}");
                    let form = answer.header("content-type").split(';').next().unwrap().to_owned();
                    let schema = &response["content"][&form]["schema"];
                    assert!(schema.is_object(), "{method} {path}, {body}: {form} {answer:?}");
                    let required = match schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
                        Some(pointer) => description.pointer(pointer).unwrap()["required"].clone(),
                        None => Value::Null,
                    };
                    for member in required.as_array().into_iter().flatten() {
                        let found = &answer.body[member.as_str().unwrap()];
                        assert!(!found.is_null(), "{method} {path}, {body}: no {member} in {answer:?}");
                    }
                    seen.insert(answer.status.as_u16());
                }
            }
        }
    })
    .await;
    assert_eq!(seen, BTreeSet::from([200, 400, 401, 403, 404, 409, 413, 415, 422]));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_allow_lists_the_right_ones() {
    let gateway = TestGateway::start().await;
    // Without a scope, so that nothing is done.
    let token = TokenBuilder::new().scope("").build();
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    let described = operations(&description());
    let paths: BTreeSet<&String> = described.iter().map(|(_, path, _)| path).collect();
    table::each_async(paths, async |path| {
        let (mut there, mut allowed) = (BTreeSet::new(), BTreeSet::new());
        for method in &methods {
            let request = gateway.client.request(method.clone(), gateway.url(&concrete(path)));
            let answer = Answer::of(request.bearer_auth(&token).send().await.unwrap()).await;
            if answer.status == StatusCode::METHOD_NOT_ALLOWED {
                let listed = answer.header("allow").split(',').map(|name| name.trim().to_owned());
                allowed.insert(listed.collect::<BTreeSet<String>>());
            } else {
                there.insert(method.as_str().to_owned());
            }
        }
        assert_eq!(allowed, BTreeSet::from([there.clone()]), "{path}");
        for (method, ..) in described.iter().filter(|(_, other, _)| other == path) {
            assert!(there.contains(method.as_str()), "{method} {path}");
        }
    })
    .await;
    for unknown in ["/v1/models/iris:nothing", "/v1/models/iris/versions/1:nothing"] {
        for method in &methods {
            let request = gateway.client.request(method.clone(), gateway.url(unknown)).bearer_auth(&token);
            assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{method} {unknown}");
        }
    }
}

#[tokio::test]
async fn the_documentation_stays_below_the_prefix_that_a_proxy_adds() {
    let gateway = TestGateway::start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    // What a browser makes of a relative reference on a page of the gateway, behind `https://host/ml/`.
    let below = |page: &str, reference: &str| {
        let base =
            reqwest::Url::parse("https://host/ml/").unwrap().join(page.trim_start_matches('/')).unwrap();
        base.join(reference).unwrap().to_string()
    };
    let answer = client.get(gateway.url("/docs")).header("accept", "text/html").send().await.unwrap();
    assert!(answer.status().is_redirection(), "{answer:?}");
    assert_eq!(below("/docs", answer.headers()["location"].to_str().unwrap()), "https://host/ml/docs/");
    let script =
        client.get(gateway.url("/docs/swagger-initializer.js")).send().await.unwrap().text().await.unwrap();
    let url = script
        .split("\"url\":")
        .nth(1)
        .and_then(|rest| rest.split('"').nth(1))
        .unwrap_or_else(|| panic!("{script}"));
    assert_eq!(below("/docs/", url), "https://host/ml/openapi.json");
    let description = description();
    let servers: Vec<&str> = description["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| server["url"].as_str().unwrap())
        .collect();
    assert_eq!(servers.len(), 1);
    // A path is appended to the address of the server, whose last slash is left out (OpenAPI 3.1, "Server Object").
    let server = below("/openapi.json", servers[0]);
    assert_eq!(format!("{}/predict", server.trim_end_matches('/')), "https://host/ml/predict");
}

#[tokio::test]
async fn the_documentation_comes_from_the_gateway_itself() {
    let gateway = TestGateway::start().await;
    let get = |path: &'static str| {
        let request = gateway.client.get(gateway.url(path)).header("accept", "text/html,*/*;q=0.8");
        async { Answer::of(request.send().await.unwrap()).await }
    };
    assert_eq!(get("/openapi.json").await.body, description());
    let page = get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    for file in ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/swagger-initializer.js"] {
        assert_eq!(get(file).await.status, StatusCode::OK, "{file}");
    }
    let script = get("/docs/swagger-initializer.js").await;
    assert_eq!(script.header("content-type"), "text/javascript");
    // With a token it loads the description again, which then has the models.
    assert!(script.text.contains("request.headers.Authorization = `Bearer ${token}`"), "{}", script.text);
    assert!(!page.text.contains("https://"), "the page fetches nothing from elsewhere: {}", page.text);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
}
