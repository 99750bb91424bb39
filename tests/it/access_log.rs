//! The access log of the real binary: the bytes of its lines, that none is lost or torn, and what a stalled reader costs.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    binary::{Process, command, free_port},
    pause,
    repository::Repository,
    setosa, table,
    tokens::{SECRET, TokenBuilder},
};

/// A gateway to be, whose access log is on.
struct Prepared {
    command: Command,
    folder: Repository,
    port: u16,
    admin_port: u16,
}

fn prepare() -> Prepared {
    let folder = Repository::new();
    folder.put_iris("models/iris/1/model.onnx");
    folder.put("gateway.toml", b"[log]\naccess = true\n");
    let (port, admin_port) = (free_port(), free_port());
    let mut command = command();
    command
        .current_dir(folder.path())
        .args(["--config", "gateway.toml"])
        .env("GATEWAY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", format!("127.0.0.1:{admin_port}"))
        .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
        .env("GATEWAY__RATE_LIMIT__ENABLED", "false");
    Prepared { command, folder, port, admin_port }
}

/// Sends a request whose path no client library would send, and returns the response.
fn get(port: u16, path: &str, id: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: {id}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Returns a line with `TIME` and `DURATION` in place of both.
fn without_times(line: &str) -> String {
    let year = line.find("20").unwrap();
    let (begin, rest) = line.split_at(year);
    let (time, rest) = rest.split_at("2026-11-29T04:45:53.123456Z".len());
    assert!(is_time(time), "{line}");
    let number = rest.find("duration_us").unwrap();
    let (before, after) = rest.split_at(number);
    // In colours the sign behind the name is between two sequences, which have digits.
    let value = after.find("=\x1b[0m").map_or_else(|| after.find(['=', ':']).unwrap() + 1, |sign| sign + 5);
    let (name, value) = after.split_at(value);
    let digits = value.find(|digit: char| !digit.is_ascii_digit()).unwrap();
    assert!(digits > 0, "{line}");
    format!("{begin}TIME{before}{name}DURATION{}", &value[digits..])
}

fn is_time(time: &str) -> bool {
    let form: String =
        time.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    form == "0000-00-00T00:00:00.000000Z"
}

/// The fields of a line, each with its value as JSON and as text.
fn fields(fields: &[(&str, Value)]) -> Vec<(String, String, String)> {
    let field = |(name, value): &(&str, Value)| {
        let text = match value {
            Value::String(text) if *name != "peer" => format!("{text:?}"),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (
            (*name).to_owned(),
            value.to_string().replace("\"DURATION\"", "DURATION"),
            text.replace("\"DURATION\"", "DURATION"),
        )
    };
    fields.iter().map(field).collect()
}

/// Returns the line that is expected in a form.
fn expected(form: &str, line: &[(&str, Value)], span: Option<&[(&str, Value)]>) -> String {
    let json = |list: &[(&str, Value)]| {
        fields(list).iter().map(|(name, json, _)| format!("\"{name}\":{json}")).collect::<Vec<_>>().join(",")
    };
    match form {
        "json" => {
            let span = span.map(|span| format!("{{{},\"name\":\"request\"}}", json(span)));
            let spans = span.map(|span| format!(",\"span\":{span},\"spans\":[{span}]")).unwrap_or_default();
            let line = json(line);
            format!(
                "{{\"timestamp\":\"TIME\",\"level\":\"INFO\",\"message\":\"answered\",{line},\
                 \"target\":\"onnx_gateway::access\"{spans}}}"
            )
        }
        "text" => {
            let line = fields(line)
                .iter()
                .map(|(name, _, text)| format!(" {name}={text}"))
                .collect::<Vec<_>>()
                .concat();
            format!("TIME  INFO onnx_gateway::access: answered{line}")
        }
        _ => {
            let coloured = |(name, _, text): &(String, String, String)| {
                format!(" \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{text}")
            };
            let line = fields(line).iter().map(coloured).collect::<Vec<_>>().concat();
            format!(
                "\x1b[2mTIME\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2monnx_gateway::access\x1b[0m\x1b[2m:\x1b[0m \
                 answered{line}"
            )
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_the_bytes_of_its_fields_in_every_form() {
    table::each_async(["json", "text", "coloured"], async |form| {
        let Prepared { mut command, port, folder: _folder, .. } = prepare();
        command.env("GATEWAY__LOG__FORMAT", if form == "json" { "json" } else { "text" });
        if form == "coloured" {
            command.env("CLICOLOR_FORCE", "1");
        }
        let gateway = Process::serve(command);
        let line_of = |id: &str| without_times(&gateway.wait_for_line(&format!("\"{id}\"")));
        let paths = ["/a\"b", "/a\\b", "/{'|^}", "/%0a%1b[31m", "/é😀", "/\u{85}\u{301}\u{202e}\u{feff}"];
        for (number, path) in paths.into_iter().enumerate() {
            let id = format!("path-{number}");
            assert!(get(port, path, &id).starts_with("HTTP/1.1 401 "), "{path}");
            let line = [
                ("method", json!("GET")),
                ("path", json!(path)),
                ("status", json!(401)),
                ("duration_us", json!("DURATION")),
                ("peer", json!("127.0.0.1")),
                ("request.id", json!(id)),
            ];
            let span = [
                ("id", json!(id)),
                ("method", json!("GET")),
                ("path", json!(path)),
                ("peer", json!("127.0.0.1")),
            ];
            assert_eq!(line_of(&id), expected(form, &line, Some(&span)));
        }
        // The second request takes the fast path, which has no span.
        let subject = "ro\"b\\in é\u{301}\u{202e}";
        let token = TokenBuilder::new().claim("sub", json!(subject)).build();
        for id in ["slow", "fast"] {
            let request = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/predict"));
            let request = request.bearer_auth(&token).header("x-request-id", id).json(&setosa());
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let digest = response.headers()["x-model-digest"].to_str().unwrap().to_owned();
            let line = [
                ("method", json!("POST")),
                ("path", json!("/predict")),
                ("status", json!(200)),
                ("duration_us", json!("DURATION")),
                ("peer", json!("127.0.0.1")),
                ("caller.subject", json!(subject)),
                ("caller.kind", json!("token")),
                ("model.version", json!("1")),
                ("model.digest", json!(digest)),
                ("request.id", json!(id)),
            ];
            let span = [
                ("caller.kind", json!("token")),
                ("caller.subject", json!(subject)),
                ("id", json!(id)),
                ("method", json!("POST")),
                ("path", json!("/predict")),
                ("peer", json!("127.0.0.1")),
            ];
            assert_eq!(line_of(id), expected(form, &line, (id == "slow").then_some(&span)));
        }
    })
    .await;
}

/// Returns true if the line of a request with this id has the span that only the slow path makes.
async fn has_span(gateway: &Process, request: RequestBuilder, id: &str) -> bool {
    let response = request.header("x-request-id", id).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let line = loop {
        let line: Value = serde_json::from_str(&gateway.wait_for_line(&format!("\"{id}\""))).unwrap();
        if line["target"] == "onnx_gateway::access" {
            break line;
        }
    };
    line["spans"].is_array()
}

#[tokio::test(flavor = "multi_thread")]
async fn common_requests_take_the_fast_path_in_every_protocol() {
    let Prepared { mut command, port, folder: _folder, .. } = prepare();
    command.env("GATEWAY__LOG__FORMAT", "json");
    let gateway = Process::serve(command);
    let row = json!([5.1, 3.5, 1.4, 0.2]);
    let tensor = json!({"name": "features", "datatype": "FP32", "shape": [1, 4], "data": row});
    let columns = json!(["sepal_length", "sepal_width", "petal_length", "petal_width"]);
    let cases = [
        ("/predict", json!({"features": row})),
        ("/models/iris/predict", json!({"features": row})),
        ("/v2/models/iris/infer", json!({"inputs": [tensor]})),
        ("/v2/models/iris/versions/1/infer", json!({"inputs": [tensor]})),
        ("/v1/models/iris:predict", json!({"instances": [row]})),
        ("/invocations", json!({"dataframe_split": {"columns": columns, "data": [row]}})),
        ("/invocations", json!({"instances": [row]})),
        ("/invocations", json!({"inputs": [tensor]})),
    ];
    let (client, token) = (reqwest::Client::new(), TokenBuilder::new().build());
    let post = |path: &str, body: &Value| {
        client.post(format!("http://127.0.0.1:{port}{path}")).bearer_auth(&token).json(body)
    };
    let first = post("/predict", &cases[0].1);
    assert!(has_span(&gateway, first, "unknown").await, "its token is not known yet");
    let cases = cases.into_iter().enumerate();
    table::each_async(cases, async |(number, (path, body))| {
        let slow = post(path, &body).header("x-tenant", "a");
        assert!(has_span(&gateway, slow, &format!("slow-{number}")).await, "a header that a layer may read");
        assert!(!has_span(&gateway, post(path, &body), &format!("fast-{number}")).await, "{path} {body}");
    })
    .await;
}

/// The ids of the access lines among the lines of a log in JSON.
fn access_ids(lines: &[String]) -> Vec<String> {
    let line = |line: &String| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the line {line}"))
    };
    let lines = lines.iter().map(line).filter(|line| line["target"] == "onnx_gateway::access");
    lines.map(|line| line["request.id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_whole_among_others_and_none_is_lost_when_the_gateway_stops() {
    const CLIENTS: usize = 16;
    const REQUESTS: usize = 60;
    let Prepared { mut command, port, folder: _folder, .. } = prepare();
    command.env("GATEWAY__LOG__FORMAT", "json").env("GATEWAY__LOG__LEVEL", "debug");
    command.env("GATEWAY__SERVER__SHUTDOWN_DELAY_MS", "0");
    let gateway = Process::serve(command);
    let token = TokenBuilder::new().build();
    let client = async |number: usize| {
        let client = reqwest::Client::new();
        for request in 0..REQUESTS {
            // Wrong and right ones: the log has other lines about the wrong ones.
            let body = if request % 3 == 0 { json!({"features": [1]}) } else { setosa() };
            let post = client.post(format!("http://127.0.0.1:{port}/predict")).bearer_auth(&token);
            post.header("x-request-id", format!("{number}-{request}")).json(&body).send().await.unwrap();
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(client)).await;
    gateway.signal("TERM");
    let lines = gateway.lines_to_end();
    assert!(gateway.wait().success());
    let ids = access_ids(&lines);
    assert!(lines.len() > ids.len(), "there are other lines");
    assert_eq!(ids.len(), CLIENTS * REQUESTS, "each has one line");
    let sent =
        (0..CLIENTS).flat_map(|number| (0..REQUESTS).map(move |request| format!("{number}-{request}")));
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), sent.collect());
}

/// The number of dropped lines in the text of the metrics.
fn dropped(metrics: &str) -> usize {
    let value = metrics.lines().find_map(|line| line.strip_prefix("gateway_log_lines_dropped_total "));
    value.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_reader_of_the_log_costs_counted_lines_and_no_request() {
    let Prepared { mut command, port, admin_port, folder: _folder } = prepare();
    command.env("GATEWAY__LOG__FORMAT", "json").env("GATEWAY__SERVER__SHUTDOWN_DELAY_MS", "0");
    let mut gateway = command.stderr(Stdio::piped()).spawn().unwrap();
    let client = reqwest::Client::new();
    let ready = format!("http://127.0.0.1:{port}/health/ready");
    while !client.get(&ready).send().await.is_ok_and(|response| response.status() == StatusCode::OK) {
        pause().await;
    }
    let long = format!("http://127.0.0.1:{port}/{}", "x".repeat(7000));
    let metrics = async || {
        let response = client.get(format!("http://127.0.0.1:{admin_port}/metrics")).send().await.unwrap();
        response.text().await.unwrap()
    };
    let (mut sent, mut looked) = (0, 1);
    while dropped(&metrics().await) == 0 {
        assert!(sent < 10_000, "the buffers are bounded");
        for _ in 0..50 {
            let get = client.get(&long).header("x-request-id", format!("long-{sent}"));
            assert_eq!(get.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
            sent += 1;
        }
        looked += 1;
    }
    let predict = client.post(format!("http://127.0.0.1:{port}/predict"));
    let predict = predict.bearer_auth(TokenBuilder::new().build()).json(&setosa());
    assert_eq!(predict.send().await.unwrap().status(), StatusCode::OK, "requests go on");
    let dropped = dropped(&metrics().await);
    assert!(dropped < sent, "a part was kept: {dropped} of {sent}");

    // The reader goes on.
    let stderr = BufReader::new(gateway.stderr.take().unwrap());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let read = tokio::task::spawn_blocking({
        let lines = Arc::clone(&lines);
        move || stderr.lines().map(Result::unwrap).for_each(|line| lines.lock().unwrap().push(line))
    });
    let is_read = |part: &str| lines.lock().unwrap().iter().rev().take(100).any(|line| line.contains(part));
    let waiting = async {
        // Behind all that was kept, once there is room for it.
        while !is_read(r#""last""#) {
            let get = client.get(&long).header("x-request-id", "last");
            assert_eq!(get.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
            pause().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what was kept is written");
    Command::new("kill").arg(gateway.id().to_string()).status().unwrap();
    read.await.unwrap();
    let lines = lines.lock().unwrap().clone();
    assert!(gateway.wait().unwrap().success());
    let ids = access_ids(&lines);
    let kept = ids.iter().filter(|id| id.starts_with("long-")).count();
    let lost = sent - kept;
    assert!(lost > 0 && lost <= dropped, "{lost} of {sent} lost, {dropped} dropped");
    // The other lines that may be among them: of the metrics, and of the prediction.
    assert!(dropped <= lost + looked + 1, "{lost} of {sent} lost, {dropped} dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn directives_for_the_access_log_hold_and_change_with_the_settings() {
    let Prepared { mut command, folder, port, .. } = prepare();
    let put = |level: &str, access: bool| {
        let log = format!("[log]\naccess = {access}\nlevel = \"{level}\"\n");
        fs::write(folder.path().join("gateway.toml"), log).unwrap();
    };
    put("info,onnx_gateway::access=off", true);
    command.env("GATEWAY__LOG__FORMAT", "json");
    let gateway = Process::serve(command);
    let reload = |level: &str, access: bool| {
        put(level, access);
        gateway.signal("HUP");
        gateway.lines_until("reloaded the settings")
    };
    let level_of = |lines: &[String]| {
        let line: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(line["target"], "onnx_gateway::access");
        line["level"].clone()
    };
    let is_silent = |lines: Vec<String>| lines.iter().all(|line| !line.contains("onnx_gateway::access"));

    get(port, "/silent", "silent-1");
    assert!(is_silent(reload("info", true)));
    get(port, "/seen", "seen-1");
    assert_eq!(level_of(&gateway.lines_until("seen-1")), "INFO");
    assert!(is_silent(reload("info,onnx_gateway::access=warn", true)));
    get(port, "/silent", "silent-2");
    assert!(is_silent(reload("info", false)));
    get(port, "/silent", "silent-3");
    assert!(is_silent(reload("info,onnx_gateway::access=debug", false)));
    get(port, "/seen", "seen-2");
    assert_eq!(level_of(&gateway.lines_until("seen-2")), "DEBUG");
}
