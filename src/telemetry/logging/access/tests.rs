//! Access lines beside the lines that `tracing` writes of the same fields.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use proptest::{option, prelude::*};
use tracing::subscriber::with_default;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt};

use super::*;

/// The bytes that a subscriber writes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line of `tracing` in one form, from within the spans that `log` opens.
fn of_tracing(form: Form, log: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let layer = fmt::layer().with_writer(move || writer.clone());
    let registry = tracing_subscriber::registry().with(EnvFilter::new("trace"));
    match form {
        Form::Json => with_default(registry.with(layer.json().flatten_event(true)), log),
        Form::Text => with_default(registry.with(layer.with_ansi(false)), log),
        Form::Coloured => with_default(registry.with(layer.with_ansi(true)), log),
    }
    String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
}

/// Logs the fields of a line by `tracing`.
fn log_by_tracing(line: &AccessLine<'_>, level: AccessLevel) {
    let AccessLine { method, path, status, grpc_status, duration, .. } = *line;
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                target: "onnx_gateway::access",
                parent: None,
                method,
                path,
                status,
                grpc.status = grpc_status,
                duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
                peer = line.peer.map(tracing::field::display),
                caller.subject = line.caller_subject,
                caller.kind = line.caller_kind,
                model.version = line.model_version,
                model.digest = line.model_digest,
                request.id = line.request_id,
                "answered"
            )
        };
    }
    match level {
        AccessLevel::Info => log!(info),
        AccessLevel::Debug => log!(debug),
    }
}

fn written(line: &AccessLine<'_>, form: Form, level: AccessLevel) -> String {
    let mut lines = Lines::default();
    line.write(form, level, SystemTime::now(), &mut lines);
    String::from_utf8(lines.bytes).unwrap()
}

/// Returns a line without the digits of its time.
fn without_time(form: Form, line: &str) -> String {
    let begin = form.before_time().len();
    let (time, rest) = line[begin..].split_at("2026-11-29T04:45:53.123456Z".len());
    assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
    format!("{}{rest}", form.before_time())
}

const ALL: [(Form, AccessLevel); 6] = [
    (Form::Json, AccessLevel::Info),
    (Form::Text, AccessLevel::Info),
    (Form::Coloured, AccessLevel::Info),
    (Form::Json, AccessLevel::Debug),
    (Form::Text, AccessLevel::Debug),
    (Form::Coloured, AccessLevel::Debug),
];

const LINE: AccessLine<'static> = AccessLine {
    method: "POST",
    path: "/predict",
    status: 200,
    grpc_status: None,
    duration: Duration::from_micros(1234),
    peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    caller_subject: Some("robin"),
    caller_kind: Some("token"),
    model_version: Some("1"),
    model_digest: Some("0123456789ab"),
    request_id: Some("id-1"),
};

#[test]
fn each_form_is_known_by_heart() {
    let line = |form| without_time(form, &written(&LINE, form, AccessLevel::Info));
    assert_eq!(
        line(Form::Json),
        concat!(
            r#"{"timestamp":"","level":"INFO","message":"answered","method":"POST","path":"/predict","#,
            r#""status":200,"duration_us":1234,"peer":"127.0.0.1","caller.subject":"robin","#,
            r#""caller.kind":"token","model.version":"1","model.digest":"0123456789ab","request.id":"id-1","#,
            r#""target":"onnx_gateway::access"}"#,
            "\n"
        )
    );
    assert_eq!(
        line(Form::Text),
        concat!(
            r#"  INFO onnx_gateway::access: answered method="POST" path="/predict" status=200 duration_us=1234 "#,
            r#"peer=127.0.0.1 caller.subject="robin" caller.kind="token" model.version="1" "#,
            r#"model.digest="0123456789ab" request.id="id-1""#,
            "\n"
        )
    );
}

#[test]
fn lines_within_spans_have_them_as_those_of_tracing() {
    let same = |within: fn(&mut dyn FnMut())| {
        for (form, level) in ALL {
            let mut own = String::new();
            let theirs = of_tracing(form, || {
                within(&mut || {
                    log_by_tracing(&LINE, level);
                    own = written(&LINE, form, level);
                });
            });
            assert_eq!(without_time(form, &own), without_time(form, &theirs));
        }
    };
    same(|log| log());
    same(|log| {
        let span = tracing::error_span!(
            "request",
            path = "/\"\\\u{1b}é",
            id = "a",
            peer = tracing::field::Empty,
            count = 1.5,
        );
        span.record("peer", tracing::field::display("b"));
        span.in_scope(|| tracing::info_span!("without_fields").in_scope(log));
    });
}

/// Any text, mostly with the characters that need care.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z/]{0,40}",
        "[\\x00-\\x7f]{0,8}",
        "[\"\\\\/'\n\r\t\\x00\\x1b\\x7f\u{85}\u{a0}\u{301}\u{200b}\u{202e}\u{feff}é😀]{0,8}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn lines_have_the_bytes_of_those_of_tracing(
        (method, path, status, duration) in (text(), text(), any::<u16>(), any::<u64>()),
        (grpc_status, caller, version) in (option::of(text()), option::of(text()), option::of(text())),
        (kind, digest, id) in (option::of(text()), option::of(text()), option::of(text())),
        (v4, v6) in (option::of(any::<Ipv4Addr>()), option::of(any::<Ipv6Addr>())),
    ) {
        let line = AccessLine {
            method: &method,
            path: &path,
            status,
            grpc_status: grpc_status.as_deref(),
            duration: Duration::from_micros(duration),
            peer: v4.map(IpAddr::V4).or(v6.map(IpAddr::V6)),
            caller_subject: caller.as_deref(),
            caller_kind: kind.as_deref(),
            model_version: version.as_deref(),
            model_digest: digest.as_deref(),
            request_id: id.as_deref(),
        };
        for (form, level) in ALL {
            let theirs = of_tracing(form, || log_by_tracing(&line, level));
            let own = written(&line, form, level);
            prop_assert_eq!(without_time(form, &own), without_time(form, &theirs));
            prop_assert_eq!(own.matches('\n').count(), 1);
        }
    }
}
