//! Metrics of the Redis server of the quotas.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::{Metrics, registered};

/// The state of the server, and the charges that it did not answer.
#[derive(Debug)]
pub(super) struct QuotaStoreMetrics {
    is_up: IntGauge,
    failures: IntCounterVec,
}

/// The reason why a charge in the store of quotas failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaStoreFailure {
    /// The server took too long.
    Timeout,
    /// No connection to the server.
    Connection,
    /// The server refused it.
    Refused,
}

impl QuotaStoreFailure {
    fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Refused => "refused",
        }
    }
}

impl QuotaStoreMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let is_up = IntGauge::new(
            "gateway_quota_store_up",
            "1 if quotas are counted where rate_limit.store says, 0 while each gateway counts its own share.",
        )?;
        let failures = Opts::new(
            "gateway_quota_store_failures_total",
            "Charges that the Redis server of the quotas did not answer, by reason.",
        );
        Ok(Self {
            is_up: registered(registry, is_up)?,
            failures: registered(registry, IntCounterVec::new(failures, &["reason"])?)?,
        })
    }
}

impl Metrics {
    /// Sets whether quotas are counted where the settings say.
    pub fn set_quota_store_up(&self, is_up: bool) {
        self.quota_store.is_up.set(is_up.into());
    }

    /// Counts a charge that the store of quotas did not answer.
    pub fn quota_store_failed(&self, reason: QuotaStoreFailure) {
        self.quota_store.failures.with_label_values(&[reason.label()]).inc();
    }
}
