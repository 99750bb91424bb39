//! Export of spans, counted by outcome.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::{
    config::SettingsProblem,
    telemetry::{Metrics, SpanOutcome},
};

/// An exporter that counts, and that logs when exports begin to fail and when they succeed again.
#[derive(Debug)]
pub(super) struct CountingExporter {
    pub(super) exporter: OtlpExporter,
    pub(super) metrics: Arc<Metrics>,
    pub(super) endpoint: String,
    pub(super) has_failed: AtomicBool,
    pub(super) waiting: Arc<AtomicUsize>,
}

/// Creates the exporter for a collector. It connects with the first export.
pub(super) fn exporter(endpoint: &str) -> Result<OtlpExporter, SettingsProblem> {
    let builder = OtlpExporter::builder().with_tonic().with_endpoint(endpoint);
    let builder = if endpoint.starts_with("https://") {
        let tls = opentelemetry_otlp::tonic_types::transport::ClientTlsConfig::new();
        builder.with_tls_config(tls.with_native_roots())
    } else {
        builder
    };
    builder.build().map_err(|error| SettingsProblem::at("telemetry.otlp.endpoint", error.to_string()))
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let outcome = if exported.is_ok() { SpanOutcome::Exported } else { SpanOutcome::Failed };
        self.metrics.trace_spans(outcome, spans);
        let (endpoint, is_failure) = (&self.endpoint, exported.is_err());
        if self.has_failed.swap(is_failure, Ordering::Relaxed) != is_failure {
            match &exported {
                Ok(()) => tracing::info!(endpoint, "resumed the export of traces"),
                Err(error) => tracing::warn!(endpoint, %error, "failed to export traces"),
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
