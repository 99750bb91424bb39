//! What the tests share: a gateway on free ports with a repository of its own, tokens, and a clock that can be moved.

pub mod bad_tokens;
pub mod binary;
pub mod certificates;
pub mod collector;
pub mod grpc;
pub mod issuer;
pub mod json_schema;
pub mod processes;
pub mod repository;
pub mod store;
pub mod table;
pub mod tokens;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use onnx_gateway::{
    auth::Authentication,
    config::{ClientSettings, Environment, ListenAddress, Secret, Settings},
    edge::{Clock, ListedRoute},
    runtime::Runtime,
    server::{Gateway, Parts, Reloaded},
    tls::LoadedTls,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use repository::Repository;
use tokens::{SECRET, TokenBuilder};

/// How long a test waits for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two looks at the same thing. Without one, those who wait take the CPU from those they wait for.
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// A client of the gateways under test.
pub const CLIENT_ID: &str = "shop";
/// Its secret.
pub const CLIENT_SECRET: &str = "correct horse battery staple";

/// A gateway in this process.
pub struct TestGateway {
    gateway: std::sync::Mutex<Option<Gateway>>,
    settings: std::sync::Mutex<Settings>,
    public_address: std::net::SocketAddr,
    grpc_address: Option<std::net::SocketAddr>,
    admin_address: std::net::SocketAddr,
    pub repository: Repository,
    pub client: Client,
    pub clock: TestClock,
    markers: AtomicUsize,
}

/// A clock that tests can move.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Moves the clock, backwards if negative.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn as_clock(&self) -> Clock {
        let offset = Arc::clone(&self.0);
        Clock::new(move || {
            let seconds = offset.load(Ordering::SeqCst);
            let shift = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { SystemTime::now() - shift } else { SystemTime::now() + shift }
        })
    }
}

/// Settings and models of a gateway to be started.
pub struct Builder {
    settings: Settings,
    pub repository: Repository,
}

impl Builder {
    /// Changes the settings.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Adds a model from `tests/models`.
    pub fn model(self, path: &str, test_model: &str) -> Self {
        self.repository.put_test_model(path, test_model);
        self
    }

    /// Starts the gateway and waits until its models have been tried.
    #[expect(clippy::print_stderr, reason = "it is printed where a test fails")]
    pub async fn start(self) -> TestGateway {
        let Self { mut settings, repository } = self;
        if settings.models.store_url().is_none() {
            settings.models.repository = repository.path().to_path_buf();
        }
        if settings.models.state_directory == Settings::default().models.state_directory {
            settings.models.state_directory = repository.state();
        }
        let clock = TestClock::default();
        let authentication = Authentication::new(&settings.auth, &|_| false).unwrap();
        let runtime = Runtime::load(&settings.runtime, &Environment::of_process()).unwrap();
        let kept = std::sync::Mutex::new(settings.clone());
        let program = env!("CARGO_BIN_EXE_onnx-gateway").into();
        let tls = LoadedTls::new(&settings, SystemTime::now()).unwrap().listeners;
        let parts = Parts { settings, authentication, tls, runtime, program, clock: clock.as_clock() };
        let gateway = Gateway::start(parts).await.unwrap();
        tokio::time::timeout(PATIENCE, gateway.serving().started()).await.expect("the models are tried");
        // For whoever reads why a test failed.
        for version in gateway.serving().status().iter() {
            if let Some(reason) = version.reason() {
                eprintln!("{} {} does not serve: {reason}", version.model, version.version);
            }
        }
        let tcp = |address: &ListenAddress| address.tcp().unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let (public_address, admin_address) = (tcp(gateway.public_address()), tcp(gateway.admin_address()));
        let grpc_address = gateway.grpc_address().map(tcp);
        let gateway = std::sync::Mutex::new(Some(gateway));
        let client = Client::new();
        let markers = AtomicUsize::new(repository.markers());
        TestGateway {
            gateway,
            settings: kept,
            public_address,
            grpc_address,
            admin_address,
            repository,
            client,
            clock,
            markers,
        }
    }
}

impl TestGateway {
    /// A gateway with the Iris model, the shared secret, one client, and no rate limits.
    pub fn builder() -> Builder {
        let builder = Self::builder_without_models();
        builder.repository.put_iris("iris/1/model.onnx");
        builder
    }

    /// The same without a model.
    pub fn builder_without_models() -> Builder {
        let mut settings = Settings::default();
        settings.server.listen.set_port(0);
        settings.server.shutdown_delay_ms = 0;
        settings.grpc.listen.set_port(0);
        settings.admin.listen.set_port(0);
        settings.auth.signing_secret = Some(Secret::new(SECRET.to_owned()));
        settings.auth.clients.insert(CLIENT_ID.to_owned(), client(&["predict", "read"]));
        settings.rate_limit.enabled = false;
        settings.models.poll_interval_ms = 100;
        settings.models.incomplete_grace_ms = 300;
        settings.models.removal_grace_ms = 300;
        Builder { settings, repository: Repository::new() }
    }

    /// The usual gateway, started.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// An address of the public listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public_address)
    }

    /// An address of the operators' listener.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin_address)
    }

    /// `host:port` of the public listener.
    pub fn address(&self) -> std::net::SocketAddr {
        self.public_address
    }

    /// `host:port` of the operators' listener.
    pub fn operators(&self) -> std::net::SocketAddr {
        self.admin_address
    }

    /// `host:port` of the listener of gRPC.
    pub fn grpc_address(&self) -> std::net::SocketAddr {
        self.grpc_address.expect("gRPC is switched on")
    }

    /// Every route of each listener.
    pub fn listed_routes(&self) -> Vec<(&'static str, ListedRoute)> {
        let gateway = self.gateway.lock().unwrap();
        gateway.as_ref().expect("it was not ended").listed_routes()
    }

    /// A request with a token that has every scope.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(TokenBuilder::new().build())
    }

    /// A request with a token that has every scope.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path)).bearer_auth(TokenBuilder::new().build())
    }

    /// Asks the default model.
    pub async fn predict(&self, body: &Value) -> Answer {
        self.predict_at("/predict", body).await
    }

    /// Asks at this path.
    pub async fn predict_at(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.post(path).json(body).send().await.unwrap()).await
    }

    /// Asks the default model with a body that need not be JSON, declared as JSON.
    pub async fn predict_raw(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.post("/predict").header("content-type", "application/json").body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// What `/models/{model}` says of the first version of a model.
    pub async fn version(&self, model: &str) -> Value {
        let answer = Answer::of(self.get(&format!("/models/{model}")).send().await.unwrap()).await;
        answer.body["versions"][0].clone()
    }

    /// Asks for setosa until an answer satisfies the condition; every answer must be 200.
    pub async fn predict_until(&self, condition: impl Fn(&Answer) -> bool) -> Answer {
        let waiting = async {
            loop {
                let answer = self.predict(&setosa()).await;
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                if condition(&answer) {
                    return answer;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("an answer that satisfies the condition")
    }

    /// Looks at a model until what is said of its first version satisfies the condition.
    pub async fn version_until(&self, model: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let version = self.version(model).await;
                if condition(&version) {
                    return version;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a version that satisfies the condition")
    }

    /// Asks the manager of models for something, without a body.
    pub async fn manage(&self, path: &str) -> Answer {
        Answer::of(self.post(path).send().await.unwrap()).await
    }

    /// Takes the deployment of a model back.
    pub async fn roll_back(&self, model: &str) -> Answer {
        self.manage(&format!("/models/{model}/rollback")).await
    }

    /// What was done to a model, the newest first.
    pub async fn history(&self, model: &str) -> Vec<Value> {
        let answer = Answer::of(self.get(&format!("/models/{model}/history")).send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body["history"].as_array().unwrap().clone()
    }

    /// What `/v2/repository/index` says of a version.
    pub async fn indexed(&self, model: &str, version: &str) -> Value {
        let index = self.manage("/v2/repository/index").await;
        assert_eq!(index.status, StatusCode::OK, "{index:?}");
        let entries = index.body.as_array().unwrap();
        let meant = |entry: &&Value| entry["name"] == model && entry["version"] == version;
        entries.iter().find(meant).cloned().unwrap_or_default()
    }

    /// Looks at the index until its reason for a version begins like this.
    pub async fn reason_until(&self, model: &str, version: &str, beginning: &str) -> Value {
        let begins = |entry: &Value| entry["reason"].as_str().is_some_and(|text| text.starts_with(beginning));
        self.index_until(model, version, begins).await
    }

    /// Looks at the index until what it says of a version satisfies the condition.
    pub async fn index_until(&self, model: &str, version: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let entry = self.indexed(model, version).await;
                if condition(&entry) {
                    return entry;
                }
                pause().await;
            }
        };
        if let Ok(entry) = tokio::time::timeout(PATIENCE, waiting).await {
            return entry;
        }
        panic!("{model}/{version} is still {}", self.indexed(model, version).await)
    }

    /// Asks for setosa at this path until an answer satisfies the condition, whatever is answered before.
    pub async fn answer_until(&self, path: &str, condition: impl Fn(&Answer) -> bool) -> Answer {
        let waiting = async {
            loop {
                let answer = self.predict_at(path, &setosa()).await;
                if condition(&answer) {
                    return answer;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("an answer that satisfies the condition")
    }

    /// Waits until everything that was put into the repository before has been dealt with: two files that are put there
    /// after it, one after the other, serve.
    pub async fn everything_is_dealt_with(&self) {
        for _ in 0..2 {
            let number = self.markers.fetch_add(1, Ordering::SeqCst);
            let name = format!("marker{number}");
            self.repository.put_test_model(&format!("{name}.onnx"), "regressor");
            self.version_until(&name, |version| version["state"] == "READY").await;
        }
    }

    /// The metrics, as the operators' listener shows them.
    pub async fn metrics(&self) -> String {
        self.client.get(self.admin_url("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    /// Looks at the metrics until they satisfy the condition.
    pub async fn metrics_until(&self, condition: impl Fn(&str) -> bool) -> String {
        let waiting = async {
            loop {
                let metrics = self.metrics().await;
                if condition(&metrics) {
                    return metrics;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("metrics that satisfy the condition")
    }

    /// Changes the settings while the gateway runs.
    pub fn reload(&self, change: impl FnOnce(&mut Settings)) -> Reloaded {
        let mut settings = self.settings.lock().unwrap();
        change(&mut settings);
        let authentication = Authentication::new(&settings.auth, &|_| false).unwrap();
        let tls = LoadedTls::new(&settings, SystemTime::now()).unwrap().listeners;
        let gateway = self.gateway.lock().unwrap();
        gateway.as_ref().expect("it was not ended").reload(settings.clone(), authentication, tls)
    }

    /// Ends the gateway; what is answered starts another one on the same repository and state.
    pub async fn stop(self) -> Builder {
        self.begin_shut_down(Duration::ZERO).await.unwrap();
        Builder { settings: self.settings.into_inner().unwrap(), repository: self.repository }
    }

    /// Ends the gateway.
    pub async fn shut_down(self) {
        self.begin_shut_down(Duration::ZERO).await.unwrap();
    }

    /// Begins to end the gateway, which answers for `delay` more.
    pub fn begin_shut_down(&self, delay: Duration) -> tokio::task::JoinHandle<()> {
        let gateway = self.gateway.lock().unwrap().take().expect("it was not ended before");
        tokio::spawn(gateway.shut_down(delay))
    }
}

/// A client's settings with the usual secret.
pub fn client(scopes: &[&str]) -> ClientSettings {
    let hash = onnx_gateway::auth::hash_secret(CLIENT_SECRET).unwrap();
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    ClientSettings { secret_hash: Some(Secret::new(hash)), scopes, plan: None }
}

/// A body that asks for the class of a setosa.
pub fn setosa() -> Value {
    json!({"features": [5.1, 3.5, 1.4, 0.2]})
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    /// The body, or null if it is no JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// Reads an answer.
    pub async fn of(mut response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let is_endless = headers.get("content-type").is_some_and(|value| value == "text/event-stream");
        let text = if is_endless {
            // The first event is enough.
            let first = response.chunk().await.unwrap().unwrap_or_default();
            String::from_utf8_lossy(&first).into_owned()
        } else {
            response.text().await.unwrap()
        };
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, body, text }
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().unwrap()
    }

    /// The code of a problem document, which it must be.
    pub fn problem_code(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        self.body["code"].as_str().unwrap()
    }

    /// Pointer and code of each listed error.
    pub fn errors(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }
}
