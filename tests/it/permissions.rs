//! Permissions: a table of every route of every listener and every kind of caller, held against a gateway.
//!
//! The routes come from the routers, so one that is missing in the table fails, and so does one that no router has.

use std::{collections::BTreeSet, fmt::Write, fs};

use axum::http::HeaderMap;
use bytes::Bytes;
use http_body_util::Full;
use onnx_gateway::{
    auth::NewApiKey,
    config::{DialectSettings, Management, Settings},
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tonic::body::Body;

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, TestGateway, client,
    grpc::{GRPC, Http, framed, http},
    repository::source_tree,
    setosa,
    tokens::TokenBuilder,
};

/// The table: the first line names the callers, each other line is a route with what every caller gets.
const TABLE: &str = "table.txt";

/// The rows that are different, or only there, with `server.management = "admin"`.
const ADMIN_TABLE: &str = "table-admin.txt";

/// A route and what each caller gets there: `401`, `403`, or `ok` for all that is beyond authorization.
#[derive(Debug)]
struct Row {
    listener: String,
    method: String,
    path: String,
    expected: Vec<String>,
}

impl Row {
    fn name(&self) -> String {
        format!("{} {} {}", self.listener, self.method, self.path)
    }
}

/// The callers and the rows of a table.
fn read(name: &str) -> (Vec<String>, Vec<Row>) {
    let table = fs::read_to_string(source_tree().join("tests/it/permissions").join(name)).unwrap();
    let mut lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let callers = cells(lines.next().unwrap())[3..].to_vec();
    let row = |line| match cells(line).as_slice() {
        [listener, method, path, expected @ ..] => {
            assert_eq!(expected.len(), callers.len(), "{line}");
            let [listener, method, path] = [listener, method, path].map(String::clone);
            Row { listener, method, path, expected: expected.to_vec() }
        }
        _ => panic!("no row: {line}"),
    };
    let rows = lines.map(row).collect();
    (callers, rows)
}

const KEY: &str = "table";

/// A gateway with every route that settings can switch on, and an API key for `predict:iris`.
async fn gateway(change: impl FnOnce(&mut Settings)) -> (TestGateway, String) {
    let NewApiKey { key, settings: of_key } =
        NewApiKey::generate(KEY, vec!["predict:iris".to_owned()], None, None).unwrap();
    let everything = |settings: &mut Settings| {
        settings.mcp.enabled = true;
        settings.models.default = Some("iris".parse().unwrap());
        settings.dialects = DialectSettings {
            vertex_predict_route: Some("/vertex/predict".to_owned()),
            vertex_health_route: Some("/vertex/health".to_owned()),
            ..DialectSettings::default()
        };
        settings.auth.api_keys.insert(KEY.to_owned(), of_key);
        change(settings);
    };
    (TestGateway::builder().settings(everything).start().await, key.expose().to_owned())
}

/// The credentials of a caller: a header and its value.
fn credentials(caller: &str, key: &str) -> Option<(&'static str, String)> {
    let token = |scope: &str| {
        let token = TokenBuilder::new().claim("sub", json!(caller)).scope(scope).build();
        Some(("authorization", format!("Bearer {token}")))
    };
    match caller {
        "none" => None,
        "bad" => Some(("authorization", "Bearer a.b.c".to_owned())),
        "key" => Some(("x-api-key", key.to_owned())),
        "empty" => token(""),
        scope => token(scope),
    }
}

/// A walk through the table.
struct Walk<'g> {
    gateway: &'g TestGateway,
    http: Http,
    key: &'g str,
}

impl Walk<'_> {
    async fn seen(&self, row: &Row, caller: &str) -> String {
        let credentials = credentials(caller, self.key);
        let status = match row.listener.as_str() {
            "grpc" => self.call(&row.path, credentials).await,
            listener => self.request(listener, row, credentials).await,
        };
        if [401, 403].contains(&status) { status.to_string() } else { "ok".to_owned() }
    }

    async fn request(&self, listener: &str, row: &Row, credentials: Option<(&str, String)>) -> u16 {
        let (method, pattern) = (row.method.as_str(), row.path.as_str());
        let names = [("{model}", "iris"), ("{version}", "1"), ("{label}", "stable"), ("{file}", "icon.svg")];
        let path = names.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value));
        let path = path.replace("{*rest}", "index.html");
        let path = match (method, path.as_str()) {
            ("POST", verb) if verb.starts_with("/v1/models/") => format!("{verb}:predict"),
            _ => path,
        };
        let url = match listener {
            "admin" => self.gateway.admin_url(&path),
            _ => self.gateway.url(&path),
        };
        let body = match (method, pattern) {
            ("POST", "/models") => {
                let url = std::path::absolute(self.gateway.repository.path().join("iris")).unwrap();
                json!({"model_name": "iris", "url": url})
            }
            (_, path) if path.starts_with("/v2/repository") => json!({}),
            _ => setosa(),
        };
        let mut request = self.gateway.client.request(Method::try_from(method).unwrap(), url);
        if let Some((name, value)) = credentials {
            request = request.header(name, value);
        }
        if method == "POST" {
            request = request.json(&body);
        }
        request.send().await.unwrap().status().as_u16()
    }

    async fn call(&self, path: &str, credentials: Option<(&str, String)>) -> u16 {
        let named = |field: u8| [&[field, 4][..], b"iris"].concat();
        let message = match path.rsplit('/').next().unwrap() {
            "RepositoryIndex" => Vec::new(),
            "RepositoryModelLoad" | "RepositoryModelUnload" => named(0x12),
            _ => named(0x0a),
        };
        let mut request = axum::http::Request::post(format!("http://{}{path}", self.gateway.grpc_address()))
            .header(GRPC.0, GRPC.1);
        if let Some((name, value)) = credentials {
            request = request.header(name, value);
        }
        let body = Body::new(Full::new(Bytes::from(framed(0, &message))));
        let response = self.http.request(request.body(body).unwrap()).await.unwrap();
        // A refusal has no message, so its status is among the headers.
        match grpc_status(response.headers()) {
            Some(b"16") => 401,
            Some(b"7") => 403,
            _ => 200,
        }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get("grpc-status").map(axum::http::HeaderValue::as_bytes)
}

/// Holds a table against a gateway: first its routes, then what each caller gets.
async fn hold(callers: &[String], rows: &[Row], gateway: &TestGateway, key: &str) {
    let listed = gateway.listed_routes().into_iter();
    let listed: BTreeSet<String> =
        listed.map(|(listener, route)| format!("{listener} {} {}", route.method, route.path)).collect();
    let in_table: BTreeSet<String> = rows.iter().map(Row::name).collect();
    assert_eq!(in_table.len(), rows.len(), "a route is there twice");
    let missing: Vec<_> = listed.difference(&in_table).collect();
    let gone: Vec<_> = in_table.difference(&listed).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:#?}\nof no router: {gone:#?}");
    let walk = Walk { gateway, http: http(), key };
    let (mut wrong, mut table) = (Vec::new(), String::new());
    for row in rows {
        write!(table, "\n{:<5} {:<6} {:<68}", row.listener, row.method, row.path).unwrap();
        for (caller, expected) in callers.iter().zip(&row.expected) {
            let seen = walk.seen(row, caller).await;
            write!(table, " {seen:<3}").unwrap();
            if seen != *expected {
                wrong.push(format!("{} by `{caller}`: expected {expected}, seen {seen}", row.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nseen:{table}", wrong.join("\n"));
}

#[tokio::test]
async fn every_route_gives_every_caller_what_the_table_says() {
    let (gateway, key) = gateway(|_| {}).await;
    let (callers, rows) = read(TABLE);
    hold(&callers, &rows, &gateway, &key).await;
}

#[tokio::test]
async fn with_management_on_the_admin_listener_the_public_ones_refuse_it() {
    let (gateway, key) = gateway(|settings| settings.server.management = Management::Admin).await;
    let (callers, mut rows) = read(TABLE);
    let (same_callers, different) = read(ADMIN_TABLE);
    assert_eq!(callers, same_callers);
    let names: BTreeSet<String> = different.iter().map(Row::name).collect();
    rows.retain(|row| !names.contains(&row.name()));
    rows.extend(different);
    hold(&callers, &rows, &gateway, &key).await;
}

#[tokio::test]
async fn what_has_moved_is_done_on_the_admin_listener_with_its_own_tokens() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.server.management = Management::Admin;
            settings.admin.audience = Some("operators".to_owned());
            settings.auth.clients.insert(CLIENT_ID.to_owned(), client(&["manage"]));
        })
        .start()
        .await;
    let path = "/v2/repository/index";
    let moved = Answer::of(gateway.post(path).send().await.unwrap()).await;
    assert_eq!(moved.status, StatusCode::FORBIDDEN, "{moved:?}");
    assert!(moved.body["error"].as_str().unwrap().contains("server.management"), "{moved:?}");
    let moved = gateway.roll_back("iris").await;
    assert_eq!((moved.status, moved.problem_code()), (StatusCode::FORBIDDEN, "served_by_admin"));
    let at_admin = async |path: &str, token: &str| {
        let request = gateway.client.post(gateway.admin_url(path)).bearer_auth(token);
        Answer::of(request.send().await.unwrap()).await
    };
    // A token of the public listeners is none here, and the other way round.
    let public = TokenBuilder::new().claim("jti", json!("public")).build();
    let refused = at_admin(path, &public).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    let own = TokenBuilder::new().claim("aud", json!("operators")).claim("jti", json!("own")).build();
    let index = at_admin(path, &own).await;
    assert_eq!((index.status, &index.body[0]["name"]), (StatusCode::OK, &json!("iris")), "{index:?}");
    let refused = gateway.client.get(gateway.url("/models")).bearer_auth(&own).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // Clients get tokens of this audience here.
    let grant = [("grant_type", "client_credentials"), ("scope", "manage")];
    let request = gateway.client.post(gateway.admin_url("/token"));
    let request = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&grant);
    let granted = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(granted.status, StatusCode::OK, "{granted:?}");
    let unloaded =
        at_admin("/v2/repository/models/iris/unload", granted.body["access_token"].as_str().unwrap()).await;
    assert_eq!(unloaded.status, StatusCode::OK, "{unloaded:?}");
    // It revokes tokens of both audiences.
    for token in [&public, &own] {
        let token = json!({"token": token});
        let request = gateway.client.post(gateway.admin_url("/revoke")).json(&token);
        let own = TokenBuilder::new().claim("aud", json!("operators")).claim("sub", json!("ops")).build();
        let revoked = Answer::of(request.bearer_auth(own).send().await.unwrap()).await;
        assert_eq!(revoked.body["revoked"], true, "{revoked:?}");
    }
    let refused = gateway.client.get(gateway.url("/models")).bearer_auth(&public).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // What is not served is not offered.
    let description = gateway.client.get(gateway.url("/openapi.json")).send().await.unwrap();
    let description = Answer::of(description).await;
    let paths = description.body["paths"].as_object().unwrap();
    assert!(paths.contains_key("/models/{model}/history"), "{paths:?}");
    assert!(!paths.contains_key("/models/{model}/rollback"), "{paths:?}");
    let page = gateway.client.get(gateway.url("/")).header("accept", "text/html").send().await.unwrap();
    assert!(page.text().await.unwrap().contains("data-management=\"admin\""));
    // A reload moves it back.
    let _ = gateway.reload(|settings| settings.server.management = Management::Public);
    let index = gateway.manage(path).await;
    assert_eq!(index.status, StatusCode::OK, "{index:?}");
}
