//! Permissions: a table of every route of every listener and every kind of caller, held against a gateway.
//!
//! The routes come from the routers, so one that is missing in the table fails, and so does one that no router has.

use std::{collections::BTreeSet, fmt::Write, fs};

use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use onnx_gateway::{
    auth::NewApiKey,
    config::{CertificateSettings, ClientCertificates, DialectSettings, Management, Settings, TlsSettings},
};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    Answer, CLIENT_ID, CLIENT_SECRET, TestGateway,
    certificates::{Authority, Files, client_config},
    client,
    grpc::{GRPC, framed},
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

/// The name of the API key and of the certificate.
const NAME: &str = "table";

/// A client of every listener.
type Sender = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The transport of a walk, with what identifies a client by its certificate.
enum Transport {
    Plain,
    Tls { authority: Box<Authority>, files: Files },
}

impl Transport {
    fn tls() -> Self {
        let authority = Authority::new("authority");
        let files = Files::of(&authority.gateway());
        files.write("clients.crt", &authority.pem);
        Self::Tls { authority: Box::new(authority), files }
    }

    fn apply(&self, settings: &mut Settings) {
        let Self::Tls { files, .. } = self else { return };
        let tls = TlsSettings {
            client_ca_file: Some(files.path("clients.crt")),
            client_certificates: Some(ClientCertificates::Optional),
            ..files.settings()
        };
        (settings.server.tls, settings.admin.tls) = (tls.clone(), tls);
        let (subject, scopes) = (Some(format!("CN={NAME}")), vec!["predict:iris".to_owned()]);
        let caller = CertificateSettings { subject, san: None, scopes, plan: None };
        settings.auth.certificates.insert(NAME.to_owned(), caller);
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls { .. } => "https",
        }
    }

    /// A client that shows its certificate, or has none.
    fn sender(&self, shows_certificate: bool, http2: bool) -> Sender {
        let config = match self {
            Self::Plain => client_config(&Authority::new("nobody"), None),
            Self::Tls { authority, .. } => {
                let own = shows_certificate.then(|| authority.client(NAME, "spiffe://table"));
                client_config(authority, own.as_ref())
            }
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let connector = if http2 { builder.enable_http2().build() } else { builder.enable_http1().build() };
        Client::builder(TokioExecutor::new()).http2_only(http2).build(connector)
    }
}

/// A gateway with every route that settings can switch on, and an API key for `predict:iris`.
async fn gateway(transport: &Transport, change: impl FnOnce(&mut Settings)) -> (TestGateway, String) {
    let scopes = vec!["predict:iris".to_owned()];
    let NewApiKey { key, settings: of_key } = NewApiKey::generate(NAME, scopes, None, None).unwrap();
    let everything = |settings: &mut Settings| {
        settings.mcp.enabled = true;
        settings.models.default = Some("iris".parse().unwrap());
        settings.dialects = DialectSettings {
            vertex_predict_route: Some("/vertex/predict".to_owned()),
            vertex_health_route: Some("/vertex/health".to_owned()),
            ..DialectSettings::default()
        };
        settings.auth.api_keys.insert(NAME.to_owned(), of_key);
        transport.apply(settings);
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
        "none" | CERTIFICATE => None,
        "bad" => Some(("authorization", "Bearer a.b.c".to_owned())),
        "key" => Some(("x-api-key", key.to_owned())),
        "empty" => token(""),
        scope => token(scope),
    }
}

/// The caller with a certificate, whom only TLS knows.
const CERTIFICATE: &str = "cert";

/// The clients of a caller.
struct Senders {
    rest: Sender,
    grpc: Sender,
}

impl Senders {
    fn new(transport: &Transport, shows_certificate: bool) -> Self {
        let [rest, grpc] = [false, true].map(|http2| transport.sender(shows_certificate, http2));
        Self { rest, grpc }
    }
}

/// A walk through the table.
struct Walk<'g> {
    gateway: &'g TestGateway,
    scheme: &'static str,
    anonymous: Senders,
    identified: Senders,
    key: &'g str,
}

impl Walk<'_> {
    async fn seen(&self, row: &Row, caller: &str) -> String {
        let credentials = credentials(caller, self.key);
        let senders = if caller == CERTIFICATE { &self.identified } else { &self.anonymous };
        let status = match row.listener.as_str() {
            "grpc" => self.call(&senders.grpc, &row.path, credentials).await,
            _ => self.request(&senders.rest, row, credentials).await,
        };
        if [401, 403].contains(&status) { status.to_string() } else { "ok".to_owned() }
    }

    async fn request(&self, sender: &Sender, row: &Row, credentials: Option<(&str, String)>) -> u16 {
        let (method, pattern) = (row.method.as_str(), row.path.as_str());
        let names = [("{model}", "iris"), ("{version}", "1"), ("{label}", "stable"), ("{file}", "icon.svg")];
        let path = names.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value));
        let path = path.replace("{*rest}", "index.html");
        let path = match (method, path.as_str()) {
            ("POST", verb) if verb.starts_with("/v1/models/") => format!("{verb}:predict"),
            _ => path,
        };
        let address = match row.listener.as_str() {
            "admin" => self.gateway.operators(),
            _ => self.gateway.address(),
        };
        let body = match (method, pattern) {
            ("POST", "/models") => {
                let url = std::path::absolute(self.gateway.repository.path().join("iris")).unwrap();
                json!({"model_name": "iris", "url": url})
            }
            (_, path) if path.starts_with("/v2/repository") => json!({}),
            _ => setosa(),
        };
        let url = format!("{}://{address}{path}", self.scheme);
        let mut request = Request::builder().method(method).uri(url);
        if let Some((name, value)) = credentials {
            request = request.header(name, value);
        }
        let body = if method == "POST" {
            request = request.header("content-type", "application/json");
            body.to_string()
        } else {
            String::new()
        };
        let response = sender.request(request.body(Full::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        // Streams of events have no end; all other bodies are read, so that their connections serve again.
        if pattern != "/events" {
            response.into_body().collect().await.unwrap();
        }
        status
    }

    async fn call(&self, sender: &Sender, path: &str, credentials: Option<(&str, String)>) -> u16 {
        let named = |field: u8| [&[field, 4][..], b"iris"].concat();
        let message = match path.rsplit('/').next().unwrap() {
            "RepositoryIndex" => Vec::new(),
            "RepositoryModelLoad" | "RepositoryModelUnload" => named(0x12),
            _ => named(0x0a),
        };
        let url = format!("{}://{}{path}", self.scheme, self.gateway.grpc_address());
        let mut request = Request::post(url).header(GRPC.0, GRPC.1);
        if let Some((name, value)) = credentials {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(framed(0, &message))).unwrap();
        let response = sender.request(request).await.unwrap();
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
async fn hold(callers: &[String], rows: &[Row], transport: &Transport, change: impl FnOnce(&mut Settings)) {
    let (gateway, key) = gateway(transport, change).await;
    let listed = gateway.listed_routes().into_iter();
    let listed: BTreeSet<String> =
        listed.map(|(listener, route)| format!("{listener} {} {}", route.method, route.path)).collect();
    let in_table: BTreeSet<String> = rows.iter().map(Row::name).collect();
    assert_eq!(in_table.len(), rows.len(), "a route is there twice");
    let missing: Vec<_> = listed.difference(&in_table).collect();
    let gone: Vec<_> = in_table.difference(&listed).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:#?}\nof no router: {gone:#?}");
    let walk = Walk {
        gateway: &gateway,
        scheme: transport.scheme(),
        anonymous: Senders::new(transport, false),
        identified: Senders::new(transport, true),
        key: &key,
    };
    let (mut wrong, mut table) = (Vec::new(), String::new());
    for row in rows {
        write!(table, "\n{:<5} {:<6} {:<68}", row.listener, row.method, row.path).unwrap();
        for (caller, expected) in callers.iter().zip(&row.expected) {
            if caller == CERTIFICATE && matches!(transport, Transport::Plain) {
                continue;
            }
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
    let (callers, rows) = read(TABLE);
    hold(&callers, &rows, &Transport::Plain, |_| {}).await;
}

#[tokio::test]
async fn over_tls_every_route_gives_every_caller_the_same() {
    let (callers, rows) = read(TABLE);
    hold(&callers, &rows, &Transport::tls(), |_| {}).await;
}

#[tokio::test]
async fn with_management_on_the_admin_listener_the_public_ones_refuse_it() {
    let (callers, mut rows) = read(TABLE);
    let (same_callers, different) = read(ADMIN_TABLE);
    assert_eq!(callers, same_callers);
    let names: BTreeSet<String> = different.iter().map(Row::name).collect();
    rows.retain(|row| !names.contains(&row.name()));
    rows.extend(different);
    let change = |settings: &mut Settings| settings.server.management = Management::Admin;
    hold(&callers, &rows, &Transport::tls(), change).await;
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
