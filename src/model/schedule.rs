//! How the runs of a model are scheduled: on whose threads, in what batches, how many at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// How the runs of a version are scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// On whose threads they run.
    pub mode: ScheduleMode,
    /// Whether the rows of several requests may be run at once.
    pub batching: bool,
    /// So many rows are run at once at most.
    pub max_batch_rows: usize,
    /// A batch that is not full waits this long for more; nothing does on the thread of a request.
    #[serde(rename = "max_delay_ms", serialize_with = "milliseconds")]
    pub max_delay: Duration,
    /// So many requests may wait.
    pub queue_capacity: usize,
    /// So many sessions run beside each other.
    pub instances: usize,
    /// Threads of each session, the caller's included.
    pub threads: usize,
    /// Why it runs on these threads, in a sentence for people.
    pub reason: String,
}

impl Schedule {
    /// How long a batch waits, as a setting has it.
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

/// On whose threads a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleMode {
    /// On that of the request, together with whatever else is ready there.
    RequestThread,
    /// On threads of its own.
    OwnThreads,
}

impl ScheduleMode {
    /// Its name in settings, answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestThread => "request_thread",
            Self::OwnThreads => "own_threads",
        }
    }
}

/// Which of them a user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum WantedMode {
    /// The one that suits what was measured.
    #[default]
    Auto,
    /// Always that of the request.
    RequestThread,
    /// Always its own.
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
