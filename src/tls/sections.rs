//! The sections of TLS in the settings, each with what it takes from another.

use super::server::missing;
use crate::config::{Settings, SettingsProblem, TlsSettings};

/// The TLS settings of a listener, with the sections that they come from.
pub(super) struct Section {
    /// The listener's own section.
    pub(super) name: &'static str,
    /// The settings in effect.
    pub(super) settings: TlsSettings,
    certificate_of: &'static str,
    clients_of: &'static str,
}

impl Section {
    fn own(name: &'static str, settings: &TlsSettings) -> Self {
        Self { name, settings: settings.clone(), certificate_of: name, clients_of: name }
    }

    /// Returns the section of gRPC: what it does not set is as in that of REST.
    fn of_grpc(settings: &Settings) -> Self {
        let (own, rest) = (&settings.grpc.tls, &settings.server.tls);
        let (name, other) = ("grpc.tls", "server.tls");
        Self {
            name,
            settings: settings.grpc_tls(),
            certificate_of: if own.is_on() || !rest.is_on() { name } else { other },
            clients_of: if own.has_clients() || !rest.has_clients() { name } else { other },
        }
    }

    /// Returns the problem of a setting, named as it is in the settings.
    pub(super) fn problem(&self, (setting, message): (&str, String)) -> SettingsProblem {
        let section = match setting {
            "client_ca_file" | "client_certificates" => self.clients_of,
            _ => self.certificate_of,
        };
        SettingsProblem::at(format!("{section}.{setting}"), message)
    }
}

/// Returns the sections of REST, gRPC and operators.
pub(super) fn sections(settings: &Settings) -> [Section; 3] {
    [
        Section::own("server.tls", &settings.server.tls),
        Section::of_grpc(settings),
        Section::own("admin.tls", &settings.admin.tls),
    ]
}

/// Returns a problem for each setting without which another has no effect, as a certificate without its key. Reads no
/// file.
#[must_use]
pub fn incomplete_tls(settings: &Settings) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    for section in sections(settings).iter().filter(|section| section.settings.is_set()) {
        for fault in missing(&section.settings) {
            let problem = section.problem(fault);
            // gRPC may have taken it from REST.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}
