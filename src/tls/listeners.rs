//! TLS of all listeners, from the settings and their files.

use std::{sync::Arc, time::SystemTime};

use super::{
    files::warning_of_readers,
    sections::{Section, sections},
    server::{Identity, ServerTls},
};
use crate::config::{Settings, SettingsProblem};

/// HTTP/2 and HTTP/1.1, as ALPN names them (RFC 7301 section 6, RFC 9113 section 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Protocols of REST and of gRPC, the preferred one first.
const REST: &[&[u8]] = &[HTTP_2, HTTP_1_1];
const GRPC: &[&[u8]] = &[HTTP_2];

/// TLS of each listener; `None` where connections are not encrypted.
#[derive(Clone, Debug, Default)]
pub struct ListenerTls {
    /// The public listener.
    pub rest: Option<Arc<ServerTls>>,
    /// The gRPC listener.
    pub grpc: Option<Arc<ServerTls>>,
    /// The operators' listener.
    pub admin: Option<Arc<ServerTls>>,
}

/// TLS that was read from files.
#[derive(Debug, Default)]
pub struct LoadedTls {
    /// TLS of each listener.
    pub listeners: ListenerTls,
    /// Warnings for the operator, which do not prevent the start.
    pub warnings: Vec<String>,
}

impl LoadedTls {
    /// Reads the files that the settings name. Warns of certificates that are not valid at `now`, and of keys that other
    /// users may read.
    ///
    /// # Errors
    ///
    /// Every file or setting that cannot be used.
    pub fn new(settings: &Settings, now: SystemTime) -> Result<Self, Vec<SettingsProblem>> {
        let mut loading = Loading { now, warnings: Vec::new(), problems: Vec::new() };
        let [rest, grpc, admin] = sections(settings);
        let of_rest = loading.read(&rest);
        // Of the same settings, the files are read once.
        let has_own = grpc.settings != rest.settings;
        let of_grpc = if has_own { loading.read(&grpc) } else { None };
        let of_admin = loading.read(&admin);
        // A section that cannot be used is a problem: its listener never falls back to another, nor to plain text.
        let for_grpc = if has_own { &of_grpc } else { &of_rest };
        let listeners = ListenerTls {
            rest: loading.listener(rest.name, of_rest.as_ref(), REST),
            grpc: loading.listener(grpc.name, for_grpc.as_ref(), GRPC),
            admin: loading.listener(admin.name, of_admin.as_ref(), REST),
        };
        let Loading { warnings, problems, .. } = loading;
        if problems.is_empty() { Ok(Self { listeners, warnings }) } else { Err(problems) }
    }
}

struct Loading {
    now: SystemTime,
    warnings: Vec<String>,
    problems: Vec<SettingsProblem>,
}

impl Loading {
    /// Reads the files of a section; `None` if nothing of it has an effect, or if it has a problem.
    fn read(&mut self, section: &Section) -> Option<Identity> {
        if !section.settings.is_set() {
            return None;
        }
        match Identity::read(&section.settings) {
            Ok(identity) => {
                let validity = identity.warnings(self.now).into_iter();
                let validity = validity.map(|warning| section.problem(warning).to_string());
                let key_file = section.settings.private_key_file.as_deref();
                let found = validity.chain(key_file.and_then(warning_of_readers));
                add_new(&mut self.warnings, found);
                Some(identity)
            }
            Err(faults) => {
                add_new(&mut self.problems, faults.into_iter().map(|fault| section.problem(fault)));
                None
            }
        }
    }

    /// Returns the configuration of a listener; `None` without an identity, or if there is a problem.
    fn listener(
        &mut self,
        name: &str,
        identity: Option<&Identity>,
        protocols: &[&[u8]],
    ) -> Option<Arc<ServerTls>> {
        match identity?.listener(protocols) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(error) => {
                self.problems.push(SettingsProblem::at(name, format!("TLS cannot be set up: {error}")));
                None
            }
        }
    }
}

/// The difference between the TLS of two settings.
#[derive(Debug, Default)]
pub(crate) struct TlsChanges {
    /// Sections of which the settings or files have changed.
    pub(crate) sections: Vec<&'static str>,
    /// True if certificates that clients have shown on a listener identify no caller any more.
    pub(crate) ended_trust: bool,
}

/// Adds what is not in a list yet: two sections may have the same files.
fn add_new<T: PartialEq>(list: &mut Vec<T>, found: impl Iterator<Item = T>) {
    for new in found {
        if !list.contains(&new) {
            list.push(new);
        }
    }
}

impl ListenerTls {
    /// Keeps what did not change, so that its sessions can be resumed, and ends the trust in clients where it did.
    pub(crate) fn take_over(&mut self, old: &Self) -> TlsChanges {
        let pairs = [
            ("server.tls", &mut self.rest, &old.rest),
            ("grpc.tls", &mut self.grpc, &old.grpc),
            ("admin.tls", &mut self.admin, &old.admin),
        ];
        let mut changes = TlsChanges::default();
        for (section, new, old) in pairs {
            match (&*new, old) {
                (Some(one), Some(other)) if one.is_same(other) => new.clone_from(old),
                (None, None) => {}
                _ => {
                    changes.sections.push(section);
                    changes.ended_trust |= !keeps_trust(new.as_mut(), old.as_deref());
                }
            }
        }
        changes
    }

    /// Returns the name of each listener with its TLS.
    pub(crate) fn by_name(&self) -> [(&'static str, Option<&ServerTls>); 3] {
        [("rest", self.rest.as_deref()), ("grpc", self.grpc.as_deref()), ("admin", self.admin.as_deref())]
    }
}

/// Keeps the trust in clients if it is the same as before, and ends it otherwise. Returns false if it ended.
fn keeps_trust(new: Option<&mut Arc<ServerTls>>, old: Option<&ServerTls>) -> bool {
    let Some(trust) = old.and_then(|old| old.trust.as_ref()) else { return true };
    // It has just been read, so nothing shares it yet.
    if let Some(new) = new.and_then(Arc::get_mut)
        && new.trust.as_ref().is_some_and(|other| other.is_same(trust))
    {
        new.trust = Some(Arc::clone(trust));
        return true;
    }
    trust.end();
    false
}
