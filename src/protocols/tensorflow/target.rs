//! The target of a path: a model, optionally one of its versions, and a verb.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    auth::Caller,
    edge::{ApiError, EdgeState, Permission, Permit},
    model::{ModelVersion, VersionLabel},
};

/// An operation on a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Predict,
    Classify,
    Regress,
}

/// The model, version and verb that a path names.
#[derive(Debug)]
pub(super) struct Target {
    model: String,
    version: Option<String>,
    /// Text after the last colon, even if it is not a known verb.
    verb: Option<String>,
}

impl Target {
    /// Returns the verb; `None` if the path only names a model.
    pub(super) fn verb(&self) -> Result<Option<Verb>, ApiError> {
        match self.verb.as_deref() {
            None => Ok(None),
            Some("predict") => Ok(Some(Verb::Predict)),
            Some("classify") => Ok(Some(Verb::Classify)),
            Some("regress") => Ok(Some(Verb::Regress)),
            Some(_) => Err(ApiError::NoSuchPath),
        }
    }

    /// Responds to a method that the path does not allow, even if the route does: a path with a verb allows only
    /// `POST`.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoSuchPath`] if the verb is unknown.
    pub(super) fn other_method(&self) -> Result<Response, ApiError> {
        let allowed = if self.verb()?.is_some() { "POST" } else { "GET,HEAD" };
        let allow = [(header::ALLOW, HeaderValue::from_static(allowed))];
        Ok((StatusCode::METHOD_NOT_ALLOWED, allow).into_response())
    }

    /// Checks that the caller may do this with the model.
    pub(super) fn permit<P: Permission>(
        &self,
        state: &EdgeState,
        caller: &Caller,
    ) -> Result<Permit<P>, ApiError> {
        Permit::check(state, caller, Some(&self.model), self.version.as_deref())
    }
}

impl FromRequestParts<EdgeState> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &EdgeState) -> Result<Self, ApiError> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::NoSuchPath)?;
        let mut params: Vec<(&str, &str)> = params.iter().collect();
        let mut verb = None;
        if let Some((_, last)) = params.last_mut()
            && let Some((name, after)) = last.rsplit_once(':')
        {
            (*last, verb) = (name, Some(after.to_owned()));
        }
        let (mut model, mut version) = (String::new(), None);
        for (name, value) in params {
            match name {
                "model" => value.clone_into(&mut model),
                // Numbers and labels never overlap, so each route accepts only its own kind.
                "version" if value.parse::<ModelVersion>().is_ok() => version = Some(value.to_owned()),
                "label" if value.parse::<VersionLabel>().is_ok() => version = Some(value.to_owned()),
                _ => return Err(ApiError::NoSuchPath),
            }
        }
        Ok(Self { model, version, verb })
    }
}
