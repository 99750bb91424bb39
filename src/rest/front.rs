//! What answers the requests of a listener: a router, and in front of it, where there is one, the short way.

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

/// What a listener answers with.
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
    /// That of the public listener.
    #[must_use]
    pub fn public(state: TransportState, settings: &Settings, address_limit: Option<&AddressLimit>) -> Self {
        let express = Express::new(state.clone(), settings, address_limit);
        Self { router: public_router(state, settings, address_limit), express: Some(express) }
    }

    /// The router alone.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Answers a request that comes from this address.
    ///
    /// # Errors
    ///
    /// None: what goes wrong is an answer.
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
            // Where it lies, so that it is here once.
            Way::Short(ref mut usual) => Ok(express.answer(usual).await),
            // What it waits for is large, and most requests do not come here.
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
