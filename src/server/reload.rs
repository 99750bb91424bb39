//! The settings that can change while the gateway runs, and the treatment of those that cannot.

use std::fmt;

use crate::config::{Change, Settings};

/// The outcome of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that changed and are in effect, dotted.
    pub applied: Vec<String>,
    /// Settings that changed and are not in effect.
    pub needs_restart: Vec<NeedsRestart>,
}

/// A setting that changed but keeps the value it had at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsRestart {
    /// The setting with its values, secrets redacted.
    pub change: Change,
    /// The reason why it needs a restart.
    pub reason: &'static str,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { key, from, to } = &self.change;
        write!(formatter, "{key} changed from {from} to {to}: needs a restart, as {}", self.reason)
    }
}

/// The way in which a setting follows a change.
#[derive(Clone, Copy, Debug)]
enum Class {
    /// Applied from the next request or connection on.
    Applied,
    /// Passed to the lifecycle, which uses it from its next action on.
    GivenToLifecycle,
    /// Not applied before a restart; with the reason, and a function that keeps the old value.
    NeedsRestart { reason: &'static str, keep: fn(&Settings, &mut Settings) },
}

use Class::{Applied, GivenToLifecycle, NeedsRestart as Fixed};

/// Every setting, or a section for all settings in it without their own entry.
const CLASSES: &[(&str, Class)] = &[
    (
        "server.listen",
        Fixed {
            reason: "the socket is bound once",
            keep: |old, new| new.server.listen.clone_from(&old.server.listen),
        },
    ),
    (
        "server.threads",
        Fixed {
            reason: "connections stay with their threads",
            keep: |old, new| new.server.threads = old.server.threads,
        },
    ),
    ("server.management", Applied),
    ("server.trusted_proxies", Applied),
    ("server.proxy_protocol", Applied),
    ("server.max_connections", Applied),
    ("server.max_connections_per_address", Applied),
    ("server.header_timeout_ms", Applied),
    ("server.body_timeout_ms", Applied),
    ("server.write_timeout_ms", Applied),
    ("server.min_response_bytes_per_second", Applied),
    ("server.request_timeout_ms", Applied),
    ("server.max_body_bytes", Applied),
    ("server.max_tensor_body_bytes", Applied),
    ("server.shutdown_delay_ms", Applied),
    ("server.drain_timeout_ms", Applied),
    ("server.public_url", Applied),
    // New handshakes use the new certificates.
    ("server.tls", Applied),
    ("grpc.tls", Applied),
    ("admin.tls", Applied),
    ("admin.audience", Applied),
    (
        "grpc.enabled",
        Fixed { reason: "the socket is bound once", keep: |old, new| new.grpc.enabled = old.grpc.enabled },
    ),
    (
        "grpc.listen",
        Fixed {
            reason: "the socket is bound once",
            keep: |old, new| new.grpc.listen.clone_from(&old.grpc.listen),
        },
    ),
    (
        "admin.listen",
        Fixed {
            reason: "the socket is bound once",
            keep: |old, new| new.admin.listen.clone_from(&old.admin.listen),
        },
    ),
    // Keys, clients and rules are always rebuilt, all of them at once.
    ("auth", Applied),
    ("cors", Applied),
    ("dialects", Applied),
    ("mcp", Applied),
    ("rate_limit", Applied),
    ("models.default", Applied),
    // Passed on by `Serving::apply_settings`.
    ("models", GivenToLifecycle),
    ("admission", GivenToLifecycle),
    ("rollback", GivenToLifecycle),
    ("runtime", GivenToLifecycle),
    (
        "models.state_directory",
        Fixed {
            reason: "the copies of the versions in service are there",
            keep: |old, new| new.models.state_directory.clone_from(&old.models.state_directory),
        },
    ),
    (
        "models.repository",
        Fixed {
            reason: "one folder is watched from the start",
            keep: |old, new| new.models.repository.clone_from(&old.models.repository),
        },
    ),
    (
        "models.store",
        Fixed {
            reason: "one store is polled from the start",
            keep: |old, new| new.models.store.clone_from(&old.models.store),
        },
    ),
    (
        "models.files",
        Fixed {
            reason: "these files are watched from the start",
            keep: |old, new| new.models.files.clone_from(&old.models.files),
        },
    ),
    (
        "runtime.library",
        Fixed {
            reason: "a library is loaded once",
            keep: |old, new| new.runtime.library.clone_from(&old.runtime.library),
        },
    ),
    ("console", Applied),
    (
        "metrics.enabled",
        Fixed {
            reason: "requests before the change are not counted",
            keep: |old, new| new.metrics.enabled = old.metrics.enabled,
        },
    ),
    ("telemetry", Applied),
    ("audit", Applied),
    ("log.level", Applied),
    ("log.access", Applied),
    (
        "log.format",
        Fixed {
            reason: "readers of the log expect one format",
            keep: |old, new| new.log.format = old.log.format,
        },
    ),
];

/// Returns the class of a setting: its own, or that of the innermost section that has one.
fn class_of(key: &str) -> Option<Class> {
    let mut path = Some(key);
    while let Some(section) = path {
        if let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == section) {
            return Some(*class);
        }
        path = section.rsplit_once('.').map(|(outer, _)| outer);
    }
    None
}

/// Returns the new settings, with the old values of those that need a restart.
pub(super) fn without_fixed(mut wanted: Settings, old: &Settings) -> Settings {
    for (_, class) in CLASSES {
        if let Fixed { keep, .. } = class {
            keep(old, &mut wanted);
        }
    }
    wanted
}

impl Reloaded {
    /// Adds sections whose files have changed, unless one of their settings is listed already.
    pub(super) fn with_sections(mut self, sections: &[&str]) -> Self {
        for section in sections {
            let is_listed = self.applied.iter().any(|key| key.starts_with(section));
            if !is_listed {
                self.applied.push((*section).to_owned());
            }
        }
        self
    }

    /// Classifies these changes.
    pub(super) fn of(changes: Vec<Change>) -> Self {
        let mut reloaded = Self::default();
        for change in changes {
            match class_of(&change.key) {
                Some(Applied | GivenToLifecycle) => reloaded.applied.push(change.key),
                Some(Fixed { reason, .. }) => {
                    reloaded.needs_restart.push(NeedsRestart { change, reason });
                }
                None => {
                    let reason = "it cannot be changed while the gateway runs";
                    reloaded.needs_restart.push(NeedsRestart { change, reason });
                }
            }
        }
        reloaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{changes, known_settings};

    #[test]
    fn every_setting_is_classified() {
        for key in known_settings() {
            assert!(class_of(&key).is_some(), "{key} has no class");
        }
        assert!(class_of("nothing.of.the.kind").is_none());
    }

    #[test]
    fn every_class_is_that_of_a_setting_or_a_section() {
        let known = known_settings();
        for (entry, _) in CLASSES {
            let inside = format!("{entry}.");
            assert!(known.iter().any(|key| key == entry || key.starts_with(&inside)), "{entry}");
        }
    }

    #[test]
    fn the_documentation_lists_what_needs_a_restart() {
        let page = include_str!("../../docs/configuration.md");
        let listed = page.split("<!-- restart -->\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let mut listed: Vec<&str> =
            listed.unwrap().split(',').map(|key| key.trim().trim_matches('`')).collect();
        let mut fixed: Vec<&str> =
            CLASSES.iter().filter(|(_, class)| matches!(class, Fixed { .. })).map(|(key, _)| *key).collect();
        listed.sort_unstable();
        fixed.sort_unstable();
        assert_eq!(listed, fixed);
    }

    #[test]
    fn what_needs_a_restart_is_kept_and_named_with_both_values() {
        let old = Settings::default();
        let mut new = old.clone();
        new.server.listen.set_port(9);
        new.admin.listen.set_port(10);
        new.grpc.enabled = false;
        new.grpc.listen.set_port(11);
        new.models.repository = "other".into();
        new.runtime.library = Some("other.so".into());
        new.log.format = crate::config::LogFormat::Json;
        new.server.max_body_bytes = 1;
        let reloaded = Reloaded::of(changes(&old, &new));
        assert_eq!(reloaded.applied, ["server.max_body_bytes"]);
        let said: Vec<String> = reloaded.needs_restart.iter().map(ToString::to_string).collect();
        for (said, expected) in said.iter().zip([
            "admin.listen changed from 127.0.0.1:8002 to 127.0.0.1:10: needs a restart",
            "grpc.enabled changed from true to false: needs a restart",
            "grpc.listen changed from 127.0.0.1:8001 to 127.0.0.1:11: needs a restart",
            "log.format changed from text to json: needs a restart",
            "models.repository changed from models to other: needs a restart",
            "runtime.library changed from unset to other.so: needs a restart",
            "server.listen changed from 127.0.0.1:8000 to 127.0.0.1:9: needs a restart",
        ]) {
            assert!(said.starts_with(expected), "{said}");
        }
        let in_effect = without_fixed(new, &old);
        let left: Vec<String> = changes(&old, &in_effect).into_iter().map(|change| change.key).collect();
        assert_eq!(left, reloaded.applied, "each that is named is kept, and no other");
    }
}
