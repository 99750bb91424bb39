//! A protocol as the edge knows it: the requests that are its own, its routes, and the form of its errors.

use std::fmt;

use axum::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    model_description::{DescribedModel, ModelDescription},
    problem::MEDIA_TYPE,
    route_set::RouteSet,
};
use crate::{codec::json_schema::SchemaPlace, config::Settings};

/// A protocol that requests and responses follow.
pub(crate) trait Protocol: fmt::Debug + Sync {
    /// Returns true if a request is of this protocol, even if no route matches its path.
    fn claims(&self, method: &Method, path: &str) -> bool;

    /// Returns its paths that need no token. `/*` at the end stands for every path below.
    fn open_paths(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the paths that the operator chose for it. It takes them from all other protocols.
    fn chosen_paths<'s>(&self, _: &'s Settings) -> Vec<&'s str> {
        Vec::new()
    }

    /// Returns its routes with these settings: none if it is off.
    fn routes(&self, settings: &Settings) -> Routes;

    /// Returns its operations on one model, with schemas at this place. It may describe operations that settings switch
    /// off.
    fn describe(&self, _: DescribedModel<'_>, _: SchemaPlace<'_>) -> ModelDescription {
        ModelDescription::default()
    }

    /// Returns the body of an error, an [`ErrorDocument`] if it has no form of its own. `None` if it uses problem
    /// documents.
    fn error_document(&self, _: StatusCode, sentence: &str) -> Option<Value> {
        Some(json!({"error": sentence}))
    }

    /// Returns the media type and the schema of an error, for the API description.
    fn error_schema(&self) -> (&'static str, &'static str) {
        ("application/json", "ErrorDocument")
    }

    /// Returns true if errors are problem documents, which alone distinguish a body of the wrong form (400) from one of
    /// wrong content (422).
    fn has_problem_documents(&self) -> bool {
        self.error_schema().0 == MEDIA_TYPE
    }
}

/// An error.
//
// Open Inference Protocol, "Response JSON Error Object"; TensorFlow Serving RESTful API, "Errors".
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDocument {
    /// A sentence for people
    error: String,
}

/// The routes of a protocol, by their bodies.
#[derive(Default)]
pub(crate) struct Routes {
    /// Bodies of a few words: a grant, a name, a parameter.
    pub(crate) words: RouteSet,
    /// Bodies of rows.
    pub(crate) rows: RouteSet,
    /// Bodies of tensors, whose responses may be compressed.
    pub(crate) tensors: RouteSet,
    /// True if a platform in front authenticates the callers of `tensors`.
    pub(crate) platform_authenticates: bool,
    /// Routes that need `manage`, with bodies of a few words: a setting can move them to the operators' listener.
    pub(crate) management: RouteSet,
    /// Probes of orchestrators and load balancers, exempt from the quota of their address.
    pub(crate) probes: RouteSet,
}

/// Several protocols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocols {
    /// The protocol of a request that no other claims.
    default: &'static dyn Protocol,
    others: &'static [&'static dyn Protocol],
}

impl Protocols {
    pub(crate) const fn new(
        default: &'static dyn Protocol,
        others: &'static [&'static dyn Protocol],
    ) -> Self {
        Self { default, others }
    }

    /// Returns the protocol of a request, even if no route matches its path.
    pub(crate) fn of(self, method: &Method, path: &str) -> &'static dyn Protocol {
        let claimant = self.others.iter().find(|protocol| protocol.claims(method, path));
        claimant.copied().unwrap_or(self.default)
    }

    /// Returns every protocol, the default one first.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static dyn Protocol> {
        std::iter::once(self.default).chain(self.others.iter().copied())
    }
}

/// Returns true if a path is `root` or below it.
pub(crate) fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
