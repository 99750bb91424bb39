//! Traces of requests, exported over OTLP (OpenTelemetry Protocol, over gRPC).
//!
//! Requests are chosen when they arrive. One that is not chosen costs a random number. The spans of one that is chosen are
//! made once its response is ready, and put into a bounded queue, which a thread of the library empties.

mod export;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, Key, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags},
};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor},
};

use export::CountingExporter;

use super::{
    Metrics, SpanOutcome,
    timeline::{RunModel, Step, Timeline},
    trace_context::{TraceContext, TraceParent},
};
use crate::config::{OtlpSettings, SettingsProblem};

/// Most spans that wait to be exported. More are dropped and counted.
const MAX_WAITING: usize = 4096;

/// Most spans of one export.
const MAX_BATCH: usize = 512;

/// Longest time that a span waits for others.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Time that spans in the queue have when the gateway stops.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The traces of a gateway.
#[derive(Debug)]
pub struct Traces {
    sample: f64,
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    metrics: Arc<Metrics>,
    /// Spans that are not exported yet.
    waiting: Arc<AtomicUsize>,
    is_closed: AtomicBool,
}

/// The headers of a request that decide whether its times are kept.
#[derive(Clone, Debug, Default)]
pub struct TraceHeaders<'r> {
    /// `traceparent` (W3C Trace Context), if there is one.
    pub parent: Option<&'r [u8]>,
    /// `tracestate`, if there is one; several lines are one list (section 3.3.1).
    pub state: Option<String>,
    /// True if the client asks for `Server-Timing`.
    pub asks_for_timing: bool,
}

/// A request that has ended, as far as its trace tells of it.
#[derive(Clone, Copy, Debug)]
pub struct TracedRequest<'r> {
    /// The method.
    pub method: &'r str,
    /// The pattern of the path, or the gRPC method.
    pub route: &'r str,
    /// The path.
    pub path: &'r str,
    /// The status of HTTP.
    pub status: u16,
    /// The status of gRPC by name; `None` for REST.
    pub grpc_status: Option<&'r str>,
    /// True if the failure is the gateway's.
    pub has_failed: bool,
    /// True if the caller is known.
    pub is_of_caller: bool,
    /// The id of the request.
    pub id: Option<&'r str>,
    /// The time to the response.
    pub duration: Duration,
}

impl Traces {
    /// Begins to export traces; `None` if no endpoint is set. Needs the runtime of Tokio. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// If the endpoint is not a valid address.
    pub fn new(settings: &OtlpSettings, metrics: &Arc<Metrics>) -> Result<Option<Self>, SettingsProblem> {
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let exporter = export::exporter(endpoint)?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let counting = CountingExporter {
            exporter,
            metrics: Arc::clone(metrics),
            endpoint: endpoint.clone(),
            has_failed: AtomicBool::new(false),
            waiting: Arc::clone(&waiting),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(MAX_BATCH)
            .with_scheduled_delay(MAX_DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(counting).with_batch_config(config).build();
        processor.set_resource(&resource());
        let scope = InstrumentationScope::builder("onnx-gateway").with_version(env!("CARGO_PKG_VERSION"));
        let scope = scope.build();
        let (metrics, is_closed) = (Arc::clone(metrics), AtomicBool::new(false));
        Ok(Some(Self { sample: settings.sample, processor, scope, metrics, waiting, is_closed }))
    }

    /// Chooses whether a request is traced. The client's own choice counts, since its trace would have a gap otherwise.
    fn context(&self, headers: &TraceHeaders<'_>) -> Option<TraceContext> {
        let parent = headers.parent.and_then(TraceParent::read);
        let is_chosen = match parent {
            Some(parent) => parent.is_sampled,
            None => self.is_sampled(),
        };
        is_chosen.then(|| TraceContext::new(parent, headers.state.as_deref()))
    }

    fn is_sampled(&self) -> bool {
        self.sample >= 1.0 || (self.sample > 0.0 && rand::random::<f64>() < self.sample)
    }

    /// Exports the spans of a request.
    ///
    /// A client that is not known neither forces a trace nor adds to one: its request is sampled, as a trace of its own.
    pub fn finish(&self, timeline: &Timeline, request: &TracedRequest<'_>) {
        let Some(context) = &timeline.trace else { return };
        let own;
        let context = if context.parent.is_some() && !request.is_of_caller {
            if !self.is_sampled() {
                return;
            }
            own = TraceContext::new(None, None);
            &own
        } else {
            context
        };
        let parts = timeline.lock();
        let batch = SpanId::from(rand::random_range(1..=u64::MAX));
        for step in &parts.steps {
            use super::StepKind::{Batch, Inference};
            let (id, parent) = match step.kind {
                Batch => (batch, context.span),
                Inference => (SpanId::from(rand::random_range(1..=u64::MAX)), batch),
                _ => (SpanId::from(rand::random_range(1..=u64::MAX)), context.span),
            };
            self.export(self.step_span(timeline, context, step, id, parent));
        }
        self.export(self.request_span(timeline, context, request, parts.model.as_ref()));
    }

    fn export(&self, span: SpanData) {
        // A request in progress may outlast the settings that it began with.
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        if !is_closed && self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            self.processor.on_end(span);
            return;
        }
        if !is_closed {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.metrics.trace_spans(SpanOutcome::Dropped, 1);
    }

    fn step_span(
        &self,
        timeline: &Timeline,
        context: &TraceContext,
        step: &Step,
        id: SpanId,
        parent: SpanId,
    ) -> SpanData {
        let at = |time: Instant| timeline.begin_of_day + time.saturating_duration_since(timeline.begin);
        let rows = step.rows.and_then(|rows| i64::try_from(rows).ok());
        SpanData {
            attributes: rows.map(|rows| KeyValue::new("gateway.batch.rows", rows)).into_iter().collect(),
            ..self.span(context, (id, parent), step.kind.name(), (at(step.begin), at(step.end)))
        }
    }

    fn request_span(
        &self,
        timeline: &Timeline,
        context: &TraceContext,
        request: &TracedRequest<'_>,
        model: Option<&RunModel>,
    ) -> SpanData {
        let TracedRequest { method, route, path, status, grpc_status, id, duration, has_failed, .. } =
            *request;
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("url.path", path.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        if let Some(status) = grpc_status {
            attributes.push(KeyValue::new("rpc.system.name", "grpc"));
            attributes.push(KeyValue::new("rpc.response.status_code", status.to_owned()));
        }
        if let Some(id) = id {
            attributes.push(KeyValue::new("gateway.request.id", id.to_owned()));
        }
        if let Some(RunModel { name, version }) = model {
            attributes.push(KeyValue::new("gateway.model.name", name.clone()));
            attributes.push(KeyValue::new("gateway.model.version", version.to_string()));
        }
        let parent = context.parent.unwrap_or(SpanId::INVALID);
        let begin = timeline.begin_of_day;
        SpanData {
            span_kind: SpanKind::Server,
            parent_span_is_remote: context.parent.is_some(),
            attributes,
            status: if has_failed { Status::error("") } else { Status::Unset },
            ..self.span(
                context,
                (context.span, parent),
                format!("{method} {route}"),
                (begin, begin + duration),
            )
        }
    }

    fn span(
        &self,
        context: &TraceContext,
        (id, parent): (SpanId, SpanId),
        name: impl Into<std::borrow::Cow<'static, str>>,
        (start_time, end_time): (SystemTime, SystemTime),
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                context.trace,
                id,
                TraceFlags::SAMPLED,
                false,
                context.state.clone(),
            ),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time,
            end_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Exports what waits, and ends. Blocks, for two seconds at most.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // The log already has the failure of the collector.
        let _ = self.processor.shutdown_with_timeout(END_TIMEOUT);
    }
}

impl Timeline {
    /// Begins the times of a request that is traced, or whose client asks for them; `None` for any other.
    #[must_use]
    pub fn begin(traces: Option<&Traces>, headers: &TraceHeaders<'_>, begin: Instant) -> Option<Arc<Self>> {
        let context = traces.and_then(|traces| traces.context(headers));
        let is_kept = context.is_some() || headers.asks_for_timing;
        is_kept.then(|| Arc::new(Self::new(begin, context, headers.asks_for_timing)))
    }
}

/// Describes this gateway to the collector. The library reads `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
fn resource() -> Resource {
    let builder = || {
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        Resource::builder().with_attribute(version)
    };
    let resource = builder().build();
    let name = resource.get(&Key::from_static_str("service.name"));
    // The library's own name for a service that the environment does not name.
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if is_named { resource } else { builder().with_service_name("onnx-gateway").build() }
}
