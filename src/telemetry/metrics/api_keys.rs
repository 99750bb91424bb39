//! Metrics of API keys.

use std::time::{Duration, SystemTime};

use prometheus::{IntGaugeVec, Opts, Registry};

use super::registered;

/// The last use and the end of each API key.
#[derive(Debug)]
pub(super) struct ApiKeyMetrics {
    last_used: IntGaugeVec,
    ends: IntGaugeVec,
}

impl ApiKeyMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge =
            |name: &str, help: &str| registered(registry, IntGaugeVec::new(Opts::new(name, help), &["key"])?);
        Ok(Self {
            last_used: gauge(
                "gateway_api_key_last_used_seconds",
                "Last use of the API key since the start, in seconds since 1970.",
            )?,
            ends: gauge(
                "gateway_api_key_end_seconds",
                "End of the API key's validity, in seconds since 1970.",
            )?,
        })
    }

    /// Sets the series to those of the keys there are, each with its name, its last use and its end.
    pub(super) fn set<'k>(
        &self,
        keys: impl Iterator<Item = (&'k str, Option<SystemTime>, Option<SystemTime>)>,
    ) {
        self.last_used.reset();
        self.ends.reset();
        for (key, last_use, end) in keys {
            for (gauge, time) in [(&self.last_used, last_use), (&self.ends, end)] {
                if let Some(time) = time {
                    gauge.with_label_values(&[key]).set(seconds(time));
                }
            }
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs).try_into().unwrap_or(i64::MAX)
}
