//! Security events and their form.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use serde::Serialize;

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A client asked for a token.
    LogIn,
    /// A request had no valid credentials.
    CredentialsRefused,
    /// A caller may not do what it asked for.
    ScopeRefused,
    /// A quota was used up.
    QuotaExceeded,
    /// Tokens were revoked.
    TokensRevoked,
    /// Changed settings are in effect.
    SettingsChanged,
    /// Changed settings were refused.
    SettingsRefused,
    /// New certificates are in effect.
    CertificatesReloaded,
    /// A version was put into service.
    ModelDeployed,
    /// A version was put into service again at the start.
    ModelRestored,
    /// A version was not put into service.
    ModelRefused,
    /// An earlier version serves again.
    ModelRolledBack,
    /// A version was taken out of service.
    ModelUnloaded,
    /// A version's file vanished, and it was taken out of service.
    ModelRemoved,
    /// A version's file vanished, and it serves on.
    ModelKept,
}

impl AuditKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::LogIn,
        Self::CredentialsRefused,
        Self::ScopeRefused,
        Self::QuotaExceeded,
        Self::TokensRevoked,
        Self::SettingsChanged,
        Self::SettingsRefused,
        Self::CertificatesReloaded,
        Self::ModelDeployed,
        Self::ModelRestored,
        Self::ModelRefused,
        Self::ModelRolledBack,
        Self::ModelUnloaded,
        Self::ModelRemoved,
        Self::ModelKept,
    ];

    /// Returns the name in the log.
    #[must_use]
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned()
    }
}

/// Outcomes of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// Done.
    Ok,
    /// Refused, for the reason in the event.
    Refused,
}

/// A caller in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditCaller<'e> {
    /// The issuer of the credentials.
    pub issuer: &'e str,
    /// The name with the issuer.
    pub subject: &'e str,
    /// The kind of credentials.
    pub credentials: &'e str,
}

/// An event. Fields without a value are left out.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEvent<'e> {
    /// The kind.
    pub event: AuditKind,
    /// The outcome.
    pub outcome: AuditOutcome,
    /// The reason of a refusal, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'e str>,
    /// The caller; `None` until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<AuditCaller<'e>>,
    /// The client that asked for a token or revoked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'e str>,
    /// The origin of a change: `repository`, `start`, `automatic`, or a caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'e str>,
    /// The address of the client, behind trusted proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'e str>,
    /// The method of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'e str>,
    /// The pattern of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'e str>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'e str>,
    /// The version of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SHA-256 of the model's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'e str>,
    /// Revoked tokens: `jti:ID` or `subject:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<&'e str>,
    /// Names of settings that changed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub settings: &'e [String],
}

/// An event as it is written.
#[derive(Serialize)]
struct Line<'l, 'e> {
    time: &'l str,
    #[serde(flatten)]
    event: &'l AuditEvent<'e>,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditEvent<'_> {
    /// Creates an event; the caller fills in the optional fields.
    #[must_use]
    pub fn of(event: AuditKind, outcome: AuditOutcome) -> Self {
        Self {
            event,
            outcome,
            reason: None,
            caller: None,
            client: None,
            by: None,
            address: None,
            request_id: None,
            method: None,
            route: None,
            model: None,
            version: None,
            digest: None,
            revoked: None,
            settings: &[],
        }
    }

    /// Returns the key of events that a client can cause at will: only the first in a while is written. `None` if every
    /// event is written.
    pub(super) fn throttle_key(&self) -> Option<u64> {
        let at_will = matches!(
            self.event,
            AuditKind::LogIn
                | AuditKind::CredentialsRefused
                | AuditKind::ScopeRefused
                | AuditKind::QuotaExceeded
        );
        if !at_will || self.outcome == AuditOutcome::Ok {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        let who = self.caller.map(|caller| (caller.issuer, caller.subject));
        (self.event, self.reason, who, who.is_none().then_some(self.address)).hash(&mut hasher);
        Some(hasher.finish())
    }

    /// Writes the event as JSON. Other events like this one were left out before.
    pub(super) fn line(&self, time: &str, suppressed: u64) -> Vec<u8> {
        serde_json::to_vec(&Line { time, event: self, suppressed }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_that_are_known() {
        let caller = AuditCaller { issuer: "a", subject: "b", credentials: "token" };
        let event = AuditEvent {
            reason: Some("insufficient_scope"),
            caller: Some(caller),
            ..AuditEvent::of(AuditKind::ScopeRefused, AuditOutcome::Refused)
        };
        let line = String::from_utf8(event.line("2026-11-29T12:00:00.000Z", 3)).unwrap();
        let expected = concat!(
            r#"{"time":"2026-11-29T12:00:00.000Z","event":"scope_refused","outcome":"refused","#,
            r#""reason":"insufficient_scope","caller":{"issuer":"a","subject":"b","credentials":"token"},"suppressed":3}"#
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn only_what_clients_cause_at_will_is_throttled_by_caller_or_else_address() {
        let refused = |event| AuditEvent::of(event, AuditOutcome::Refused);
        assert!(refused(AuditKind::ModelRefused).throttle_key().is_none());
        assert!(AuditEvent::of(AuditKind::LogIn, AuditOutcome::Ok).throttle_key().is_none());
        let at = |last: u8| AuditEvent {
            address: Some(IpAddr::from([10, 0, 0, last])),
            ..refused(AuditKind::CredentialsRefused)
        };
        assert_ne!(at(1).throttle_key(), at(2).throttle_key());
        let caller = AuditCaller { issuer: "a", subject: "b", credentials: "token" };
        let by = |last| AuditEvent { caller: Some(caller), ..at(last) }.throttle_key();
        assert_eq!(by(1), by(2));
    }
}
