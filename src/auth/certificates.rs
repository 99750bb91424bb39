//! Callers that are identified by the certificate of their connection.

use std::{cmp::Reverse, sync::Arc, time::SystemTime};

use super::{Caller, PlanName, Scopes};
use crate::{
    config::{AuthSettings, CertificateSettings, SettingsProblem},
    tls::{AlternativeName, ClientCertificate, canonical_subject},
};

/// The issuer of these callers, which no token has: it keeps their quotas apart from those of tokens.
pub(super) const ISSUER: &str = "urn:onnx-gateway:client-certificate";

/// Longest name of a caller, in bytes: that of a token's `sub`.
const MAX_NAME_BYTES: usize = 256;

/// The callers, those with more names first.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    subject: Option<String>,
    san: Option<AlternativeName>,
    caller: Caller,
}

impl Entry {
    fn is_of(&self, certificate: &ClientCertificate) -> bool {
        let has_subject = self.subject.as_ref().is_none_or(|subject| *subject == certificate.subject);
        has_subject && self.san.as_ref().is_none_or(|san| certificate.names.contains(san))
    }
}

impl Certificates {
    /// Reads the callers of the settings.
    pub(super) fn read(settings: &AuthSettings, problems: &mut Vec<SettingsProblem>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, certificate) in &settings.certificates {
            let mut add = |setting: &str, message: String| {
                problems.push(SettingsProblem::at(format!("auth.certificates.{name}{setting}"), message));
            };
            let Some(entry) = read_one(name, certificate, &mut add) else { continue };
            if entries.iter().any(|other| (&other.subject, &other.san) == (&entry.subject, &entry.san)) {
                add("", "has the names of another entry".to_owned());
            }
            entries.push(entry);
        }
        // A stable sort: with as many names, the order is that of the callers' names.
        entries.sort_by_key(|entry| {
            Reverse((entry.subject.is_some() && entry.san.is_some(), entry.san.is_some()))
        });
        Self(entries)
    }

    /// Returns true if no caller is identified by a certificate.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the caller that a certificate identifies. `None` if it identifies none, or has expired since its handshake.
    pub(super) fn caller(&self, certificate: &ClientCertificate, now: SystemTime) -> Option<Arc<Caller>> {
        if now > certificate.not_after {
            return None;
        }
        let entry = self.0.iter().find(|entry| entry.is_of(certificate))?;
        let mut caller = entry.caller.clone();
        caller.valid_until = Some(certificate.not_after);
        Some(Arc::new(caller))
    }
}

/// Reads one caller; `None` if it cannot be used. `add` gets the setting below the entry, and the problem.
fn read_one(
    name: &str,
    certificate: &CertificateSettings,
    add: &mut impl FnMut(&str, String),
) -> Option<Entry> {
    let CertificateSettings { subject, san, scopes, plan } = certificate;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        add("", format!("is not a name of a caller: 1 to {MAX_NAME_BYTES} bytes that can be printed"));
    }
    if scopes.is_empty() {
        add(".scopes", "is empty: give the caller at least one scope".to_owned());
    }
    let scopes = Scopes::parse(scopes.iter().map(String::as_str));
    let scopes = scopes.map_err(|error| add(".scopes", error.to_string())).ok();
    // Without a name the entry would be of every certificate.
    if subject.is_none() && san.is_none() {
        add("", "has neither subject nor san: set at least one".to_owned());
        return None;
    }
    let subject = subject.as_deref().map(canonical_subject).transpose();
    let subject = subject.map_err(|error| add(".subject", error)).ok()?;
    let san = san.as_deref().map(AlternativeName::read).transpose();
    let san = san.map_err(|error| add(".san", error)).ok()?;
    let caller = Caller::new(ISSUER.to_owned(), name.to_owned(), scopes?, None)
        .with_plan(plan.as_deref().map(PlanName::from));
    Some(Entry { subject, san, caller })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(entries: &[(&str, Option<&str>, Option<&str>)]) -> AuthSettings {
        let mut settings = AuthSettings::default();
        for (name, subject, san) in entries {
            let (subject, san) = (subject.map(str::to_owned), san.map(str::to_owned));
            let entry = CertificateSettings { subject, san, scopes: vec!["predict".to_owned()], plan: None };
            settings.certificates.insert((*name).to_owned(), entry);
        }
        settings
    }

    fn read(entries: &[(&str, Option<&str>, Option<&str>)]) -> (Certificates, Vec<String>) {
        let mut problems = Vec::new();
        let certificates = Certificates::read(&settings(entries), &mut problems);
        (certificates, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_certificate_is_of_the_entry_with_most_of_its_names() {
        let entries = [
            ("by-subject", Some("CN=shop"), None),
            ("by-san", None, Some("shop.example")),
            ("by-both", Some("CN=shop"), Some("dns:shop.example")),
        ];
        let (certificates, problems) = read(&entries);
        assert_eq!(problems, [""; 0]);
        let now = SystemTime::UNIX_EPOCH;
        let of = |subject: &str, name: &str, end: Duration| {
            let names = [name, "dns:other"].map(|name| AlternativeName::read(name).unwrap()).to_vec();
            let certificate = ClientCertificate { subject: subject.to_owned(), names, not_after: now + end };
            certificates
                .caller(&certificate, now + Duration::from_secs(5))
                .map(|caller| caller.subject.clone())
        };
        let long = Duration::from_mins(1);
        assert_eq!(of("CN=shop", "shop.example", long).as_deref(), Some("by-both"));
        assert_eq!(of("CN=another", "shop.example", long).as_deref(), Some("by-san"));
        assert_eq!(of("CN=shop", "another.example", long).as_deref(), Some("by-subject"));
        assert_eq!(of("CN=another", "SHOP.example", long).as_deref(), Some("by-san"));
        assert_eq!(of("CN=another", "uri:shop.example", long), None, "a name of another kind");
        assert_eq!(of("CN=shop,O=Example", "dns:a.shop.example", long), None);
        assert_eq!(of("CN=shop", "shop.example", Duration::from_secs(4)), None, "it has expired");
    }

    #[test]
    fn an_entry_that_names_no_certificate_is_a_problem() {
        let (_, problems) = read(&[
            ("a", None, None),
            ("b", Some("shop"), None),
            ("c", None, Some("x")),
            ("d", None, Some("dns:x")),
            ("e", None, Some("urn:example:x")),
        ]);
        let parts = [
            "auth.certificates.a: has neither",
            "auth.certificates.b.subject: ",
            "auth.certificates.d: has the names",
            "auth.certificates.e.san: `urn:example:x` is not an alternative name",
        ];
        assert_eq!(problems.len(), parts.len(), "{problems:?}");
        for (problem, part) in problems.iter().zip(parts) {
            assert!(problem.starts_with(part), "{problem}");
        }
    }
}
