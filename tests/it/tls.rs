//! TLS on every listener: who may connect, which version of HTTP is spoken, and how certificates change.

mod trust;
mod windows;

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use axum::http::{Request, StatusCode, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use onnx_gateway::{
    config::{CertificateSettings, ClientCertificates, Settings},
    tls::LoadedTls,
};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::service::interceptor::InterceptedService;

use crate::support::{
    Builder, PATIENCE, TestGateway,
    certificates::{Authority, Files, Https, Issued, Offers, client_config, client_config_with, https},
    grpc::{Bearer, GrpcInferenceServiceClient, setosa_raw},
    repository::source_tree,
    setosa, table,
    tokens::TokenBuilder,
};

/// A response, read.
struct Read {
    status: StatusCode,
    version: Version,
    body: Value,
}

/// Sends a request with a token to a listener; `None` if there is no response.
async fn ask(
    client: &Https<Full<Bytes>>,
    address: SocketAddr,
    path: &str,
    body: Option<&Value>,
) -> Option<Read> {
    let token = format!("Bearer {}", TokenBuilder::new().build());
    ask_with(client, address, &[("authorization", &token)], path, body).await
}

/// Sends a request with these headers.
async fn ask_with(
    client: &Https<Full<Bytes>>,
    address: SocketAddr,
    headers: &[(&str, &str)],
    path: &str,
    body: Option<&Value>,
) -> Option<Read> {
    let request = Request::builder().uri(format!("https://localhost:{}{path}", address.port()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = match body {
        Some(body) => {
            let request = request.method("POST").header("content-type", "application/json");
            request.body(Full::from(body.to_string()))
        }
        None => request.body(Full::default()),
    };
    let response = timeout(PATIENCE, client.request(request.unwrap())).await.expect("an end").ok()?;
    let closes = response.headers().contains_key("connection");
    assert!(!closes || response.version() == Version::HTTP_11, "{response:?}");
    let (status, version) = (response.status(), response.version());
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some(Read { status, version, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// A gateway whose public listener has this certificate.
fn gateway_with(files: &Files) -> Builder {
    let tls = files.settings();
    TestGateway::builder().settings(|settings| settings.server.tls = tls)
}

/// Shakes hands and returns the stream.
async fn connect(authority: &Authority, address: SocketAddr) -> TlsStream<TcpStream> {
    let connector = TlsConnector::from(Arc::new(client_config(authority, None)));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    timeout(PATIENCE, connector.connect(name, stream)).await.expect("a handshake").unwrap()
}

/// The certificate that a listener shows now.
async fn shown(authority: &Authority, address: SocketAddr) -> CertificateDer<'static> {
    let stream = connect(authority, address).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_client_chooses_the_version_of_http_and_the_models_respond_alike() {
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway())).start().await;
    let rows: Vec<Value> = (0..5000).map(|_| setosa()["features"].clone()).collect();
    for (offers, version) in
        [(Offers::Http1, Version::HTTP_11), (Offers::Http2, Version::HTTP_2), (Offers::Both, Version::HTTP_2)]
    {
        let client = https(client_config(&authority, None), offers);
        let read = ask(&client, gateway.address(), "/predict", Some(&setosa())).await.unwrap();
        assert_eq!((read.status, read.version), (StatusCode::OK, version), "{offers:?}");
        assert_eq!(read.body["prediction"], "setosa");
        // Longer than the windows of HTTP/2 and than the records of TLS.
        let many =
            ask(&client, gateway.address(), "/predict", Some(&json!({"instances": rows}))).await.unwrap();
        assert_eq!(many.body["predictions"].as_array().map(Vec::len), Some(rows.len()), "{offers:?}");
        let schema = ask(&client, gateway.address(), "/models/iris/schema", None).await.unwrap();
        let pasted = format!("curl -s https://localhost:{}/models/iris/predict ", gateway.address().port());
        assert!(schema.body["curl"].as_str().unwrap().starts_with(&pasted), "{}", schema.body["curl"]);
        let missing = ask(&client, gateway.address(), "/nothing", None).await.unwrap();
        assert_eq!((missing.status, &missing.body["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway())).start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = client_config_with(&authority, None, &[version]);
        let read = ask(&https(config, Offers::Both), gateway.address(), "/health/live", None).await.unwrap();
        assert_eq!(read.status, StatusCode::OK, "{version:?}");
    }
}

#[tokio::test]
async fn grpc_has_the_certificate_of_rest_or_one_of_its_own() {
    let authority = Authority::new("authority");
    let (first, second) = (authority.gateway(), authority.gateway());
    let (of_rest, of_grpc) = (Files::of(&first), Files::of(&second));
    for own in [false, true] {
        let mut builder = gateway_with(&of_rest);
        if own {
            let tls = of_grpc.settings();
            builder = builder.settings(|settings| settings.grpc.tls = tls);
        }
        let gateway = builder.start().await;
        let expected = if own { &second } else { &first };
        assert_eq!(shown(&authority, gateway.grpc_address()).await, expected.der(), "{own}");
        let client = https(client_config(&authority, None), Offers::Http2);
        let origin = format!("https://localhost:{}", gateway.grpc_address().port());
        let service = InterceptedService::new(client, Bearer(Some(TokenBuilder::new().build())));
        let mut client = GrpcInferenceServiceClient::with_origin(service, origin.parse().unwrap());
        let response = client.model_infer(setosa_raw()).await.unwrap().into_inner();
        assert_eq!(response.model_name, "iris");
    }
}

#[tokio::test]
async fn the_operators_listener_has_tls_of_its_own() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let tls = files.settings();
    let gateway = TestGateway::builder().settings(|settings| settings.admin.tls = tls).start().await;
    let client = https(client_config(&authority, None), Offers::Both);
    let admin: SocketAddr = gateway.admin_url("").trim_start_matches("http://").parse().unwrap();
    let read = ask(&client, admin, "/health/live", None).await.unwrap();
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "the public listener has none");
}

#[tokio::test]
async fn a_client_without_tls_is_told_to_use_it_and_is_counted() {
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway())).start().await;
    for address in [gateway.address(), gateway.grpc_address()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /predict HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut response = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut response)).await.expect("an end").unwrap();
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert!(
            response.contains("\"code\":\"tls_required\"") && response.contains("use https"),
            "{response}"
        );
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    }
    failures(&gateway, "plain_http", 2).await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("an end").unwrap();
    failures(&gateway, "protocol", 1).await;
    drop(TcpStream::connect(gateway.address()).await.unwrap());
    failures(&gateway, "left", 1).await;
}

/// Waits until this number of handshakes failed for a reason.
async fn failures(gateway: &TestGateway, reason: &str, number: usize) {
    let line = format!("gateway_tls_handshake_failures_total{{reason=\"{reason}\"}} {number}\n");
    gateway.metrics_until(|metrics| metrics.contains(&line)).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_closed_and_gives_its_place_back() {
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway()))
        .settings(|settings| settings.server.header_timeout_ms = 200)
        .start()
        .await;
    // Nothing, and the beginning of a record.
    for (sent, number) in [(&b""[..], 1), (b"\x16\x03\x01\x02\x00\x01", 2)] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("it is closed");
        assert!(read.is_err() || read.is_ok_and(|bytes| bytes == 0));
        failures(&gateway, "timed_out", number).await;
    }
    // The connection of whoever asks for the metrics is the only one.
    gateway.metrics_until(|metrics| metrics.contains("gateway_connections 1\n")).await;
    let client = https(client_config(&authority, None), Offers::Both);
    assert!(ask(&client, gateway.address(), "/health/live", None).await.is_some());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_over_tls_is_closed() {
    let authority = Authority::new("authority");
    let gateway = gateway_with(&Files::of(&authority.gateway()))
        .settings(|settings| settings.server.write_timeout_ms = 200)
        .start()
        .await;
    // The response is longer than what the system and TLS buffer.
    let rows: Vec<Value> = (0..20_000).map(|_| setosa()["features"].clone()).collect();
    let (body, token) = (json!({"instances": rows}).to_string(), TokenBuilder::new().build());
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(&authority, gateway.address()).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let line = "gateway_connections_closed_total{reason=\"slow_reader\"} 1\n";
    gateway.metrics_until(|metrics| metrics.contains(line)).await;
}

#[tokio::test]
async fn clients_are_let_in_by_the_certificates_that_the_settings_ask_for() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let known = of_clients.client("shop", "spiffe://example/shop");
    let unknown = Authority::new("another").client("shop", "spiffe://example/shop");
    for (wanted, none_is_let_in) in
        [(ClientCertificates::Optional, true), (ClientCertificates::Required, false)]
    {
        let files = Files::of(&authority.gateway());
        files.write("clients.crt", &of_clients.pem);
        let gateway = gateway_with(&files)
            .settings(|settings| {
                settings.server.tls.client_ca_file = Some(files.path("clients.crt"));
                settings.server.tls.client_certificates = Some(wanted);
            })
            .start()
            .await;
        let cases = [(None, none_is_let_in), (Some(&known), true), (Some(&unknown), false)];
        table::each_async(cases, async |(own, is_let_in)| {
            for address in [gateway.address(), gateway.grpc_address()] {
                let client = https(client_config(&authority, own), Offers::Http2);
                let read = ask(&client, address, "/health/live", None).await;
                assert_eq!(read.is_some(), is_let_in, "{wanted:?} {address}");
            }
        })
        .await;
        failures(&gateway, "client_certificate", if none_is_let_in { 2 } else { 4 }).await;
    }
}

#[tokio::test]
async fn a_certificate_identifies_a_caller_with_scopes_if_there_is_no_token() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("authority of clients"));
    let files = Files::of(&authority.gateway());
    files.write("clients.crt", &of_clients.pem);
    let entry = |subject: Option<&str>, san: Option<&str>, scope: &str| CertificateSettings {
        subject: subject.map(str::to_owned),
        san: san.map(str::to_owned),
        scopes: vec![scope.to_owned()],
        plan: None,
    };
    let gateway = gateway_with(&files)
        .settings(|settings| {
            settings.server.tls.client_ca_file = Some(files.path("clients.crt"));
            settings.server.tls.client_certificates = Some(ClientCertificates::Optional);
            let certificates = &mut settings.auth.certificates;
            certificates.insert("shop".to_owned(), entry(Some("CN=shop"), None, "predict:iris"));
            certificates.insert("watch".to_owned(), entry(None, Some("spiffe://example/watch"), "read"));
        })
        .start()
        .await;
    let shop = of_clients.client("shop", "spiffe://example/shop");
    let watch = of_clients.client("any", "spiffe://example/watch");
    let other = of_clients.client("other", "spiffe://example/other");
    let page = ("origin", "https://localhost");
    let (of_page, typed) = (("sec-fetch-site", "cross-site"), ("sec-fetch-site", "none"));
    let of_node = ("sec-fetch-mode", "cors");
    let (bad_token, of_a_proxy) = (("authorization", "Bearer x.y.z"), ("authorization", "Basic eDp5"));
    let cases = [
        (Some(&shop), None, "/predict", 200),
        (Some(&shop), None, "/models/iris", 403),
        (Some(&watch), None, "/models/iris", 200),
        (Some(&watch), None, "/predict", 403),
        (Some(&other), None, "/predict", 401),
        (None, None, "/predict", 401),
        (Some(&shop), Some(page), "/predict", 401),
        (Some(&shop), Some(of_page), "/predict", 401),
        (Some(&shop), Some(of_node), "/predict", 200),
        (Some(&shop), Some(typed), "/predict", 200),
        (Some(&shop), None, "/models/iris?access_token=x", 400),
        (None, None, "/models/iris?access_token=x", 401),
        (Some(&shop), Some(bad_token), "/predict", 401),
        (Some(&shop), Some(of_a_proxy), "/predict", 200),
        (None, Some(of_a_proxy), "/predict", 401),
    ];
    for offers in [Offers::Http1, Offers::Http2] {
        table::each_async(cases, async |(own, header, path, status)| {
            let client = https(client_config(&authority, own), offers);
            let body = (path == "/predict").then(setosa);
            let headers: Vec<_> = header.into_iter().collect();
            let read = ask_with(&client, gateway.address(), &headers, path, body.as_ref()).await.unwrap();
            assert_eq!(read.status.as_u16(), status, "{offers:?}: {}", read.body);
        })
        .await;
    }
    let client = https(client_config(&authority, Some(&shop)), Offers::Http2);
    let origin = format!("https://localhost:{}", gateway.grpc_address().port());
    let service = InterceptedService::new(client, Bearer(None));
    let mut client = GrpcInferenceServiceClient::with_origin(service, origin.parse().unwrap());
    assert_eq!(client.model_infer(setosa_raw()).await.unwrap().into_inner().model_name, "iris");
    gateway.reload(|settings| settings.auth.certificates.clear());
    assert_eq!(client.model_infer(setosa_raw()).await.unwrap_err().code(), tonic::Code::Unauthenticated);
}

/// Requests liveness over an open connection, with this header `Connection`.
async fn is_alive(stream: &mut TlsStream<TcpStream>, connection: &str) {
    let request = format!("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let body = b"}";
    while !response.ends_with(body) {
        let read = timeout(PATIENCE, stream.read_buf(&mut response)).await.expect("a response").unwrap();
        assert!(read > 0, "{response:?}");
    }
    assert!(response.starts_with(b"HTTP/1.1 200 "), "{response:?}");
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failed_request() {
    let authority = Authority::new("authority");
    let (first, second) = (authority.gateway(), authority.gateway());
    let files = Files::of(&first);
    let gateway = gateway_with(&files)
        // The open connection is idle while the machine is busy with handshakes.
        .settings(|settings| settings.server.header_timeout_ms = 600_000)
        .start()
        .await;
    let mut kept = connect(&authority, gateway.address()).await;
    is_alive(&mut kept, "keep-alive").await;
    let (is_over, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        while !is_over.load(Ordering::Relaxed) {
            // A client of its own for each request: a handshake each time.
            let client = https(client_config(&authority, None), Offers::Both);
            let read = ask(&client, gateway.address(), "/predict", Some(&setosa())).await;
            assert_eq!(read.expect("a response").status, StatusCode::OK);
            requests.fetch_add(1, Ordering::Relaxed);
        }
    };
    let changes = async {
        for next in [&second, &first, &second, &first, &second] {
            let before = requests.load(Ordering::Relaxed);
            files.put(next);
            let reloaded = gateway.reload(|_| {});
            assert_eq!(reloaded.applied, ["server.tls", "grpc.tls"]);
            assert_eq!(shown(&authority, gateway.address()).await, next.der());
            assert_eq!(shown(&authority, gateway.grpc_address()).await, next.der());
            while requests.load(Ordering::Relaxed) < before + 3 {
                tokio::task::yield_now().await;
            }
            // A connection of the first certificate goes on.
            is_alive(&mut kept, "keep-alive").await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, changes);
    is_alive(&mut kept, "close").await;
    assert_eq!(gateway.reload(|_| {}).applied, [""; 0], "nothing has changed");
    let off = gateway.reload(|settings| settings.server.tls = Settings::default().server.tls);
    assert!(off.applied.contains(&"server.tls.certificate_file".to_owned()), "{off:?}");
    assert_eq!(gateway.predict(&setosa()).await.status, StatusCode::OK, "without TLS");
}

#[tokio::test]
async fn the_metrics_show_until_when_a_certificate_is_valid() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.expired());
    let gateway = gateway_with(&files).start().await;
    // 2001-02-03 in seconds since 1970.
    let line = |listener: &str, end: i64| format!("_end_seconds{{listener=\"{listener}\"}} {end}\n");
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains(&line("rest", 981_158_400)) && metrics.contains(&line("grpc", 981_158_400)),
        "{metrics}"
    );
    files.put(&authority.gateway());
    gateway.reload(|_| {});
    let metrics = gateway.metrics().await;
    assert!(metrics.contains(&line("rest", 67_090_118_400)), "{metrics}");
    assert!(!metrics.contains("listener=\"admin\""), "{metrics}");
}

/// What is said of settings that cannot be used, or what is warned of.
fn said_of(change: impl FnOnce(&mut Settings)) -> Vec<String> {
    let mut settings = Settings::default();
    change(&mut settings);
    match LoadedTls::new(&settings, SystemTime::now()) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn files_and_settings_that_cannot_be_used_are_named_with_what_to_do() {
    let authority = Authority::new("authority");
    let (one, other) = (authority.gateway(), authority.gateway());
    let files = |certificate: &str, key: &str| {
        Files::of(&Issued { certificate: certificate.to_owned(), key: key.to_owned() })
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let expired = authority.expired();
    let old = fs::read_to_string(source_tree().join("tests/data/tls/version_1.crt")).unwrap();
    let cases = [
        (files(&one.certificate, &one.key), None),
        (files(&one.certificate, &other.key), Some("is not the key of the first certificate in ")),
        (
            files(&format!("{}{}", authority.pem, one.certificate), &one.key),
            Some("own certificate comes first"),
        ),
        (files(&one.key, &one.key), Some("has no certificate but a PRIVATE KEY")),
        (files(&one.certificate, &one.certificate), Some("has no private key but a CERTIFICATE")),
        (files(&one.certificate, encrypted), Some("openssl pkey -in FILE")),
        (files(&one.certificate, short), Some("expected RSA with 2048 to 8192 bits")),
        (files("", &one.key), Some("has no certificate: expected PEM")),
        (files(&old, &one.key), Some("expected X.509 version 3")),
        (files(&expired.certificate, &expired.key), Some("the certificate expired at 2001-02-03T00:00:00Z")),
    ];
    table::each(cases, |(files, part)| {
        let said = said_of(|settings| settings.server.tls = files.settings());
        assert_eq!(said.len(), usize::from(part.is_some()), "{said:?}");
        let key = part.map(|_| "server.tls.").unwrap_or_default();
        assert!(part.is_none_or(|part| said[0].starts_with(key) && said[0].contains(part)), "{said:?}");
    });
}

#[test]
fn half_a_section_is_a_problem_and_never_no_tls() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let said = said_of(|settings| {
        settings.server.tls = files.settings();
        settings.grpc.tls.private_key_file = Some(files.path("tls.key"));
        settings.admin.tls.client_certificates = Some(ClientCertificates::Required);
    });
    let keys: Vec<&str> = said.iter().map(|said| said.split(": ").next().unwrap()).collect();
    let expected = [
        "grpc.tls.certificate_file",
        "admin.tls.certificate_file",
        "admin.tls.private_key_file",
        "admin.tls.client_ca_file",
    ];
    assert_eq!(keys, expected, "{said:?}");
    let said = said_of(|settings| {
        settings.server.tls = files.settings();
        settings.server.tls.client_ca_file = Some(files.path("tls.crt"));
    });
    assert!(
        said.len() == 1 && said[0].contains("client_certificates: is none, so client_ca_file has no effect")
    );
}
