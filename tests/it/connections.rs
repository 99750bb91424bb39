//! Connections: who has them, who gives way, and what becomes of a request on one that ends.

use std::net::{IpAddr, SocketAddr};

use onnx_gateway::config::Settings;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, TestGateway, grpc, setosa, table, tokens::TokenBuilder};

/// The head of an answer, and whether the connection ends with it.
#[derive(Debug)]
struct Answered {
    status: u16,
    closes: bool,
}

/// Reads one answer from a connection.
async fn read_answer(stream: &mut TcpStream) -> Answered {
    let read = async {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.unwrap_or_else(|error| panic!("no answer: {error}"));
            answer.push(byte);
        }
        let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answered { status, closes: head.contains("connection: close") }
    };
    timeout(PATIENCE, read).await.expect("an answer")
}

/// Asks for something cheap.
async fn ask(stream: &mut TcpStream) -> Answered {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_answer(stream).await
}

/// Waits until the gateway closes a connection; what it sent before.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    // One that is reset is closed too.
    let _ = read;
    bytes
}

/// A connection from an address of this machine.
async fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

fn refused_total(metrics: &str, status: u16) -> u64 {
    let of_status = format!("status=\"{status}\"");
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("gateway_requests_total{") && line.contains(&of_status));
    counted.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Refusals that are decided by the head alone, as request line and headers, with its status.
fn refusals() -> Vec<(u16, String)> {
    let token = TokenBuilder::new().build();
    let reader = TokenBuilder::new().claim("scope", json!("read")).build();
    let json = "Content-Type: application/json\r\n";
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    vec![
        (401, format!("POST /predict HTTP/1.1\r\n{json}")),
        (401, format!("POST /models/iris/predict HTTP/1.1\r\n{json}{}", bearer("x.y.z"))),
        (401, format!("POST /v2/models/iris/infer HTTP/1.1\r\n{json}")),
        (403, format!("POST /predict HTTP/1.1\r\n{json}{}", bearer(&reader))),
        (404, format!("POST /nothing HTTP/1.1\r\n{json}{}", bearer(&token))),
        (405, format!("PUT /predict HTTP/1.1\r\n{json}{}", bearer(&token))),
        (413, format!("POST /predict HTTP/1.1\r\n{json}{}", bearer(&token))),
        (413, "POST /token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n".to_owned()),
        (415, format!("POST /predict HTTP/1.1\r\nContent-Type: text/plain\r\n{}", bearer(&token))),
        (415, format!("POST /predict HTTP/1.1\r\nContent-Encoding: br\r\n{json}{}", bearer(&token))),
    ]
}

#[tokio::test]
async fn a_late_body_of_a_refused_request_does_not_disturb_the_next_one() {
    let small = TestGateway::builder().settings(|settings| settings.server.max_body_bytes = 10).start().await;
    let usual = TestGateway::start().await;
    let body = setosa().to_string();
    let length = format!("Host: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    table::each_async(refusals(), async |(status, head)| {
        let gateway = if status == 413 { &small } else { &usual };
        for (framing, body) in [(&length, &body), (&chunked, &chunks)] {
            // Without a length it is only known to be too long once it came.
            if status == 413 && framing == &chunked {
                continue;
            }
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            let before = refused_total(&gateway.metrics().await, status);
            stream.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
            gateway.metrics_until(|metrics| refused_total(metrics, status) > before).await;
            stream.write_all(body.as_bytes()).await.unwrap();
            let answered = read_answer(&mut stream).await;
            assert_eq!((answered.status, answered.closes), (status, false), "{head}");
            assert_eq!(ask(&mut stream).await.status, 200, "{head}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_body_that_is_refused_ends_the_connection_and_says_so() {
    let gateway = TestGateway::start().await;
    let head = "POST /predict HTTP/1.1\r\nHost: a\r\n";
    for framing in ["Content-Length: 1000000\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n"] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(format!("{head}{framing}\r\n").as_bytes()).await.unwrap();
        let answered = read_answer(&mut stream).await;
        assert_eq!((answered.status, answered.closes), (401, true), "{framing}");
        assert!(read_to_end(&mut stream).await.is_empty());
    }
}

#[tokio::test]
async fn who_asks_too_much_or_guesses_loses_the_connection_and_is_told() {
    let gateway = TestGateway::builder()
        .settings(|settings| {
            settings.rate_limit = Settings::default().rate_limit;
            settings.rate_limit.per_address.requests = 5;
            settings.rate_limit.per_address.period_seconds = 3600;
        })
        .start()
        .await;
    let request = async |stream: &mut TcpStream, token: &str| {
        let body = setosa().to_string();
        let head = format!("Host: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let request = format!("POST /predict HTTP/1.1\r\n{head}Authorization: Bearer {token}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answered = read_answer(stream).await;
        (answered.status, answered.closes)
    };
    let mut guessing = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(request(&mut guessing, "a").await, (401, false));
    assert_eq!(request(&mut guessing, "b").await, (401, false));
    assert_eq!(request(&mut guessing, "c").await, (401, true));
    assert!(read_to_end(&mut guessing).await.is_empty());
    let token = TokenBuilder::new().build();
    let mut asking = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(request(&mut asking, &token).await, (200, false));
    assert_eq!(request(&mut asking, &token).await, (200, false));
    assert_eq!(request(&mut asking, &token).await, (429, true), "by the fast path");
    assert!(read_to_end(&mut asking).await.is_empty());
    let mut other = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(request(&mut other, "d").await, (429, true), "by the router");
}

#[tokio::test]
async fn a_full_house_lets_another_address_in_and_cuts_no_request() {
    let builder = TestGateway::builder().settings(|settings| settings.server.max_connections = 4);
    let gateway = builder.start().await;
    let mut held = Vec::new();
    for address in [2, 2, 2, 5] {
        let mut stream = connect_from(address, gateway.address()).await;
        assert_eq!(ask(&mut stream).await.status, 200);
        held.push(stream);
    }
    // The first one asks for something, of which the body is not there yet.
    let (token, body) = (TokenBuilder::new().build(), setosa().to_string());
    let head = format!("Host: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len());
    let head = format!("POST /predict HTTP/1.1\r\n{head}Content-Type: application/json\r\n\r\n");
    held[0].write_all(head.as_bytes()).await.unwrap();
    gateway.metrics_until(|metrics| metrics.contains("gateway_requests_in_flight 1\n")).await;
    for newcomer in [3, 4] {
        let mut stream = connect_from(newcomer, gateway.address()).await;
        assert_eq!(ask(&mut stream).await.status, 200, "127.0.0.{newcomer} comes in");
        held.push(stream);
    }
    assert!(read_to_end(&mut held[1]).await.is_empty(), "the ones that were idle longest give way");
    assert!(read_to_end(&mut held[2]).await.is_empty());
    held[0].write_all(body.as_bytes()).await.unwrap();
    for index in [0, 3, 4, 5] {
        let stream = &mut held[index];
        let answered = if index == 0 { read_answer(stream).await } else { ask(stream).await };
        assert_eq!(answered.status, 200, "{index} stays");
    }
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("gateway_connections_closed_total{reason=\"gave_way\"} 2"), "{metrics}");
}

#[tokio::test]
async fn an_address_with_its_share_is_let_in_for_its_own_idle_connections_alone() {
    let builder = TestGateway::builder().settings(|settings| settings.server.max_connections_per_address = 2);
    let gateway = builder.start().await;
    let mut other = connect_from(3, gateway.address()).await;
    assert_eq!(ask(&mut other).await.status, 200);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(2, gateway.address()).await;
        assert_eq!(ask(&mut stream).await.status, 200);
        held.push(stream);
    }
    assert!(read_to_end(&mut held[0]).await.is_empty());
    let head = b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for (number, stream) in held[1..].iter_mut().enumerate() {
        stream.write_all(head).await.unwrap();
        let busy = format!("gateway_requests_in_flight {}\n", number + 1);
        gateway.metrics_until(|metrics| metrics.contains(&busy)).await;
    }
    let mut refused = connect_from(2, gateway.address()).await;
    assert!(read_to_end(&mut refused).await.is_empty(), "all that it has are busy");
    assert_eq!(ask(&mut other).await.status, 200);
}

/// The first bytes of a client of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

/// Kinds and payloads of frames.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let length = length.min(rest.len());
        frames.push((head[3], rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

const GOAWAY: u8 = 7;

#[tokio::test]
async fn connections_of_both_listeners_share_one_limit() {
    let builder = TestGateway::builder().settings(|settings| settings.server.max_connections = 2);
    let gateway = builder.start().await;
    let mut pinging = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_from(2, gateway.grpc_address()).await;
        stream.write_all(PREFACE).await.unwrap();
        // The gateway's SETTINGS, with which it answers the preface.
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        stream.read_exact(&mut vec![0; usize::from(head[2])]).await.unwrap();
        pinging.push(stream);
    }
    let mut newcomer = connect_from(3, gateway.address()).await;
    assert_eq!(ask(&mut newcomer).await.status, 200);
    let told = frames(&read_to_end(&mut pinging[0]).await);
    assert!(told.iter().any(|(kind, _)| *kind == GOAWAY), "{told:?}");
    assert_eq!(ask(&mut newcomer).await.status, 200);
}

#[tokio::test]
async fn floods_of_frames_that_ask_for_nothing_end_with_enhance_your_calm() {
    let gateway = TestGateway::start().await;
    let cases = [
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PING", frame(6, 0, 0, &[7; 8])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 7])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("an unknown kind", frame(99, 0, 0, &[])),
    ];
    table::each_async(cases, async |(name, frame)| {
        let mut stream = TcpStream::connect(gateway.grpc_address()).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let flood = frame.repeat(2000);
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let told = async {
            let (_, read) = tokio::join!(write.write_all(&flood), read.read_to_end(&mut answer));
            let _ = read;
        };
        timeout(PATIENCE, told).await.expect("it is closed");
        let goaway = frames(&answer).into_iter().rfind(|(kind, _)| *kind == GOAWAY);
        let (_, payload) = goaway.unwrap_or_else(|| panic!("{name}: no GOAWAY"));
        assert_eq!(payload[4..8], [0, 0, 0, 0xb], "{name}");
    })
    .await;
    let counted = "gateway_connections_closed_total{reason=\"frame_flood\"} 5";
    gateway.metrics_until(|metrics| metrics.contains(counted)).await;
}

#[tokio::test]
async fn guesses_over_grpc_are_refused_and_many_good_calls_are_answered() {
    let gateway = TestGateway::start().await;
    let mut client = gateway.grpc();
    for _ in 0..500 {
        client.model_infer(grpc::setosa_raw()).await.unwrap();
    }
    let mut guessing = gateway.grpc_without_token();
    for _ in 0..50 {
        let refused = guessing.model_infer(grpc::setosa_raw()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated, "each is answered, on whichever connection");
    }
    client.model_infer(grpc::setosa_raw()).await.unwrap();
    let metrics = gateway.metrics().await;
    assert!(!metrics.contains("frame_flood"), "{metrics}");
}
