//! The schedule of a model's runs: threads, batches, instances.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// The schedule of a version's runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The threads that run it: those of the requests, or its own.
    pub mode: ScheduleMode,
    /// True if rows of several requests may be run together.
    pub batching: bool,
    /// The most rows in one run.
    pub max_batch_rows: usize,
    /// The time that a batch waits to fill; without effect on the threads of requests.
    #[serde(rename = "max_delay_ms", serialize_with = "milliseconds")]
    pub max_delay: Duration,
    /// The most requests that may wait.
    pub queue_capacity: usize,
    /// The number of runs at the same time.
    pub instances: usize,
    /// Threads of each run, the caller's included.
    pub threads: usize,
    /// True if all instances run one session, so that the weights are in memory once.
    pub shares_session: bool,
    /// The reason for this mode, in a sentence for people.
    pub reason: String,
}

impl Schedule {
    /// Returns the delay of a batch in the unit of the setting.
    #[must_use]
    pub fn max_delay_ms(&self) -> u64 {
        whole_milliseconds(self.max_delay)
    }
}

fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_milliseconds(*duration))
}

/// The threads that run a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleMode {
    /// The thread of the request, in one batch with other requests that are ready there.
    RequestThread,
    /// Threads of its own.
    OwnThreads,
}

impl ScheduleMode {
    /// Returns the name in settings, responses and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestThread => "request_thread",
            Self::OwnThreads => "own_threads",
        }
    }
}

/// The mode that a user configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", try_from = "String")]
#[schemars(!try_from)]
pub enum WantedMode {
    /// The mode that suits the measurements.
    #[default]
    Auto,
    /// Always the thread of the request.
    RequestThread,
    /// Always threads of its own.
    OwnThreads,
}

impl TryFrom<String> for WantedMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "request_thread" => Ok(Self::RequestThread),
            "own_threads" => Ok(Self::OwnThreads),
            _ => Err(format!("expected auto, request_thread or own_threads, got `{text}`")),
        }
    }
}
