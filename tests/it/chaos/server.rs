//! A gateway in a process of its own, with `models/` and `state/` in a folder of its own.

use std::{fs, os::unix::process::CommandExt, path::PathBuf, process::Command, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{
    Answer, PATIENCE,
    binary::{Process, command, free_port},
    repository::Repository,
    tokens::{SECRET, TokenBuilder},
};

/// Where most scenarios put their files.
pub const IRIS: &str = "iris/1/model.onnx";

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long a scenario waits for something that the gateway does in its own time.
const LONG_PATIENCE: Duration = Duration::from_mins(2);

/// A gateway to be started.
pub struct Prepared {
    pub folder: Repository,
    settings: Vec<(String, String)>,
    user: Option<u32>,
}

/// One that runs.
pub struct Server {
    pub folder: Repository,
    prepared: Vec<(String, String)>,
    user: Option<u32>,
    process: Process,
    port: u16,
    admin_port: u16,
    client: Client,
}

impl Prepared {
    /// Puts the shipped model in place.
    pub fn with_iris(self) -> Self {
        self.folder.put_iris(&format!("models/{IRIS}"));
        self
    }

    /// Sets a setting, as in the environment without its prefix.
    pub fn setting(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push((format!("GATEWAY__{name}"), value.to_string()));
        self
    }

    /// Has it run as another user, whose the folder will be. Only root can.
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Server {
        let Self { folder, settings, user } = self;
        let (port, admin_port) = (free_port(), free_port());
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user)).unwrap();
        }
        let process = Process::start(serve(&folder, &settings, user, port, admin_port));
        let server =
            Server { folder, prepared: settings, user, process, port, admin_port, client: Client::new() };
        server.until_ready().await;
        server
    }
}

/// The command that serves what is in the folder.
fn serve(
    folder: &Repository,
    settings: &[(String, String)],
    user: Option<u32>,
    port: u16,
    admin_port: u16,
) -> Command {
    let mut command = command();
    command
        .current_dir(folder.path())
        .env("GATEWAY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .env("GATEWAY__GRPC__LISTEN", "127.0.0.1:0")
        .env("GATEWAY__ADMIN__LISTEN", format!("127.0.0.1:{admin_port}"))
        .env("GATEWAY__AUTH__SIGNING_SECRET", SECRET)
        .env("GATEWAY__RATE_LIMIT__ENABLED", "false")
        .env("GATEWAY__MODELS__POLL_INTERVAL_MS", "50")
        .envs(settings.iter().map(|(name, value)| (name, value)));
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command
}

impl Server {
    /// One without models and with the settings that all scenarios have in common.
    pub fn prepare() -> Prepared {
        let folder = Repository::new();
        fs::create_dir(folder.path().join("models")).unwrap();
        Prepared { folder, settings: Vec::new(), user: None }
    }

    /// A file of the repository.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("models").join(path)
    }

    /// Puts a file of the repository in place by rename.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.folder.put(&format!("models/{path}"), content);
    }

    /// Where the load asks.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same folder and ports, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.process =
            Process::start(serve(&self.folder, &self.prepared, self.user, self.port, self.admin_port));
        // The connections to the one before are of no use.
        self.client = Client::new();
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        until("it is ready", async || {
            let answer = self.client.get(self.url("/health/ready")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(self.url(path)).bearer_auth(TokenBuilder::new().build());
        Answer::of(request.timeout(PATIENCE).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.post(self.url(path)).bearer_auth(TokenBuilder::new().build());
        Answer::of(request.timeout(PATIENCE).json(body).send().await.unwrap()).await
    }

    /// What `/models/{model}` says of its newest version.
    pub async fn version(&self, model: &str) -> Value {
        let answer = self.get(&format!("/models/{model}")).await;
        answer.body["versions"].as_array().and_then(|versions| versions.last()).cloned().unwrap_or_default()
    }

    /// Waits until what lies in the model's newest version is refused, for whatever reason.
    pub async fn refusal(&self, model: &str) -> String {
        until("it is refused", async || {
            let version = self.version(model).await;
            Some(version["refusal"]["reason"].as_str()?.to_owned())
        })
        .await
    }

    /// Waits until this file serves.
    pub async fn until_serves(&self, model: &str, digest: &str) {
        until("it serves", async || {
            let version = self.version(model).await;
            (version["digest"] == digest && version["state"] == "READY").then_some(())
        })
        .await;
    }

    /// What the repository's index says of the model's first version: why not, or what is waited for.
    pub async fn reason_in_index(&self, model: &str) -> String {
        let answer = self.post("/v2/repository/index", &json!({})).await;
        let entries = answer.body.as_array().cloned().unwrap_or_default();
        let entry = entries.iter().find(|entry| entry["name"] == model);
        entry.and_then(|entry| entry["reason"].as_str()).unwrap_or_default().to_owned()
    }

    /// The sum of a counter over its labels.
    pub async fn counter(&self, name: &str) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        let metrics = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let counts = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub async fn refusals(&self) -> u64 {
        self.counter("gateway_model_refusals_total").await
    }

    pub async fn swaps(&self) -> u64 {
        self.counter("gateway_model_swaps_total").await
    }
}

/// Looks until there is something, and answers that.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        loop {
            interval.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG_PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}
