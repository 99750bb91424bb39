//! A collector of traces: a server of the OpenTelemetry Protocol over gRPC.

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::{PATIENCE, pause};

/// What arrived so far.
#[derive(Clone, Debug, Default)]
struct Received {
    spans: Vec<Span>,
    resource: Vec<KeyValue>,
}

/// A running collector, which ends when it is dropped.
pub struct Collector {
    pub address: SocketAddr,
    received: Arc<Mutex<Received>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Service(Arc<Mutex<Received>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        for of_resource in request.into_inner().resource_spans {
            received.resource = of_resource.resource.unwrap_or_default().attributes;
            received.spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&received)));
        let server = tonic::transport::Server::builder().add_service(service);
        let task = tokio::spawn(async move {
            server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        });
        Self { address, received, task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().spans.clone()
    }

    /// Waits until a trace has this number of spans, and returns them.
    pub async fn trace(&self, trace: &str, spans: usize) -> Vec<Span> {
        let waiting = async {
            loop {
                let mut found = self.spans();
                found.retain(|span| hexadecimal(&span.trace_id) == trace);
                if found.len() >= spans {
                    return found;
                }
                pause().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:#?}", self.spans()))
    }

    /// An attribute of the gateway itself.
    pub fn resource(&self, key: &str) -> String {
        text(&self.received.lock().unwrap().resource, key)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The value of an attribute as text; empty if it is not there.
pub fn text(attributes: &[KeyValue], key: &str) -> String {
    let value =
        attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone());
    match value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
