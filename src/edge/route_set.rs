//! Routes, with the list of them.
//!
//! A route enters a router only through a set, so the list is complete: `tests/it/permissions.rs` holds it against the
//! table of who may use which route.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    response::IntoResponse,
    routing::{MethodRouter, Route},
};
use tower::{Layer, Service};
use utoipa::openapi::{OpenApi, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::state::EdgeState;

/// A route: a method and the pattern of its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedRoute {
    /// The pattern.
    pub path: String,
    /// The method.
    pub method: &'static str,
}

/// Routes, their description and the list of them.
#[derive(Default)]
pub(crate) struct RouteSet {
    router: OpenApiRouter<EdgeState>,
    listed: Vec<ListedRoute>,
}

impl RouteSet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds described routes, from `utoipa_axum::routes`.
    pub(crate) fn routes(mut self, routes: UtoipaMethodRouter<EdgeState>) -> Self {
        for (path, item) in &routes.1.paths {
            self.listed.extend(methods(item).map(|method| ListedRoute { path: path.clone(), method }));
        }
        Self { router: self.router.routes(routes), ..self }
    }

    /// Adds a route without a description.
    pub(crate) fn route(
        mut self,
        method: &'static str,
        path: &str,
        handler: MethodRouter<EdgeState>,
    ) -> Self {
        self.listed.push(ListedRoute { path: path.to_owned(), method });
        Self { router: self.router.route(path, handler), ..self }
    }

    /// Adds methods of gRPC, which one service handles.
    pub(crate) fn calls<S>(mut self, paths: &[&str], service: &S) -> Self
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        for path in paths {
            self.listed.push(ListedRoute { path: (*path).to_owned(), method: "POST" });
            self.router = self.router.route_service(path, service.clone());
        }
        self
    }

    /// Adds the routes of a library, which answer `GET` at these paths.
    pub(crate) fn of_library(mut self, router: Router<EdgeState>, paths: &[&str]) -> Self {
        let listed = paths.iter().map(|path| ListedRoute { path: (*path).to_owned(), method: "GET" });
        self.listed.extend(listed);
        Self { router: self.router.merge(router.into()), ..self }
    }

    /// Adds a description of routes that are in the set without one.
    pub(crate) fn described_by(self, openapi: OpenApi) -> Self {
        Self { router: self.router.merge(OpenApiRouter::with_openapi(openapi)), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.listed.extend(other.listed);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Wraps the routes in a layer.
    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { router: self.router.layer(layer), ..self }
    }

    /// Returns the description.
    pub(crate) fn into_openapi(self) -> OpenApi {
        self.router.into_openapi()
    }

    /// Returns the router, and adds its routes to a list.
    pub(crate) fn listed_in(self, list: &mut Vec<ListedRoute>) -> Router<EdgeState> {
        list.extend(self.listed);
        self.router.into()
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = &'static str> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let operations = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("OPTIONS", options),
        ("HEAD", head),
        ("PATCH", patch),
        ("TRACE", trace),
    ];
    operations.into_iter().filter_map(|(method, operation)| operation.is_some().then_some(method))
}
