//! The HTTP service of a listener: a router, with the fast path in front of it on the public one.

use std::{convert::Infallible, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    http::{Request, Response},
};
use http_body::Body as HttpBody;
use tower::ServiceExt;

use super::{
    PROTOCOLS,
    fast_path::{FastPath, RequestPath},
    open_inference::grpc::{self, CallPath},
    routes::{admin_router, public_router},
};
use crate::{
    config::{ServerSettings, Settings},
    edge::{AddressLimit, EdgeState, Ending, ListedRoute, Peer, rest::undrained_body::UndrainedBody},
};

/// The service that handles the next request of a listener: a change of settings replaces it.
pub type SharedService = Arc<ArcSwap<HttpService>>;

/// The HTTP service of a listener.
#[derive(Debug, Default)]
pub struct HttpService {
    router: Router,
    listed: Vec<ListedRoute>,
    fast_path: Option<FastPath>,
    grpc_fast_path: Option<grpc::FastPath>,
}

/// Returns true if the quotas are charged at once. The fast path does not wait for a server.
fn is_prompt(state: &EdgeState) -> bool {
    !state.quotas.as_ref().is_some_and(|quotas| quotas.are_shared())
}

impl HttpService {
    /// Creates the service of the public listener.
    #[must_use]
    pub fn public(state: &EdgeState, settings: &Settings, address_limit: Option<&AddressLimit>) -> Self {
        let chosen = PROTOCOLS.iter().flat_map(|protocol| protocol.chosen_paths(settings));
        let chosen = chosen.map(str::to_owned).collect();
        let fast_path =
            is_prompt(state).then(|| FastPath::new(state.clone(), settings, address_limit, chosen));
        let (router, listed) = public_router(state, settings, address_limit);
        Self { router, listed, fast_path, grpc_fast_path: None }
    }

    /// Creates the service of the gRPC listener.
    #[must_use]
    pub fn grpc(state: &EdgeState, settings: &ServerSettings, address_limit: Option<&AddressLimit>) -> Self {
        let grpc_fast_path =
            is_prompt(state).then(|| grpc::FastPath::new(state.clone(), settings, address_limit));
        let (router, listed) = grpc::router(state.clone(), settings, address_limit);
        Self { router, listed, fast_path: None, grpc_fast_path }
    }

    /// Creates the service of the operators' listener.
    #[must_use]
    pub fn admin(state: &EdgeState, settings: &Settings) -> Self {
        let (router, listed) = admin_router(state, settings);
        Self { router, listed, fast_path: None, grpc_fast_path: None }
    }

    /// Returns every route.
    #[must_use]
    pub fn listed_routes(&self) -> &[ListedRoute] {
        &self.listed
    }

    /// Handles a request from this address.
    ///
    /// # Errors
    ///
    /// Never fails: every error becomes a response.
    pub async fn respond<B>(
        self: Arc<Self>,
        request: Request<B>,
        peer: Peer,
    ) -> Result<Response<Body>, Infallible>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(fast_path) = &self.fast_path else {
            return Box::pin(self.routed(request.map(Body::new), peer)).await;
        };
        let mut path = fast_path.classify(request, peer);
        match path {
            // Borrowed in place, so that the request exists only once in the future.
            RequestPath::Fast(ref mut fast) => Ok(fast_path.respond(fast).await),
            // Boxed, since this future is large and few requests need it.
            RequestPath::Slow(request) => Box::pin(self.routed(request, peer)).await,
        }
    }

    /// Handles a call from this address, over HTTP/2.
    ///
    /// # Errors
    ///
    /// Never fails: every error becomes a response.
    pub async fn respond_to_call<B>(
        self: Arc<Self>,
        request: Request<B>,
        peer: Peer,
        ending: Ending,
    ) -> Result<Response<Body>, Infallible>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = match &self.grpc_fast_path {
            Some(fast_path) => match fast_path.classify(request, peer) {
                CallPath::Fast(fast) => return Ok(fast_path.respond(fast).await),
                CallPath::Slow(request) => *request,
            },
            None => request.map(Body::new),
        };
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(ending);
        Box::pin(self.router.clone().oneshot(request)).await
    }

    async fn routed(&self, request: Request<Body>, peer: Peer) -> Result<Response<Body>, Infallible> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(peer);
        let (body, unread) = UndrainedBody::of(&parts.headers, body);
        let mut response = self.router.clone().oneshot(Request::from_parts(parts, body)).await?;
        if let Some(unread) = unread {
            unread.drain_or_close(&mut response).await;
        }
        Ok(response)
    }
}
