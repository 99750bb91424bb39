//! Counters, gauges and histograms, in the text format of Prometheus.
//!
//! Names and units follow the Prometheus conventions: base units, `_total` for counters.

mod api_keys;
mod buckets;
mod issuers;
mod models;
mod quota_store;
mod repository;
mod traces;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
    core::{Collector, Metric},
    proto,
};

use self::{
    api_keys::ApiKeyMetrics, issuers::IssuerMetrics, quota_store::QuotaStoreMetrics,
    repository::RepositoryMetrics, traces::TraceMetrics,
};
use super::logging;
pub use buckets::Buckets;
pub use models::ModelInService;
pub use quota_store::QuotaStoreFailure;
pub use traces::SpanOutcome;

/// Upper bounds in seconds: from the run of a small forest to the slowest model that a request waits for.
const SECONDS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Help of the ends of certificates.
const CERTIFICATE_END_HELP: &str = "End of the certificate's validity, in seconds since 1970, by listener.";

/// Outcomes of reading the settings again.
const APPLIED: &str = "applied";
const REFUSED: &str = "refused";

/// An error in setting up or writing metrics.
pub type MetricsError = prometheus::Error;

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// True if metrics are served; otherwise requests are not counted.
    is_on: bool,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    in_flight: IntGauge,
    connections: IntGauge,
    connections_closed: IntCounterVec,
    handshake_failures: IntCounterVec,
    certificate_ends: IntGaugeVec,
    issuers: IssuerMetrics,
    api_keys: ApiKeyMetrics,
    inference_seconds: HistogramVec,
    swaps: IntCounterVec,
    refusals: IntCounterVec,
    rollbacks: IntCounterVec,
    settings_reloads: IntCounterVec,
    bytes_in_flight: IntGauge,
    bytes_in_flight_limit: IntGauge,
    memory_refusals: IntCounter,
    log_lines_dropped: IntCounter,
    audit_lines_dropped: IntCounter,
    audit_events_suppressed: IntCounter,
    repository_available: IntGauge,
    state_available: IntGauge,
    quota_store: QuotaStoreMetrics,
    repository: RepositoryMetrics,
    traces: TraceMetrics,
}

/// Responses since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Responses by status.
    pub responses: BTreeMap<String, u64>,
    /// Durations of all of them.
    pub seconds: Buckets,
    /// Requests in progress.
    pub in_flight: i64,
}

/// The reason why the gateway closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Idle, and replaced by another.
    GaveWay,
    /// The address has its share, all of it busy.
    AddressShare,
    /// All connections are busy.
    Full,
    /// The client reads its responses too slowly.
    SlowReader,
    /// The client sends too many frames without a request.
    FrameFlood,
    /// The address has used up its TLS handshakes.
    HandshakeQuota,
    /// A trusted proxy did not begin the connection with a header of the PROXY protocol.
    ProxyHeader,
}

impl ConnectionEnd {
    fn label(self) -> &'static str {
        match self {
            Self::GaveWay => "gave_way",
            Self::AddressShare => "address_share",
            Self::Full => "full",
            Self::SlowReader => "slow_reader",
            Self::FrameFlood => "frame_flood",
            Self::HandshakeQuota => "handshake_quota",
            Self::ProxyHeader => "proxy_header",
        }
    }
}

/// Registers a metric.
fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Creates metrics that start at zero. If they are off, requests are not counted, which saves time.
    ///
    /// # Errors
    ///
    /// Never with the names in this file; the library checks them at run time.
    pub fn new(is_on: bool) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(&registry, HistogramVec::new(options, labels)?)
        };
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let total = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let settings_reloads =
            counter("gateway_settings_reloads_total", "Reloads of the settings, by outcome.", &["outcome"])?;
        // Created at the start, so that the first refusal shows as an increase.
        for outcome in [APPLIED, REFUSED] {
            settings_reloads.with_label_values(&[outcome]).reset();
        }
        let certificate_ends = Opts::new("gateway_tls_certificate_end_seconds", CERTIFICATE_END_HELP);
        let certificate_ends = registered(&registry, IntGaugeVec::new(certificate_ends, &["listener"])?)?;
        Ok(Self {
            memory_refusals: total(
                "gateway_requests_over_memory_total",
                "Requests refused because the memory for requests in flight was used up.",
            )?,
            log_lines_dropped: total(
                "gateway_log_lines_dropped_total",
                "Lines of the log that were not written, since their reader was too slow or failed.",
            )?,
            audit_lines_dropped: total(
                "gateway_audit_lines_dropped_total",
                "Lines of the audit log that were not written: the queue was full, or the file failed.",
            )?,
            audit_events_suppressed: total(
                "gateway_audit_events_suppressed_total",
                "Refusals that the audit log left out, like one in the last minute.",
            )?,
            bytes_in_flight: gauge(
                "gateway_bytes_in_flight",
                "Bytes of request bodies, tensors and responses in flight.",
            )?,
            bytes_in_flight_limit: gauge(
                "gateway_bytes_in_flight_limit",
                "Limit of the bytes in flight, derived from the available memory.",
            )?,
            requests: counter(
                "gateway_requests_total",
                "Responses, by route and status.",
                &["method", "route", "status"],
            )?,
            request_seconds: histogram(
                "gateway_request_duration_seconds",
                "Time from the headers of a request to those of its response.",
                &["route"],
            )?,
            in_flight: gauge("gateway_requests_in_flight", "Requests in progress.")?,
            connections: gauge("gateway_connections", "Open connections.")?,
            connections_closed: counter(
                "gateway_connections_closed_total",
                "Connections that the gateway closed to protect others, by reason.",
                &["reason"],
            )?,
            handshake_failures: counter(
                "gateway_tls_handshake_failures_total",
                "TLS handshakes that failed, by reason.",
                &["reason"],
            )?,
            certificate_ends,
            issuers: IssuerMetrics::new(&registry)?,
            api_keys: ApiKeyMetrics::new(&registry)?,
            inference_seconds: histogram(
                "gateway_inference_duration_seconds",
                "Time of a run in ONNX Runtime, without queueing.",
                &["model"],
            )?,
            swaps: counter(
                "gateway_model_swaps_total",
                "Versions put into service, including the first of a model.",
                &["model"],
            )?,
            refusals: counter(
                "gateway_model_refusals_total",
                "Refused candidates, by reason.",
                &["model", "reason"],
            )?,
            rollbacks: counter("gateway_model_rollbacks_total", "Rollbacks, by cause.", &["model", "cause"])?,
            settings_reloads,
            repository_available: gauge(
                "gateway_repository_available",
                "1 if the model repository can be read and did not lose all its models at once, else 0.",
            )?,
            quota_store: QuotaStoreMetrics::new(&registry)?,
            repository: RepositoryMetrics::new(&registry)?,
            traces: TraceMetrics::new(&registry)?,
            state_available: gauge(
                "gateway_state_available",
                "1 if what serves is written to the state directory, else 0.",
            )?,
            registry,
            is_on,
        })
    }

    /// Counts a request in flight until the guard is dropped.
    #[must_use]
    pub fn request_started(&self) -> InFlight<'_> {
        let counted = self.is_on.then_some(&self.in_flight);
        if let Some(in_flight) = counted {
            in_flight.inc();
        }
        InFlight(counted)
    }

    /// Counts a response.
    pub fn request_finished(&self, method: &str, route: &str, status: &str, duration: Duration) {
        if self.is_on {
            self.route(method, route, status).answered(duration);
        }
    }

    /// Sets the bytes of requests in flight, their limit, and the number of requests refused for it.
    pub fn set_bytes_in_flight(&self, taken: u64, limit: u64, refused: u64) {
        let gauge = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes_in_flight.set(gauge(taken));
        self.bytes_in_flight_limit.set(gauge(limit));
        self.memory_refusals.inc_by(refused.saturating_sub(self.memory_refusals.get()));
    }

    /// Counts an open connection until the guard is dropped.
    #[must_use]
    pub fn connection_opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Counts a connection that the gateway closed.
    pub fn connection_closed(&self, reason: ConnectionEnd) {
        self.connections_closed.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a line of the audit log that was not written.
    pub fn audit_line_dropped(&self) {
        self.audit_lines_dropped.inc();
    }

    /// Counts an event that the audit log left out.
    pub fn audit_event_suppressed(&self) {
        self.audit_events_suppressed.inc();
    }

    /// Counts a TLS handshake that failed.
    pub fn handshake_failed(&self, reason: &str) {
        self.handshake_failures.with_label_values(&[reason]).inc();
    }

    /// Sets the end of a listener's certificate, in seconds since 1970; `None` removes the series.
    pub fn set_certificate_end(&self, listener: &str, seconds: Option<u64>) {
        match seconds {
            Some(seconds) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                self.certificate_ends.with_label_values(&[listener]).set(seconds);
            }
            // Fails if there is no such series, which is what is wanted.
            None => drop(self.certificate_ends.remove_label_values(&[listener])),
        }
    }

    /// Sets the series of API keys: the name, the last use and the end of each. There is one reader at a time.
    pub fn set_api_keys<'k>(
        &self,
        keys: impl Iterator<Item = (&'k str, Option<SystemTime>, Option<SystemTime>)>,
    ) {
        self.api_keys.set(keys);
    }

    /// Returns the histogram of a model's runs, for repeated use. The series appears with the first run.
    #[must_use]
    pub fn inference_seconds(&self, model: &str) -> Seconds {
        let series = || Series {
            of_all: self.inference_seconds.clone(),
            label: model.to_owned(),
            found: OnceLock::new(),
        };
        Seconds(self.is_on.then(|| Arc::new(series())))
    }

    /// Returns the metrics of a method, route and status, for repeated use.
    #[must_use]
    pub fn route(&self, method: &str, route: &str, status: &str) -> Route {
        Route {
            answers: self.is_on.then(|| self.requests.with_label_values(&[method, route, status])),
            seconds: self.is_on.then(|| self.request_seconds.with_label_values(&[route])),
        }
    }

    /// Records whether the repository can be read and still holds models.
    pub fn set_repository_available(&self, is_available: bool) {
        self.repository_available.set(i64::from(is_available));
    }

    /// Records whether the state directory is written.
    pub fn set_state_available(&self, is_available: bool) {
        self.state_available.set(i64::from(is_available));
    }

    /// Counts a version that was put into service.
    pub fn model_swapped(&self, model: &str) {
        self.swaps.with_label_values(&[model]).inc();
    }

    /// Counts a refused candidate.
    pub fn model_refused(&self, model: &str, reason: &str) {
        self.refusals.with_label_values(&[model, reason]).inc();
    }

    /// Counts settings that were read again and applied.
    pub fn settings_applied(&self) {
        self.settings_reloads.with_label_values(&[APPLIED]).inc();
    }

    /// Counts settings that were read again and refused.
    pub fn settings_refused(&self) {
        self.settings_reloads.with_label_values(&[REFUSED]).inc();
    }

    /// Counts a rollback; the cause is `automatic` or `request`.
    pub fn model_rolled_back(&self, model: &str, cause: &str) {
        self.rollbacks.with_label_values(&[model, cause]).inc();
    }

    /// Reads the responses of some routes. `None` if metrics are off.
    #[must_use]
    pub fn traffic(&self, counts: impl Fn(&str) -> bool) -> Option<Traffic> {
        self.is_on.then(|| {
            let mut traffic = Traffic { in_flight: self.in_flight.get(), ..Traffic::default() };
            let of_route = |series: &&proto::Metric| label(series, "route").is_some_and(&counts);
            for family in self.requests.collect() {
                for series in family.get_metric().iter().filter(of_route) {
                    let status = label(series, "status").unwrap_or_default().to_owned();
                    // Counters are floats on the wire, and whole here.
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                    let count = series.get_counter().get_value() as u64;
                    *traffic.responses.entry(status).or_default() += count;
                }
            }
            for family in self.request_seconds.collect() {
                for series in family.get_metric().iter().filter(of_route) {
                    traffic.seconds.add(&Buckets::of(series));
                }
            }
            traffic
        })
    }

    /// Returns true if metrics are on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Writes all metrics in the text exposition format, version 0.0.4. Series of the models in service are written
    /// from `models` and not kept.
    ///
    /// # Errors
    ///
    /// If the library cannot write them.
    pub fn encode<'m>(
        &self,
        models: impl Iterator<Item = ModelInService<'m>> + Clone,
    ) -> Result<String, prometheus::Error> {
        // Counted by the log itself, which is there before any metric.
        let dropped = logging::dropped_lines();
        self.log_lines_dropped.inc_by(dropped.saturating_sub(self.log_lines_dropped.get()));
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        models::write(models, &mut text);
        Ok(text)
    }
}

/// Returns the value of a label of a series.
fn label<'s>(series: &'s proto::Metric, name: &str) -> Option<&'s str> {
    let mut labels = series.get_label().iter();
    labels.find(|label| label.name() == name).map(proto::LabelPair::value)
}

/// Durations of the runs of one model.
#[derive(Clone, Debug)]
pub struct Seconds(Option<Arc<Series>>);

/// A series of a histogram, created with its first value.
#[derive(Debug)]
struct Series {
    of_all: HistogramVec,
    label: String,
    found: OnceLock<Histogram>,
}

impl Seconds {
    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        if let Some(series) = &self.0 {
            let find = || series.of_all.with_label_values(&[&series.label]);
            series.found.get_or_init(find).observe(duration.as_secs_f64());
        }
    }

    /// Reads the buckets. `None` if metrics are off or the model has not run.
    #[must_use]
    pub fn buckets(&self) -> Option<Buckets> {
        let series = self.0.as_ref()?;
        series.found.get().map(|histogram| Buckets::of(&histogram.metric()))
    }
}

/// The metrics of a method, route and status.
#[derive(Clone, Debug)]
pub struct Route {
    answers: Option<IntCounter>,
    seconds: Option<Histogram>,
}

impl Route {
    /// Counts a response.
    pub fn answered(&self, duration: Duration) {
        if let Some(answers) = &self.answers {
            answers.inc();
        }
        if let Some(seconds) = &self.seconds {
            seconds.observe(duration.as_secs_f64());
        }
    }
}

/// A request in progress.
#[derive(Debug)]
pub struct InFlight<'m>(Option<&'m IntGauge>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(in_flight) = self.0 {
            in_flight.dec();
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
