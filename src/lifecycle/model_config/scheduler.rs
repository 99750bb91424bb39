//! Section `[scheduler]` of `model.toml`: what of the gateway's settings is to be otherwise for this model.

use serde::Deserialize;
use serde_json::Value;

use crate::model::WantedMode;

/// How the runs of a model are to be scheduled, as far as that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Form")]
pub struct SchedulerConfig {
    /// On whose threads.
    pub mode: Option<WantedMode>,
    /// Whether the rows of several requests are run at once; unsaid, where that is proven to change no answer.
    pub batching: Option<bool>,
    /// So many rows at once at most.
    pub max_batch_rows: Option<usize>,
    /// How long a batch that is not full waits for more.
    pub max_delay_ms: Option<u64>,
    /// How many requests may wait.
    pub queue_capacity: Option<usize>,
    /// How many sessions; 0 for as many as is best.
    pub instances: Option<usize>,
    /// Threads of each session; 0 for as many as is best.
    pub threads: Option<usize>,
}

/// The values as they are written, so that what is wrong with one can be said with its name.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    mode: Option<Value>,
    batching: Option<Value>,
    max_batch_rows: Option<Value>,
    max_delay_ms: Option<Value>,
    queue_capacity: Option<Value>,
    instances: Option<Value>,
    threads: Option<Value>,
}

impl TryFrom<Form> for SchedulerConfig {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        let count = |key, value, minimum, maximum| {
            let number = number(key, value, minimum, maximum)?;
            number.map(usize::try_from).transpose().map_err(|error| error.to_string())
        };
        Ok(Self {
            mode: mode(form.mode)?,
            batching: batching(form.batching)?,
            max_batch_rows: count("max_batch_rows", form.max_batch_rows, 1, 1_000_000)?,
            max_delay_ms: number("max_delay_ms", form.max_delay_ms, 0, 1000)?,
            queue_capacity: count("queue_capacity", form.queue_capacity, 0, 1_000_000)?,
            instances: count("instances", form.instances, 0, 1024)?,
            threads: count("threads", form.threads, 0, 1024)?,
        })
    }
}

fn mode(value: Option<Value>) -> Result<Option<WantedMode>, String> {
    let Some(value) = value else { return Ok(None) };
    let expected =
        || format!("scheduler.mode: expected \"auto\", \"request_thread\" or \"own_threads\", got {value}");
    let text = value.as_str().ok_or_else(expected)?;
    WantedMode::try_from(text.to_owned()).map(Some).map_err(|_| expected())
}

fn batching(value: Option<Value>) -> Result<Option<bool>, String> {
    let truth = |value: Value| {
        value.as_bool().ok_or_else(|| format!("scheduler.batching: expected true or false, got {value}"))
    };
    value.map(truth).transpose()
}

fn number(key: &str, value: Option<Value>, minimum: u64, maximum: u64) -> Result<Option<u64>, String> {
    let within = |value: Value| {
        value.as_u64().filter(|number| (minimum..=maximum).contains(number)).ok_or_else(|| {
            format!("scheduler.{key}: expected a whole number from {minimum} to {maximum}, got {value}")
        })
    };
    value.map(within).transpose()
}
