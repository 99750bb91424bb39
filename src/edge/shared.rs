//! Layers with cheap clones.
//!
//! A router clones the service of a route for each request, and so does each middleware with the services below it.
//! Nested middleware would clone the lowest service once per level. A shared service is cloned once, when its turn
//! comes.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tower::{Layer, Service, ServiceExt, util::Oneshot};

/// Layer that shares the services below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedLayer;

/// A service whose clones share one instance.
#[derive(Debug)]
pub(crate) struct Shared<S>(Arc<S>);

impl<S> Layer<S> for SharedLayer {
    type Service = Shared<S>;

    fn layer(&self, service: S) -> Shared<S> {
        Shared(Arc::new(service))
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, R> Service<R> for Shared<S>
where
    S: Service<R, Error = Infallible> + Clone,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Oneshot<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each request has its own clone, which `call` awaits.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Oneshot<S, R> {
        S::clone(&self.0).oneshot(request)
    }
}
