//! Section `[scheduler]` of `model.toml`: overrides of the gateway's settings for this model.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::model::WantedMode;

/// Most rows of a batch, and most requests in a queue.
pub(super) const MOST_ROWS: usize = 1_000_000;
/// Most runs at the same time, and most threads of each.
pub(super) const MOST_THREADS: usize = 1024;
/// Longest wait for company in milliseconds.
pub(super) const LONGEST_DELAY_MS: u64 = 1000;

/// Scheduling of a model's runs; `None` in a field keeps the gateway's setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Form")]
#[schemars(!try_from, deny_unknown_fields)]
pub struct SchedulerConfig {
    /// Threads that run the model.
    pub mode: Option<WantedMode>,
    /// True to run the rows of several requests at once. `None` to do so where it is proven not to change outputs.
    #[schemars(
        description = "True to run the rows of several requests at once; unset: where it is proven not to \
                               change outputs."
    )]
    pub batching: Option<bool>,
    /// Most rows of a batch.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_batch_rows: Option<usize>,
    /// Longest wait of a batch that is not full.
    #[schemars(range(min = 0, max = 1000))]
    pub max_delay_ms: Option<u64>,
    /// Most requests in the queue.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queue_capacity: Option<usize>,
    /// Number of runs at the same time; 0 to choose it automatically.
    #[schemars(range(min = 0, max = 1024))]
    pub instances: Option<usize>,
    /// Threads of each instance; 0 to choose it automatically.
    #[schemars(range(min = 0, max = 1024))]
    pub threads: Option<usize>,
}

/// The values as written, so that an error can name the key.
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
            let number = number(key, value, minimum, maximum as u64)?;
            number.map(usize::try_from).transpose().map_err(|error| error.to_string())
        };
        Ok(Self {
            mode: mode(form.mode)?,
            batching: batching(form.batching)?,
            max_batch_rows: count("max_batch_rows", form.max_batch_rows, 1, MOST_ROWS)?,
            max_delay_ms: number("max_delay_ms", form.max_delay_ms, 0, LONGEST_DELAY_MS)?,
            queue_capacity: count("queue_capacity", form.queue_capacity, 0, MOST_ROWS)?,
            instances: count("instances", form.instances, 0, MOST_THREADS)?,
            threads: count("threads", form.threads, 0, MOST_THREADS)?,
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
