//! The client that the library for object stores sends its requests with.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpResponseBody, HttpService,
    },
};

use crate::{
    outbound::{Client, SendError, TimeLimits},
    tls::ClientTls,
};

/// Most bytes of a response that is not the content of an object. A page of a listing has at most 5000 names.
const MAX_DOCUMENT_BYTES: u64 = 32 * 1024 * 1024;

/// A mark of requests for the content of an object, whose size the reader limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForContent;

/// A status that refuses a request for an object or a listing. The library would hide it in a text.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("status {0}")]
pub(super) struct RefusedStatus(pub(super) u16);

/// Makes clients for stores, and for the services that hand out their credentials.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) tls: ClientTls,
    pub(super) timeout: Duration,
}

/// A client with its time limits.
#[derive(Debug)]
struct Transport(Arc<Client<HttpRequestBody>>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let is_on = |key| options.get_config_value(&key).is_some_and(|value| value == "true");
        // Services that hand out credentials are asked with a shorter time limit.
        let connect = options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let connect = connect.and_then(|time| time.parse::<humantime::Duration>().ok());
        let connect = connect.map_or(self.timeout, |time| self.timeout.min(*time));
        let limits = TimeLimits { connect, read: self.timeout };
        let client = Client::new(self.tls.clone(), is_on(ClientConfigKey::AllowHttp), limits);
        Ok(HttpClient::new(Transport(Arc::new(client))))
    }
}

#[async_trait::async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_for_content = request.extensions().get::<ForContent>().is_some();
        let max_bytes = if is_for_content { u64::MAX } else { MAX_DOCUMENT_BYTES };
        // Other methods ask for tokens, where the library wants to see the status.
        let reads = matches!(request.method().as_str(), "GET" | "PROPFIND");
        let response = self.0.send(request, max_bytes).await.map_err(http_error)?;
        let status = response.status().as_u16();
        if reads && matches!(status, 401 | 403 | 404) {
            return Err(HttpError::new(HttpErrorKind::Unknown, RefusedStatus(status)));
        }
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(http_error))))
    }
}

fn http_error(error: SendError) -> HttpError {
    let kind = match &error {
        SendError::Connect(..) => HttpErrorKind::Connect,
        SendError::ConnectTimeout(..) | SendError::ReadTimeout(_) => HttpErrorKind::Timeout,
        SendError::Broken(_) => HttpErrorKind::Interrupted,
        SendError::Address | SendError::Plain | SendError::TooLarge(_) => HttpErrorKind::Decode,
    };
    HttpError::new(kind, error)
}
