//! Security events of requests. An error or a handler marks the response, and the pipeline records the mark with what is
//! known of the request, for every transport in one place.

use std::error::Error;

use axum::http::Response;
use tonic::Status;

use super::{access::RequestRecord, state::EdgeState};
use crate::{
    model::ModelName,
    telemetry::{AuditCaller, AuditEvent, AuditKind, AuditOutcome},
};

/// A security event: an extension of the response, in gRPC the source of its status.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind:?}")]
pub(crate) struct Audited {
    kind: AuditKind,
    outcome: AuditOutcome,
    reason: Option<&'static str>,
    /// The model that the caller may not use.
    model: Option<String>,
    /// The client that asked for a token or revoked it.
    client: Option<String>,
    /// Revoked tokens.
    revoked: Option<String>,
}

impl Audited {
    fn new(kind: AuditKind, outcome: AuditOutcome, reason: Option<&'static str>) -> Self {
        Self { kind, outcome, reason, model: None, client: None, revoked: None }
    }

    /// Creates the event of a client that got a token, or was refused.
    pub(crate) fn log_in(client: Option<String>, refused: Option<&'static str>) -> Self {
        let outcome = if refused.is_some() { AuditOutcome::Refused } else { AuditOutcome::Ok };
        Self { client, ..Self::new(AuditKind::LogIn, outcome, refused) }
    }

    /// Creates the event of revoked tokens.
    pub(crate) fn revocation(client: Option<String>, revoked: String) -> Self {
        Self { client, revoked: Some(revoked), ..Self::new(AuditKind::TokensRevoked, AuditOutcome::Ok, None) }
    }

    /// Creates the event of credentials that were refused.
    pub(super) fn refused_credentials(reason: &'static str) -> Self {
        Self::new(AuditKind::CredentialsRefused, AuditOutcome::Refused, Some(reason))
    }

    /// Creates the event of a caller that may not do what it asked for, with this model if it is about one.
    pub(super) fn refused_scope(reason: &'static str, model: Option<&ModelName>) -> Self {
        let model = model.map(ToString::to_string);
        Self { model, ..Self::new(AuditKind::ScopeRefused, AuditOutcome::Refused, Some(reason)) }
    }

    /// Creates the event of a quota that is used up.
    pub(super) fn quota(reason: &'static str) -> Self {
        Self::new(AuditKind::QuotaExceeded, AuditOutcome::Refused, Some(reason))
    }

    /// Returns the event of a response; `None` if it has none.
    pub(super) fn of_response<B>(response: &Response<B>) -> Option<&Self> {
        let extensions = response.extensions();
        extensions.get::<Self>().or_else(|| extensions.get::<Status>().and_then(Self::of_status))
    }

    /// Returns the event of a status; `None` if it has none.
    pub(crate) fn of_status(status: &Status) -> Option<&Self> {
        status.source().and_then(|source| source.downcast_ref())
    }

    /// Records the event of this request.
    pub(crate) fn record(&self, state: &EdgeState, request: &RequestRecord<'_>, route: &str) {
        let caller = request.caller.and_then(|caller| {
            let credentials = caller.credentials()?;
            Some(AuditCaller { issuer: &caller.issuer, subject: &caller.subject, credentials })
        });
        state.audit.record(&AuditEvent {
            reason: self.reason,
            caller,
            client: self.client.as_deref(),
            address: request.client(state),
            request_id: request.id.and_then(|id| id.to_str().ok()),
            method: Some(request.method),
            route: Some(route),
            model: self.model.as_deref(),
            revoked: self.revoked.as_deref(),
            ..AuditEvent::of(self.kind, self.outcome)
        });
    }
}
