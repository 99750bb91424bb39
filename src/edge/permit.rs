//! Extractors that prove authorization.
//!
//! [`Caller`] is the authenticated caller, set by [`authenticate`](super::authenticate). [`Permit`] is the proof that
//! the caller may do what the handler does, with the model in the path. A handler that takes neither must reveal
//! nothing: the paths that need no token are those of [`OpenPaths`](super::OpenPaths).

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection},
    http::{Extensions, request::Parts},
};

use super::{error::ApiError, pipeline::authorize, state::EdgeState};
use crate::{
    auth::{Authorized, Caller, Permission},
    limits::RequestCharge,
    model::{ModelName, VersionSelector},
    serving::{RequestContext, ServingError},
    system::byte_budget::ByteCharge,
    telemetry::Timeline,
};

/// Proof that the caller may do what the handler does, and the target and terms of the request.
#[derive(Debug)]
pub(crate) struct Permit<P> {
    /// The model of the path, or the default model, with which the caller may do `P`.
    pub(crate) model: Authorized<P>,
    /// The version of the path.
    pub(crate) version: Option<VersionSelector>,
    /// The terms of a run: caller, priority, deadline and memory charge.
    pub(crate) context: RequestContext,
}

impl FromRequestParts<EdgeState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &EdgeState) -> Result<Self, ApiError> {
        // Without the middleware there is no caller, so a handler that takes one cannot be reached.
        parts.extensions.get::<Arc<Self>>().map(|caller| Self::clone(caller)).ok_or(ApiError::NoToken)
    }
}

impl<P: Permission> Permit<P> {
    /// Checks that a caller may do this with at least one model.
    ///
    /// # Errors
    ///
    /// [`ApiError::InsufficientScope`].
    pub(crate) fn check_any(caller: &Caller) -> Result<(), ApiError> {
        let forbidden = ApiError::InsufficientScope { action: P::ACTION, model: None };
        if caller.may(P::ACTION, None) { Ok(()) } else { Err(forbidden) }
    }

    /// Checks that a caller may do this with the model of this name and version; `None` is the default model.
    ///
    /// # Errors
    ///
    /// [`ApiError::InsufficientScope`], or [`ApiError::NoSuchName`] if a text is not a valid name, and so names no
    /// model.
    pub(crate) fn check(
        state: &EdgeState,
        caller: &Caller,
        model: Option<&str>,
        version: Option<&str>,
    ) -> Result<Self, ApiError> {
        // A caller without this permission for any model must not learn which models exist.
        Self::check_any(caller)?;
        let model = match model {
            Some(text) => text.parse::<ModelName>().map_err(|_| ApiError::NoSuchName)?,
            None => state.serving.default_model().map_err(|error| match error {
                ServingError::NoDefaultModel(_) => {
                    let may = |name: &ModelName| caller.may(P::ACTION, Some(name));
                    ServingError::NoDefaultModel(state.serving.names().into_iter().filter(may).collect())
                }
                error => error,
            })?,
        };
        let model = authorize(caller, model)?;
        let version = version.map(|text| text.parse().map_err(|_| ApiError::NoSuchName)).transpose()?;
        let context = RequestContext { caller: caller.number(), ..RequestContext::default() };
        Ok(Self { model, version, context })
    }
}

impl<P> Permit<P> {
    /// Adds the charges for the memory and the rows of the request with these extensions, and its times.
    pub(crate) fn charged_to(mut self, extensions: &Extensions) -> Self {
        self.context.charge = extensions.get::<ByteCharge>().cloned();
        self.context.quota = extensions.get::<Arc<RequestCharge>>().cloned();
        self.context.timeline = extensions.get::<Arc<Timeline>>().cloned();
        self
    }
}

impl<P: Permission> FromRequestParts<EdgeState> for Permit<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &EdgeState) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Arc<Caller>>().map(Arc::clone).ok_or(ApiError::NoToken)?;
        let params = match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => Some(params),
            Err(RawPathParamsRejection::MissingPathParams(_)) => None,
            // A parameter that is not UTF-8 names no model, and must not pass for a path without parameters.
            Err(_) => return Err(ApiError::NoSuchPath),
        };
        let param = |wanted: &str| {
            let mut params = params.iter().flat_map(RawPathParams::iter);
            params.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let permit = Self::check(state, &caller, param("model"), param("version"))?;
        Ok(permit.charged_to(&parts.extensions))
    }
}
