//! Gateways in processes of their own, several of which may share a repository and a state directory.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use onnx_gateway::model::Digest;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{
    Answer, PATIENCE,
    binary::{Process, command, free_port},
    repository::{Repository, iris},
    setosa,
    tokens::{SECRET, TokenBuilder},
};

/// Time that a gateway waits for a file that vanished.
pub const REMOVAL_GRACE: Duration = Duration::from_millis(100);

/// A folder with `models/`, and the settings of gateways on it.
pub struct Site {
    pub folder: Repository,
    settings: Vec<(String, String)>,
}

/// A gateway that runs.
pub struct Running {
    pub process: Process,
    port: u16,
    admin_port: u16,
    client: Client,
}

impl Site {
    /// A folder with Iris in version 1.
    pub fn with_iris() -> Self {
        let folder = Repository::new();
        folder.put_iris("models/iris/1/model.onnx");
        Self { folder, settings: Vec::new() }
    }

    /// Sets a setting, as in the environment without its prefix.
    pub fn setting(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push((format!("GATEWAY__{name}"), value.to_string()));
        self
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        self.folder.put(&format!("models/{path}"), content);
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The command that serves what is in the folder, and its ports.
    fn command(&self) -> (Command, u16, u16) {
        let (port, admin_port) = (free_port(), free_port());
        let mut command = command();
        command
            .current_dir(self.folder.path())
            .env("GATEWAY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
            .env("GATEWAY__ADMIN__LISTEN", format!("127.0.0.1:{admin_port}"))
            .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
            .env("GATEWAY__RATE_LIMIT__ENABLED", "false")
            .env("GATEWAY__MODELS__POLL_INTERVAL_MS", "50")
            .env("GATEWAY__MODELS__REMOVAL_GRACE_MS", REMOVAL_GRACE.as_millis().to_string())
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        (command, port, admin_port)
    }

    /// Starts a gateway and waits until it is ready.
    pub async fn start(&self) -> Running {
        let running = self.start_soon();
        running.until_ready().await;
        running
    }

    /// Starts a gateway.
    pub fn start_soon(&self) -> Running {
        self.start_soon_with(|_| ())
    }

    /// Starts a gateway with a command that is changed before, and waits until it is ready.
    pub async fn start_with(&self, change: impl FnOnce(&mut Command)) -> Running {
        let running = self.start_soon_with(change);
        running.until_ready().await;
        running
    }

    fn start_soon_with(&self, change: impl FnOnce(&mut Command)) -> Running {
        let (mut command, port, admin_port) = self.command();
        change(&mut command);
        Running { process: Process::start(command), port, admin_port, client: Client::new() }
    }
}

impl Running {
    pub async fn until_ready(&self) {
        until("it is ready", async || (self.readiness().await == 200).then_some(())).await;
    }

    /// The status of the readiness probe, 0 while nothing listens.
    pub async fn readiness(&self) -> u16 {
        let answer = self.client.get(self.url("/health/ready")).send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(self.url(path)).bearer_auth(TokenBuilder::new().build());
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.post(self.url(path)).bearer_auth(TokenBuilder::new().build());
        Answer::of(request.json(body).send().await.unwrap()).await
    }

    /// Asks Iris; anything but an answer fails.
    pub async fn digest(&self) -> String {
        let answer = self.post("/models/iris/predict", &setosa()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-model-digest").to_owned()
    }

    /// Waits until Iris is served by these bytes; every answer until then must be one.
    pub async fn until_serves(&self, digest: &str) {
        until("it serves", async || (self.digest().await == digest).then_some(())).await;
    }

    /// Asks Iris until this time is over; every answer must be by these bytes.
    pub async fn serves_for(&self, time: Duration, digest: &str) {
        let over = Instant::now() + time;
        while Instant::now() < over {
            assert_eq!(self.digest().await, digest);
        }
    }

    pub async fn roll_back(&self) -> Answer {
        self.post("/models/iris/rollback", &json!({})).await
    }

    /// Waits until this is the reason for which a version of Iris is refused.
    pub async fn until_refused(&self, version: u64, reason: &str) {
        let number = version.to_string();
        until(reason, async || {
            let answer = self.get("/models/iris").await;
            let versions = answer.body["versions"].as_array()?.clone();
            let version = versions.iter().find(|one| one["version"] == number.as_str())?.clone();
            (version["refusal"]["reason"] == reason).then_some(())
        })
        .await;
    }

    /// The events of Iris, the newest first.
    pub async fn events(&self) -> Vec<String> {
        let answer = self.get("/models/iris/history").await;
        let entries = answer.body["history"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        entries.iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn metric(&self, name: &str) -> i64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        let metrics = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until a gauge has this value.
    pub async fn until_metric(&self, name: &str, value: i64) {
        until(name, async || (self.metric(name).await == value).then_some(())).await;
    }

    /// SIGTERM, and the end.
    pub fn end(self) {
        self.process.signal("TERM");
        assert!(self.process.wait().success());
    }
}

/// Looks until there is something, and answers that.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        loop {
            interval.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

/// The forest as another file that answers the same: with a field at its end that no reader of ONNX knows.
pub fn variant(number: u8) -> Vec<u8> {
    [iris(), vec![0xc0, 0x3e, number]].concat()
}

/// The digest that answers of these bytes show.
pub fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).short()
}
