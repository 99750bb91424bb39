//! Unix sockets, and the PROXY protocol: how a gateway learns who its clients are.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use onnx_gateway::config::{ListenAddress, QuotaSettings, Settings, TrustedProxy};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::support::{
    TestGateway,
    certificates::{Authority, Files, client_config},
    tokens::TokenBuilder,
};

/// A folder with the paths of sockets.
struct Sockets(tempfile::TempDir);

impl Sockets {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn listen(&self, name: &str) -> ListenAddress {
        ListenAddress::Unix(self.path(name))
    }
}

/// The status of one request, the last on its connection; `None` if the connection is closed without a response.
async fn status(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    prefix: &[u8],
    path: &str,
    more: &str,
) -> Option<u16> {
    let body = json!({"features": [5.1, 3.5, 1.4, 0.2]}).to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n{more}\r\n",
        TokenBuilder::new().build(),
        body.len()
    );
    let sent = [prefix, head.as_bytes(), body.as_bytes()].concat();
    // A connection that is refused may be closed before all is written.
    let _ = stream.write_all(&sent).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let text = String::from_utf8_lossy(&response).into_owned();
    text.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse().unwrap())
}

async fn predict_at(path: &Path, forwarded: Option<&str>) -> Option<u16> {
    let more = forwarded.map_or_else(String::new, |address| format!("x-forwarded-for: {address}\r\n"));
    status(UnixStream::connect(path).await.unwrap(), b"", "/predict", &more).await
}

/// A quota of this number of requests of each address.
fn quota(settings: &mut Settings, requests: u32) {
    settings.rate_limit.enabled = true;
    settings.rate_limit.per_address = QuotaSettings { requests, period_seconds: 3600 };
}

#[tokio::test]
async fn every_listener_may_be_a_unix_socket_whose_file_ends_with_the_gateway() {
    let sockets = Sockets::new();
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.server.listen = sockets.listen("http");
            settings.grpc.listen = sockets.listen("grpc");
            settings.admin.listen = sockets.listen("admin");
        })
        .start()
        .await;
    assert_eq!(predict_at(&sockets.path("http"), None).await, Some(200));
    let mode = std::fs::metadata(sockets.path("http")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let admin = UnixStream::connect(sockets.path("admin")).await.unwrap();
    assert_eq!(status(admin, b"", "/metrics", "").await, Some(405), "the operators' listener answers");
    let mut grpc = UnixStream::connect(sockets.path("grpc")).await.unwrap();
    grpc.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    grpc.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "its settings");
    drop(grpc);
    gateway.shut_down().await;
    for name in ["http", "grpc", "admin"] {
        assert!(!sockets.path(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn peers_on_a_unix_socket_are_one_client_unless_they_are_trusted() {
    for (trusted, other) in [(Vec::new(), 429), (vec![TrustedProxy::Unix], 200)] {
        let sockets = Sockets::new();
        let _gateway = TestGateway::builder()
            .settings(|settings| {
                settings.server.listen = sockets.listen("http");
                settings.server.trusted_proxies = trusted;
                quota(settings, 1);
            })
            .start()
            .await;
        let path = sockets.path("http");
        assert_eq!(predict_at(&path, Some("203.0.113.1")).await, Some(200));
        assert_eq!(predict_at(&path, Some("203.0.113.1")).await, Some(429));
        assert_eq!(predict_at(&path, Some("203.0.113.2")).await, Some(other));
    }
}

#[tokio::test]
async fn a_unix_socket_has_no_limit_of_connections_by_address_and_may_have_tls() {
    let sockets = Sockets::new();
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let _gateway = TestGateway::builder()
        .settings(|settings| {
            settings.server.listen = sockets.listen("http");
            settings.server.max_connections_per_address = 1;
            settings.server.tls = files.settings();
        })
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let stream = UnixStream::connect(sockets.path("http")).await.unwrap();
        let connector =
            tokio_rustls::TlsConnector::from(std::sync::Arc::new(client_config(&authority, None)));
        held.push(connector.connect("localhost".try_into().unwrap(), stream).await.unwrap());
    }
    for stream in held {
        assert_eq!(status(stream, b"", "/predict", "").await, Some(200));
    }
}

/// A header of the PROXY protocol, version 2, for a client with this IPv4 address.
fn header(client: [u8; 4]) -> Vec<u8> {
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&fixed[..], &client, &[127, 0, 0, 1], &[0, 80, 0, 80]].concat()
}

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn predict_with(address: SocketAddr, prefix: &[u8], more: &str) -> Option<u16> {
    status(TcpStream::connect(address).await.unwrap(), prefix, "/predict", more).await
}

async fn behind_proxy(change: impl FnOnce(&mut Settings)) -> TestGateway {
    let builder = TestGateway::builder().settings(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        settings.server.proxy_protocol = true;
        settings.server.header_timeout_ms = 300;
    });
    builder.settings(change).start().await
}

#[tokio::test]
async fn the_address_in_the_header_is_the_client() {
    let gateway = behind_proxy(|settings| quota(settings, 1)).await;
    let address = gateway.address();
    assert_eq!(predict_with(address, &header([203, 0, 113, 1]), "").await, Some(200));
    assert_eq!(predict_with(address, &header([203, 0, 113, 1]), "").await, Some(429));
    let forged = "x-forwarded-for: 198.51.100.7\r\n";
    assert_eq!(predict_with(address, &header([203, 0, 113, 1]), forged).await, Some(429), "it is no proxy");
    assert_eq!(predict_with(address, &header([203, 0, 113, 2]), "").await, Some(200));
    // The proxy's own connections are the proxy's, which may forward for others.
    assert_eq!(predict_with(address, LOCAL, forged).await, Some(200));
    assert_eq!(predict_with(address, LOCAL, forged).await, Some(429));
    let relayed = "x-forwarded-for: 198.51.100.8\r\n";
    assert_eq!(
        predict_with(address, &header([127, 0, 0, 1]), relayed).await,
        Some(200),
        "through two proxies"
    );
}

#[tokio::test]
async fn a_trusted_proxy_without_a_header_is_closed() {
    let gateway = behind_proxy(|_| ()).await;
    let address = gateway.address();
    for (prefix, case) in [
        (&b""[..], "none"),
        (b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n", "version 1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04", "too short"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "too long"),
    ] {
        assert_eq!(predict_with(address, prefix, "").await, None, "{case}");
    }
    // A part of a header, and then nothing.
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&LOCAL[..8]).await.unwrap();
    assert_eq!(slow.read(&mut [0]).await.unwrap(), 0);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("reason=\"proxy_header\"} 5"), "{metrics}");
    let admin = TcpStream::connect(gateway.operators()).await.unwrap();
    assert_eq!(status(admin, b"", "/metrics", "").await, Some(405), "operators send no header");
}

#[tokio::test]
async fn a_header_of_a_peer_that_is_no_proxy_says_nothing() {
    let gateway = behind_proxy(|settings| quota(settings, 2)).await;
    let from_elsewhere = async |prefix: &[u8]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 9), 0).into()).unwrap();
        status(socket.connect(gateway.address()).await.unwrap(), prefix, "/predict", "").await
    };
    assert_eq!(from_elsewhere(b"").await, Some(200));
    assert_ne!(from_elsewhere(&header([203, 0, 113, 1])).await, Some(200));
    assert_eq!(from_elsewhere(b"").await, Some(200));
    assert_eq!(from_elsewhere(b"").await, Some(429));
}

#[tokio::test]
async fn a_header_comes_before_tls_and_names_whose_handshakes_are_charged() {
    let authority = Authority::new("authority");
    let files = Files::of(&authority.gateway());
    let gateway = behind_proxy(|settings| {
        settings.server.tls = files.settings();
        settings.rate_limit.enabled = true;
        settings.rate_limit.handshakes = QuotaSettings { requests: 2, period_seconds: 3600 };
    })
    .await;
    let handshake = async |prefix: &[u8]| {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(prefix).await.unwrap();
        let connector =
            tokio_rustls::TlsConnector::from(std::sync::Arc::new(client_config(&authority, None)));
        connector.connect("localhost".try_into().unwrap(), stream).await.ok()
    };
    let client = header([203, 0, 113, 1]);
    let first = handshake(&client).await.unwrap();
    assert_eq!(status(first, b"", "/predict", "").await, Some(200));
    assert!(handshake(&client).await.is_some());
    assert!(handshake(&client).await.is_none(), "the third of two");
    assert!(handshake(&header([203, 0, 113, 2])).await.is_some(), "another address has its own");
    for _ in 0..3 {
        assert!(handshake(LOCAL).await.is_some(), "a proxy has no such quota");
    }
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("reason=\"handshake_quota\"} 1"), "{metrics}");
}
