//! Requests from several connections at once, each checked and timed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Response};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

use super::{row::is_full, server::Server};
use crate::support::tokens::TokenBuilder;

/// Of a whole scenario: nothing may take longer.
const LONGEST: Duration = Duration::from_mins(2);

/// Between two requests of a connection, at small size: other tests need the processors too.
const SMALL_PACE: Duration = Duration::from_millis(10);

/// What an answer was, as far as it matters.
pub struct Seen {
    pub index: usize,
    pub status: u16,
    pub digest: String,
    pub version: String,
    pub body: Value,
}

/// What is wrong with an answer, if anything.
pub type Check = Arc<dyn Fn(&Seen) -> Result<(), String> + Send + Sync>;

/// What is asked, and what of it is right.
pub struct Plan {
    pub path: &'static str,
    pub bodies: Vec<Value>,
    pub connections: usize,
    pub check: Check,
}

/// Load that goes on until it is stopped.
pub struct Load {
    shared: Arc<Shared>,
    connections: Vec<JoinHandle<Vec<Timed>>>,
    seen: watch::Receiver<String>,
}

struct Shared {
    url: String,
    token: String,
    bodies: Vec<String>,
    check: Check,
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    /// Which part of the scenario it is, to tell their latencies apart.
    phase: AtomicUsize,
    seen: watch::Sender<String>,
}

/// An answer's time.
#[derive(Clone, Copy)]
struct Timed {
    phase: usize,
    latency: Duration,
}

/// What came of all requests.
pub struct Tally {
    pub failures: Vec<String>,
    timed: Vec<Timed>,
}

impl Load {
    pub fn start(server: &Server, plan: Plan) -> Self {
        let Plan { path, bodies, connections, check } = plan;
        let (send, seen) = watch::channel(String::new());
        let shared = Arc::new(Shared {
            url: server.url(path),
            token: TokenBuilder::new().claim("exp", (crate::support::tokens::now() + 7200).into()).build(),
            bodies: bodies.iter().map(ToString::to_string).collect(),
            check,
            stop: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            failures: Mutex::default(),
            phase: AtomicUsize::new(0),
            seen: send,
        });
        let connections =
            (0..connections).map(|first| tokio::spawn(ask(Arc::clone(&shared), first))).collect();
        Self { shared, connections, seen }
    }

    /// From now on latencies belong to this part of the scenario.
    pub fn phase(&self, phase: usize) {
        self.shared.phase.store(phase, Ordering::SeqCst);
    }

    /// Waits until a connection gets an answer from the file with this digest.
    pub async fn until_answered_by(&self, digest: &str) {
        let mut seen = self.seen.clone();
        let waiting = tokio::time::timeout(LONGEST, seen.wait_for(|seen| seen == digest)).await;
        assert!(waiting.is_ok(), "no answer by {digest}: {:?}", self.shared.failures.lock().unwrap().first());
    }

    /// Waits for so many more answers.
    pub async fn until_answers(&self, more: usize) {
        let enough = self.shared.answered.load(Ordering::SeqCst) + more;
        let waiting = async {
            let mut interval = tokio::time::interval(Duration::from_millis(5));
            while self.shared.answered.load(Ordering::SeqCst) < enough {
                interval.tick().await;
            }
        };
        tokio::time::timeout(LONGEST, waiting).await.expect("answers");
    }

    /// Fails if a request has failed.
    pub fn assert_no_failure(&self, when: &str) {
        let failures = self.shared.failures.lock().unwrap();
        assert!(failures.is_empty(), "{when}: {:?}", failures.first());
    }

    pub async fn stop(self) -> Tally {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut timed = Vec::new();
        for connection in self.connections {
            timed.extend(tokio::time::timeout(LONGEST, connection).await.expect("it stops").unwrap());
        }
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap());
        Tally { failures, timed }
    }
}

/// One connection: the next request goes out when the answer is in.
async fn ask(shared: Arc<Shared>, first: usize) -> Vec<Timed> {
    let client = Client::builder().pool_max_idle_per_host(1).timeout(LONGEST).build().unwrap();
    let mut pace = tokio::time::interval(SMALL_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut timed = Vec::new();
    for number in first.. {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        if !is_full() {
            pace.tick().await;
        }
        let index = number % shared.bodies.len();
        let request = client.post(&shared.url).bearer_auth(&shared.token);
        let request = request.header("content-type", "application/json").body(shared.bodies[index].clone());
        let phase = shared.phase.load(Ordering::SeqCst);
        let start = Instant::now();
        let answer = read(index, request.send().await).await;
        timed.push(Timed { phase, latency: start.elapsed() });
        let checked = answer.and_then(|seen| {
            shared.seen.send_if_modified(|last| {
                let news = !seen.digest.is_empty() && *last != seen.digest;
                if news {
                    last.clone_from(&seen.digest);
                }
                news
            });
            (shared.check)(&seen)
        });
        if let Err(failure) = checked {
            shared.failures.lock().unwrap().push(failure);
        }
        shared.answered.fetch_add(1, Ordering::SeqCst);
    }
    timed
}

async fn read(index: usize, answer: reqwest::Result<Response>) -> Result<Seen, String> {
    let answer = answer.map_err(|error| format!("no answer: {error:?}"))?;
    let status = answer.status().as_u16();
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (digest, version) = (header("x-model-digest"), header("x-model-version"));
    let bytes = answer.bytes().await.map_err(|error| format!("half an answer: {error:?}"))?;
    let body = serde_json::from_slice(&bytes).map_err(|error| format!("{status}, no JSON: {error}"))?;
    Ok(Seen { index, status, digest, version, body })
}

impl Tally {
    pub fn requests(&self) -> usize {
        self.timed.len()
    }

    /// Requests of several plans together.
    pub fn and(mut self, other: Self) -> Self {
        self.failures.extend(other.failures);
        self.timed.extend(other.timed);
        self
    }

    /// The latency that so many hundredths of the answers of a phase stayed below, in milliseconds.
    pub fn percentile_ms(&self, phase: usize, percent: usize) -> f64 {
        let mut latencies: Vec<Duration> =
            self.timed.iter().filter(|timed| timed.phase == phase).map(|timed| timed.latency).collect();
        latencies.sort_unstable();
        let rank = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies.get(rank).map_or(0.0, |latency| (latency.as_secs_f64() * 1e5).round() / 100.0)
    }
}
