//! The request head, as far as the fast path accepts it.

use axum::http::{HeaderName, HeaderValue, Method, Request, Version, header};

use super::route::FastRoute;
use crate::{
    edge::{
        API_KEY, FORWARDED_FOR, REQUEST_ID, TRACE_PARENT, TRACE_STATE, WANTS_TIMING, is_sound_request_id,
    },
    model::{ModelName, VersionSelector},
    protocols::open_inference::rest::JSON_LENGTH,
};

/// The head of a request that qualifies for the fast path.
pub(super) struct Head<'r> {
    pub(super) target: Target,
    /// The caller's own request id.
    pub(super) id: Option<&'r HeaderValue>,
    pub(super) length: usize,
    /// True if the client has a trace, or asks for the times of its request.
    pub(super) is_observed: bool,
}

/// The target of a path.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) route: FastRoute,
    /// The model of the path; `None` for the default model.
    pub(super) model: Option<ModelName>,
    pub(super) version: Option<VersionSelector>,
}

impl Target {
    /// Reads a path; `None` if it is of no fast route, or names no model or version.
    fn of(path: &str) -> Option<Self> {
        let at = |route, model: &str| Some(Self { route, model: Some(model.parse().ok()?), version: None });
        for route in [FastRoute::Predict, FastRoute::Invocations] {
            if path == route.pattern() {
                return Some(Self { route, model: None, version: None });
            }
        }
        if let Some(path) = path.strip_prefix("/models/") {
            return at(FastRoute::ModelPredict, path.strip_suffix("/predict")?);
        }
        if let Some(path) = path.strip_prefix("/v1/models/") {
            return at(FastRoute::TensorFlowPredict, path.strip_suffix(":predict")?);
        }
        let target = path.strip_prefix("/v2/models/")?.strip_suffix("/infer")?;
        match target.split_once('/') {
            None => at(FastRoute::Infer, target),
            Some((model, version)) => {
                let version = Some(version.strip_prefix("versions/")?.parse().ok()?);
                Some(Self { version, ..at(FastRoute::VersionInfer, model)? })
            }
        }
    }
}

/// Returns true if neither path reads this header, so that both paths return the same response with it and without it.
///
/// This is an allow-list: a header that is not on it takes the slow path, where a layer may read it. `Origin` is not on
/// it, so a browser's requests take the slow path.
fn is_irrelevant(name: &HeaderName) -> bool {
    match *name {
        header::ACCEPT
        | header::ACCEPT_CHARSET
        | header::ACCEPT_ENCODING
        | header::ACCEPT_LANGUAGE
        | header::CACHE_CONTROL
        | header::DNT
        | header::PRAGMA
        | header::USER_AGENT
        | header::VIA => true,
        _ => matches!(
            name.as_str(),
            "sec-fetch-mode" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-proto" | "x-real-ip"
        ),
    }
}

/// Returns true if a `Connection` header only says whether the connection stays open, which the server library decides
/// on both paths. Any other option names headers for this connection alone, or asks for another protocol.
fn only_keeps_or_closes(connection: &HeaderValue) -> bool {
    [&b"keep-alive"[..], b"close"].iter().any(|option| connection.as_bytes().eq_ignore_ascii_case(option))
}

impl<'r> Head<'r> {
    /// Reads the head; `None` if anything in it is unusual: an unknown header, a significant header that is repeated, or
    /// a value that is hard to read.
    pub(super) fn of<B>(request: &'r Request<B>) -> Option<Self> {
        let uri = request.uri();
        let is_usual = request.method() == Method::POST
            && request.version() == Version::HTTP_11
            && uri.query().is_none()
            && uri.authority().is_none();
        if !is_usual {
            return None;
        }
        let target = Target::of(uri.path())?;
        let takes_rows = target.route.takes_rows();
        let takes_tensors = matches!(target.route, FastRoute::Infer | FastRoute::VersionInfer);
        let (mut host, mut kind, mut length, mut id) = (None, None, None, None);
        let mut is_observed = false;
        let set = |place: &mut Option<&'r HeaderValue>, value| place.replace(value).is_none();
        for (name, value) in request.headers() {
            let is_known = match *name {
                header::HOST => set(&mut host, value),
                header::CONTENT_TYPE => set(&mut kind, value),
                header::CONTENT_LENGTH => set(&mut length, value),
                // Read by the function that the middleware reads it with.
                header::AUTHORIZATION => true,
                _ if *name == API_KEY => true,
                header::CONNECTION => only_keeps_or_closes(value),
                _ if *name == REQUEST_ID => is_sound_request_id(value) && set(&mut id, value),
                // Decides whose quota is charged, on both paths by the same function.
                _ if *name == FORWARDED_FOR => true,
                // Read by the function that the handler reads it with.
                _ if *name == JSON_LENGTH => takes_tensors,
                // Read by the function that the middleware reads them with.
                _ if *name == TRACE_PARENT || *name == WANTS_TIMING => {
                    is_observed = true;
                    true
                }
                _ if *name == TRACE_STATE => true,
                _ => is_irrelevant(name),
            };
            if !is_known {
                return None;
            }
        }
        host?;
        // Routes of tensors take a body of any type, and a handler reads that of the others.
        if takes_rows && kind?.as_bytes() != b"application/json" {
            return None;
        }
        Some(Self { target, id, length: length?.to_str().ok()?.parse().ok()?, is_observed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Default headers of clients for `POST` with a JSON body, beside `Host`, `Content-Type` and `Content-Length`.
    const CLIENTS: &[(&str, &[(&str, &str)])] = &[
        ("curl", &[("user-agent", "curl/8.14.1"), ("accept", "*/*")]),
        (
            "Python requests",
            &[
                ("user-agent", "python-requests/2.32.5"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("accept", "*/*"),
                ("connection", "keep-alive"),
            ],
        ),
        (
            "Python httpx",
            &[
                ("accept", "*/*"),
                ("accept-encoding", "gzip, deflate"),
                ("connection", "keep-alive"),
                ("user-agent", "python-httpx/0.28.1"),
            ],
        ),
        (
            "Python urllib",
            &[("accept-encoding", "identity"), ("user-agent", "Python-urllib/3.13"), ("connection", "close")],
        ),
        (
            "fetch of Node.js",
            &[
                ("connection", "keep-alive"),
                ("accept", "*/*"),
                ("accept-language", "*"),
                ("sec-fetch-mode", "cors"),
                ("user-agent", "node"),
                ("accept-encoding", "gzip, deflate"),
            ],
        ),
        (
            "axios",
            &[
                ("accept", "application/json, text/plain, */*"),
                ("user-agent", "axios/1.12.2"),
                ("accept-encoding", "gzip, compress, deflate, br"),
                ("connection", "keep-alive"),
            ],
        ),
        ("Go net/http", &[("user-agent", "Go-http-client/1.1"), ("accept-encoding", "gzip")]),
        ("Java HttpClient over HTTP/1.1", &[("user-agent", "Java-http-client/21.0.8")]),
        (
            "Java HttpURLConnection",
            &[
                ("cache-control", "no-cache"),
                ("pragma", "no-cache"),
                ("user-agent", "Java/21.0.8"),
                ("accept", "*/*"),
                ("connection", "keep-alive"),
            ],
        ),
        (
            "OkHttp",
            &[("connection", "Keep-Alive"), ("accept-encoding", "gzip"), ("user-agent", "okhttp/4.12.0")],
        ),
        (
            ".NET HttpClient with a trace",
            &[
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                ("tracestate", "vendor=1"),
            ],
        ),
        ("curl that asks for times", &[("x-server-timing", "1")]),
        (".NET HttpClient", &[]),
        ("Rust reqwest", &[("accept", "*/*")]),
        (
            "a proxy",
            &[
                ("via", "1.1 proxy"),
                ("x-real-ip", "192.0.2.1"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-for", "192.0.2.2"),
                ("x-forwarded-host", "models.example"),
                ("x-forwarded-port", "443"),
                ("x-forwarded-proto", "https"),
                ("x-request-id", "order-4711"),
            ],
        ),
    ];

    /// For a route of rows, and for one of tensors.
    fn takes_fast_path(more: &[(&str, &str)]) -> [bool; 2] {
        ["/models/iris/predict", "/v2/models/iris/infer"].map(|path| is_fast(path, more))
    }

    fn is_fast(path: &str, more: &[(&str, &str)]) -> bool {
        let request = Request::post(path).header("host", "gateway");
        let request = request.header("content-type", "application/json").header("content-length", "2");
        let request = request.header("authorization", "Bearer token");
        let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Head::of(&request.body(()).unwrap()).is_some()
    }

    #[test]
    fn common_clients_take_the_fast_path() {
        for (client, headers) in CLIENTS {
            assert_eq!(takes_fast_path(headers), [true; 2], "{client}");
        }
    }

    #[test]
    fn a_path_names_a_route_a_model_and_a_version() {
        let target = |route, model: Option<&str>, version: Option<&str>| {
            let model = model.map(|model| model.parse().unwrap());
            Some(Target { route, model, version: version.map(|version| version.parse().unwrap()) })
        };
        for (path, expected) in [
            ("/predict", target(FastRoute::Predict, None, None)),
            ("/models/iris/predict", target(FastRoute::ModelPredict, Some("iris"), None)),
            ("/v2/models/iris/infer", target(FastRoute::Infer, Some("iris"), None)),
            ("/v2/models/iris/versions/2/infer", target(FastRoute::VersionInfer, Some("iris"), Some("2"))),
            ("/v1/models/iris:predict", target(FastRoute::TensorFlowPredict, Some("iris"), None)),
            ("/invocations", target(FastRoute::Invocations, None, None)),
            ("/invocations/", None),
            ("/v1/models/iris", None),
            ("/v1/models/iris:classify", None),
            ("/v1/models/iris/versions/2:predict", None),
            ("/models/iris/versions/2/predict", None),
            ("/models//predict", None),
            ("/models/a%20b/predict", None),
            ("/v2/models/iris/infer/", None),
            ("/v2/models/versions/2/infer", None),
            ("/v2/models/iris/versions//infer", None),
            ("/v2/models/iris/versions/2/versions/3/infer", None),
            ("/v2/models/iris/ready", None),
            ("/", None),
        ] {
            assert_eq!(Target::of(path), expected, "{path}");
        }
    }

    #[test]
    fn any_other_header_takes_the_slow_path() {
        for (name, value) in [
            ("origin", "https://models.example"),
            ("cookie", "session=1"),
            ("forwarded", "for=192.0.2.1"),
            ("x-tenant", "a"),
            ("x-api-token", "a"),
            ("x-forwarded-user", "a"),
            ("x-new", "a"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("content-encoding", "gzip"),
            ("connection", "upgrade"),
            ("connection", "keep-alive, x-tenant"),
            ("connection", ""),
            ("host", "another"),
            ("content-length", "2"),
            ("content-type", "application/json"),
            ("x-request-id", "with space"),
        ] {
            assert_eq!(takes_fast_path(&[(name, value)]), [false; 2], "{name}: {value}");
        }
    }

    #[test]
    fn only_bodies_of_tensors_have_a_length_of_their_json() {
        assert_eq!(takes_fast_path(&[("inference-header-content-length", "2")]), [false, true]);
    }
}
