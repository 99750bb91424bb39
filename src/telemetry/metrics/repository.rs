//! Metrics of a repository in an object store.

use std::time::{Duration, SystemTime};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{Metrics, registered};

/// Polls of the store, and the age and size of its mirror. The series appear with the first poll.
#[derive(Debug)]
pub(super) struct RepositoryMetrics {
    polls: IntCounterVec,
    poll_time: IntGaugeVec,
    bytes: IntGaugeVec,
}

impl RepositoryMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let polls = Opts::new(
            "gateway_repository_polls_total",
            "Listings of the object store that is the model repository, by outcome.",
        );
        let poll_time = Opts::new(
            "gateway_repository_poll_time_seconds",
            "Time of the last poll that left the mirror like the object store, in seconds since 1970.",
        );
        let bytes =
            Opts::new("gateway_repository_bytes", "Bytes of the objects that the object store lists.");
        Ok(Self {
            polls: registered(registry, IntCounterVec::new(polls, &["outcome"])?)?,
            poll_time: registered(registry, IntGaugeVec::new(poll_time, &[])?)?,
            bytes: registered(registry, IntGaugeVec::new(bytes, &[])?)?,
        })
    }
}

impl Metrics {
    /// Counts a poll of the object store, with the bytes that it listed. `is_current` if the mirror is like the store.
    pub fn repository_polled(&self, outcome: &str, is_current: bool, bytes: Option<u64>) {
        let RepositoryMetrics { polls, poll_time, bytes: listed } = &self.repository;
        polls.with_label_values(&[outcome]).inc();
        if is_current {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let seconds = now.as_ref().map_or(0, Duration::as_secs);
            poll_time.with_label_values::<&str>(&[]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
        if let Some(bytes) = bytes {
            listed.with_label_values::<&str>(&[]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}
