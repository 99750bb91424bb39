//! The HTTP service of a listener: a router, with the fast path in front of it on the public one.

use std::{convert::Infallible, sync::Arc};

use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    http::{Request, Response},
};
use http_body::Body as HttpBody;
use tower::ServiceExt;

use super::{
    express::{Express, Way},
    routes::public_router,
    unread::Unread,
};
use crate::{
    config::Settings,
    transport::{AddressLimit, Peer, TransportState},
};

/// The HTTP service of a listener.
#[derive(Debug)]
pub struct Front {
    router: Router,
    express: Option<Express>,
}

impl From<Router> for Front {
    fn from(router: Router) -> Self {
        Self { router, express: None }
    }
}

impl Front {
    /// Creates the service of the public listener.
    #[must_use]
    pub fn public(state: TransportState, settings: &Settings, address_limit: Option<&AddressLimit>) -> Self {
        let express = Express::new(state.clone(), settings, address_limit);
        Self { router: public_router(state, settings, address_limit), express: Some(express) }
    }

    /// Returns the router alone.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Handles a request from this address.
    ///
    /// # Errors
    ///
    /// Never fails: every error becomes a response.
    pub async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        peer: Peer,
    ) -> Result<Response<Body>, Infallible>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(express) = &self.express else {
            return Box::pin(self.routed(request.map(Body::new), peer)).await;
        };
        let mut way = express.way_of(request, peer);
        match way {
            // Borrowed in place, so that the request exists only once in the future.
            Way::Short(ref mut usual) => Ok(express.answer(usual).await),
            // Boxed, since this future is large and few requests need it.
            Way::Long(request) => Box::pin(self.routed(request, peer)).await,
        }
    }

    async fn routed(&self, request: Request<Body>, peer: Peer) -> Result<Response<Body>, Infallible> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(peer);
        let (body, unread) = Unread::of(&parts.headers, body);
        let mut response = self.router.clone().oneshot(Request::from_parts(parts, body)).await?;
        if let Some(unread) = unread {
            unread.settle(&mut response).await;
        }
        Ok(response)
    }
}
