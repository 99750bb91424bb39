//! An object store in this process, which speaks the API of S3 and WebDAV, and every way of failing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Method, Request, Response, StatusCode, header},
};
use futures_util::stream;
use onnx_gateway::model::Digest;
use tokio::{net::TcpListener, task::JoinHandle};

/// The bucket, which is also the folder of the WebDAV server.
pub const BUCKET: &str = "models";

/// What the store responds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// What it holds.
    Serve,
    /// This status.
    Status(u16),
    /// Nothing.
    Silent,
    /// The end of the connection.
    Broken,
}

/// A store that listens.
pub struct TestStore {
    address: SocketAddr,
    state: Arc<Mutex<StoreState>>,
    server: Mutex<Option<JoinHandle<()>>>,
}

type Objects = BTreeMap<String, (Vec<u8>, SystemTime)>;

/// A change that happens when an object with this name is read.
type Hook = (String, Box<dyn FnOnce(&mut Objects) + Send>);

struct StoreState {
    objects: Objects,
    /// The listing, if it is not that of the objects.
    frozen: Option<Objects>,
    behavior: Behavior,
    hook: Option<Hook>,
    requests: Vec<String>,
    page: usize,
}

impl TestStore {
    /// Starts an empty store.
    pub async fn start() -> Self {
        let state = StoreState {
            objects: Objects::new(),
            frozen: None,
            behavior: Behavior::Serve,
            hook: None,
            requests: Vec::new(),
            page: 1000,
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Self { address, state, server: Mutex::default() };
        store.serve(listener);
        store
    }

    fn serve(&self, listener: TcpListener) {
        let routes = Router::new().fallback(respond).with_state(Arc::clone(&self.state));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        *self.server.lock().unwrap() = Some(server);
    }

    /// Stops listening; open connections break.
    pub fn stop(&self) {
        self.server.lock().unwrap().take().expect("it listens").abort();
        self.behave(Behavior::Broken);
    }

    /// Listens again at the same address.
    pub async fn resume(&self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                // The aborted server closes its socket a moment later.
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            }
            super::pause().await;
        };
        self.behave(Behavior::Serve);
        self.serve(listener);
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap()
    }

    /// The address of its API of S3.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address as a WebDAV server.
    pub fn folder(&self) -> String {
        format!("http://{}/{BUCKET}", self.address)
    }

    /// Puts an object in place of another.
    pub fn put(&self, name: &str, content: &[u8]) {
        put(&mut self.state().objects, name, content);
    }

    pub fn remove(&self, name: &str) {
        self.state().objects.remove(&key(name)).expect("it was there");
    }

    pub fn clear(&self) {
        self.state().objects.clear();
    }

    pub fn behave(&self, behavior: Behavior) {
        self.state().behavior = behavior;
    }

    /// Keeps listing what it holds now, whatever changes.
    pub fn freeze_listing(&self, freeze: bool) {
        let mut state = self.state();
        state.frozen = freeze.then(|| state.objects.clone());
    }

    /// Puts an object when another is read for the first time.
    pub fn put_when_read(&self, read: &str, name: &'static str, content: Vec<u8>) {
        let change = move |objects: &mut Objects| put(objects, name, &content);
        self.state().hook = Some((key(read), Box::new(change)));
    }

    /// The requests since the last call: `LIST` or the name of an object.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }
}

fn key(name: &str) -> String {
    format!("{BUCKET}/{name}")
}

fn put(objects: &mut Objects, name: &str, content: &[u8]) {
    objects.insert(key(name), (content.to_vec(), SystemTime::now()));
}

fn tag(content: &[u8]) -> String {
    format!("\"{}\"", Digest::of(content))
}

fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // The form of RFC 9110 section 5.6.7; the date is enough to differ.
    let time = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let time = time.to_string();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[time[5..7].parse::<usize>().unwrap() - 1];
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = days[usize::try_from(seconds / 86_400 % 7).unwrap()];
    format!("{day}, {} {month} {} {} GMT", &time[8..10], &time[..4], &time[11..19])
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

async fn respond(State(state): State<Arc<Mutex<StoreState>>>, request: Request<Body>) -> Response<Body> {
    let behavior = state.lock().unwrap().behavior;
    match behavior {
        Behavior::Serve => {}
        Behavior::Status(status) => {
            return Response::builder().status(status).body(Body::from("<Error/>")).unwrap();
        }
        Behavior::Silent => pending().await,
        Behavior::Broken => {
            let broken = stream::iter([Err::<Bytes, _>(io::Error::other("broken"))]);
            return Response::new(Body::from_stream(broken));
        }
    }
    let mut state = state.lock().unwrap();
    let path = request.uri().path().trim_matches('/').to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method().as_str() == "PROPFIND" {
        state.requests.push("LIST".to_owned());
        return state.folder(&path);
    }
    assert_eq!(request.method(), Method::GET);
    if query.contains("list-type=2") {
        state.requests.push("LIST".to_owned());
        return state.listing(&query);
    }
    let name = path.strip_prefix(BUCKET).unwrap_or(&path).trim_start_matches('/').to_owned();
    state.requests.push(name);
    let wanted = request.headers().get(header::IF_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    let response = match state.objects.get(&path) {
        None => Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()),
        Some((content, _)) if wanted.is_some_and(|wanted| wanted != tag(content)) => {
            Response::builder().status(StatusCode::PRECONDITION_FAILED).body(Body::empty())
        }
        Some((content, changed)) => Response::builder()
            .header(header::ETAG, tag(content))
            .header(header::LAST_MODIFIED, http_date(*changed))
            .body(Body::from(content.clone())),
    };
    if state.hook.as_ref().is_some_and(|(name, _)| *name == path)
        && let Some((_, change)) = state.hook.take()
    {
        change(&mut state.objects);
    }
    response.unwrap()
}

impl StoreState {
    fn listed(&self) -> &Objects {
        self.frozen.as_ref().unwrap_or(&self.objects)
    }

    /// A page of `ListObjectsV2`.
    fn listing(&self, query: &str) -> Response<Body> {
        let parameter = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            Some(percent_decoded(value))
        };
        let prefix = key(&parameter("prefix").unwrap_or_default());
        let after = parameter("continuation-token").unwrap_or_default();
        let mut left = self.listed().iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let page: Vec<_> = left.by_ref().take(self.page).collect();
        let mut text = "<ListBucketResult>".to_owned();
        for (key, (content, changed)) in &page {
            let name = escape(key.strip_prefix(BUCKET).unwrap().trim_start_matches('/'));
            let (size, tag) = (content.len(), tag(content));
            let changed = humantime::format_rfc3339_millis(*changed);
            let _ = write!(
                text,
                "<Contents><Key>{name}</Key><Size>{size}</Size><ETag>{tag}</ETag>\
                 <LastModified>{changed}</LastModified></Contents>"
            );
        }
        if left.next().is_some() {
            let next = escape(page.last().unwrap().0);
            let _ = write!(text, "<NextContinuationToken>{next}</NextContinuationToken>");
        }
        text += "</ListBucketResult>";
        Response::new(Body::from(text))
    }

    /// The response to PROPFIND with a depth of 1.
    fn folder(&self, path: &str) -> Response<Body> {
        let prefix = format!("{path}/");
        let within =
            self.listed().iter().filter_map(|(key, object)| Some((key.strip_prefix(&prefix)?, object)));
        let within: Vec<_> = within.collect();
        let inner: BTreeSet<&str> =
            within.iter().filter_map(|(name, _)| Some(name.split_once('/')?.0)).collect();
        let mut text = "<D:multistatus xmlns:D=\"DAV:\">".to_owned();
        let mut add = |href: &str, properties: &str, changed: SystemTime| {
            let (href, changed) = (escape(href), http_date(changed));
            let _ = write!(
                text,
                "<D:response><D:href>/{href}</D:href><D:propstat><D:prop>{properties}\
                 <D:getlastmodified>{changed}</D:getlastmodified></D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
            );
        };
        let collection = "<D:resourcetype><D:collection/></D:resourcetype>";
        add(&prefix, collection, SystemTime::UNIX_EPOCH);
        for name in inner {
            add(&format!("{prefix}{name}/"), collection, SystemTime::UNIX_EPOCH);
        }
        for (name, (content, changed)) in within.iter().filter(|(name, _)| !name.contains('/')) {
            let properties = format!(
                "<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength><D:getetag>{}</D:getetag>",
                content.len(),
                tag(content)
            );
            add(&format!("{prefix}{name}"), &properties, *changed);
        }
        text += "</D:multistatus>";
        Response::builder().status(207).body(Body::from(text)).unwrap()
    }
}

/// Decodes a value of a query. Only ASCII occurs in it.
fn percent_decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(2);
        text + &char::from(u8::from_str_radix(code, 16).unwrap()).to_string() + rest
    })
}
