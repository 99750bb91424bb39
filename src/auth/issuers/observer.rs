//! Logs and metrics of fetches: each fetch is counted, and a change of the state is logged once.

use std::time::{Duration, SystemTime};

use super::{
    location::KeyFetchError,
    published_keys::{LeftOut, PublishedKeys},
};
use crate::telemetry::Metrics;

/// The outcome of a fetch: the keys with the time for which they are valid, if the issuer says so.
pub(super) type FetchedSet = Result<(PublishedKeys, Option<Duration>), KeyFetchError>;

/// An observer of the fetches from one issuer.
pub(super) struct Observer<'o> {
    name: &'o str,
    metrics: &'o Metrics,
    /// The failure and the keys left out that were logged last.
    failure: Option<&'static str>,
    left_out: Vec<LeftOut>,
}

impl<'o> Observer<'o> {
    pub(super) fn new(name: &'o str, metrics: &'o Metrics) -> Self {
        Self { name, metrics, failure: None, left_out: Vec::new() }
    }

    /// Counts a fetch, and logs it if the state differs from before.
    pub(super) fn observe(&mut self, fetched: &FetchedSet, before: Option<&PublishedKeys>) {
        let (issuer, metrics) = (self.name, self.metrics);
        match fetched {
            Ok((keys, _)) => {
                metrics.issuer_fetched(issuer, "fetched");
                metrics.set_issuer_keys_time(issuer, SystemTime::now());
                let is_same = before.is_some_and(|before| before.ids() == keys.ids());
                if self.failure.take().is_some() || !is_same {
                    tracing::info!(issuer, keys = keys.ids(), "fetched the keys of an issuer");
                }
                if self.left_out != keys.left_out {
                    report(issuer, &keys.left_out);
                    self.left_out.clone_from(&keys.left_out);
                }
            }
            Err(error) => {
                metrics.issuer_fetched(issuer, error.kind());
                if self.failure.replace(error.kind()) != Some(error.kind()) {
                    let has_keys = before.is_some();
                    tracing::warn!(issuer, %error, has_keys, "failed to fetch the keys of an issuer");
                }
            }
        }
    }
}

/// Logs the keys that are left out.
pub(super) fn report(issuer: &str, left_out: &[LeftOut]) {
    for LeftOut { message: reason, is_grave } in left_out {
        if *is_grave {
            tracing::error!(issuer, reason, "left out a key of an issuer");
        } else {
            tracing::warn!(issuer, reason, "left out a key of an issuer");
        }
    }
}
