//! Metrics of issuers whose keys are fetched.

use std::time::{Duration, SystemTime};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

use super::{Metrics, label, registered};

/// The age of the keys of each issuer, and how they were fetched.
#[derive(Debug)]
pub(super) struct IssuerMetrics {
    keys_times: IntGaugeVec,
    fetches: IntCounterVec,
}

impl IssuerMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let keys_times = Opts::new(
            "gateway_issuer_keys_time_seconds",
            "Time when the keys of an issuer were fetched last, in seconds since 1970.",
        );
        let fetches =
            Opts::new("gateway_issuer_fetches_total", "Fetches of the keys of an issuer, by outcome.");
        Ok(Self {
            keys_times: registered(registry, IntGaugeVec::new(keys_times, &["issuer"])?)?,
            fetches: registered(registry, IntCounterVec::new(fetches, &["issuer", "outcome"])?)?,
        })
    }
}

impl Metrics {
    /// Counts a fetch of an issuer's keys.
    pub fn issuer_fetched(&self, issuer: &str, outcome: &str) {
        self.issuers.fetches.with_label_values(&[issuer, outcome]).inc();
    }

    /// Sets the time when the keys of an issuer were fetched.
    pub fn set_issuer_keys_time(&self, issuer: &str, time: SystemTime) {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.issuers.keys_times.with_label_values(&[issuer]).set(seconds);
    }

    /// Removes the times of issuers that are not among these.
    pub fn retain_issuers(&self, issuers: &[&str]) {
        let times = &self.issuers.keys_times;
        for family in times.collect() {
            for series in family.get_metric() {
                let name = label(series, "issuer").unwrap_or_default();
                if !issuers.contains(&name) {
                    drop(times.remove_label_values(&[name]));
                }
            }
        }
    }
}
