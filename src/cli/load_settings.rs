//! Preparation shared by several commands: settings, and the authentication built from them.

use std::{path::PathBuf, time::SystemTime};

use super::{Failure, named_models::NamedModels};
use crate::{
    auth::Authentication,
    config::{Environment, Loaded, Problems, Reading, SettingsProblem, SourceFile, load, read},
    telemetry::logging,
    tls::{ListenerTls, LoadedTls, incomplete_tls},
};

/// The outcome of reading the settings.
pub(super) struct Attempt {
    /// Every file that was read or looked for.
    pub(super) files: Vec<SourceFile>,
    /// Everything to serve with, or every problem with it.
    pub(super) prepared: Result<Prepared, Problems>,
}

/// The settings, with what was built from them.
pub(super) struct Prepared {
    pub(super) loaded: Loaded,
    pub(super) authentication: Authentication,
    pub(super) tls: ListenerTls,
}

impl Attempt {
    /// Reads the settings and checks that they are safe to serve with.
    pub(super) fn new(files: &[PathBuf], environment: &Environment) -> Self {
        Self::of_named(files, environment, None)
    }

    /// Reads the settings as [`Attempt::new`] does, for models that the command line names.
    pub(super) fn of_named(
        files: &[PathBuf],
        environment: &Environment,
        named: Option<&NamedModels>,
    ) -> Self {
        let Reading { loaded, mut problems, files: found } = read(files, environment);
        let tls = loaded.as_ref().map(|loaded| {
            LoadedTls::new(&loaded.settings, SystemTime::now()).map_err(|found| loaded.with_origins(found))
        });
        let tls = match tls.transpose() {
            Ok(tls) => tls,
            Err(Problems(found)) => {
                problems.extend(found);
                None
            }
        };
        let has_keys = loaded.as_ref().is_none_or(|loaded| loaded.settings.auth.has_keys());
        let prepared = authenticated(loaded, problems, named);
        let prepared = prepared.map_err(|problems| with_hint(problems, has_keys, files, environment));
        let prepared = prepared.map(|(mut loaded, authentication)| {
            let LoadedTls { listeners: tls, warnings } = tls.unwrap_or_default();
            loaded.warnings.extend(warnings);
            loaded.warnings.extend(authentication.warnings(SystemTime::now()));
            Prepared { loaded, authentication, tls }
        });
        Self { files: found, prepared }
    }
}

/// Adds to the problem of a missing key a settings file that may have one.
fn with_hint(
    Problems(mut problems): Problems,
    has_keys: bool,
    files: &[PathBuf],
    environment: &Environment,
) -> Problems {
    let without_key = problems.iter_mut().filter(|problem| !has_keys && problem.key == KEY_SETTING);
    if let Some(hint) = unread_file(files, environment) {
        without_key.for_each(|problem| problem.message.push_str(&hint));
    }
    Problems(problems)
}

/// The setting that a problem names if there is no key.
const KEY_SETTING: &str = "auth.signing_secret";

/// Files that a key is likely to be in: that of `init`, and that of a source tree.
const LIKELY_FILES: [&str; 2] = ["gateway.toml", "config/development.toml"];

/// Returns a hint at a settings file in the working directory that was not read. `None` if there is none.
fn unread_file(files: &[PathBuf], environment: &Environment) -> Option<String> {
    let folder = &environment.working_directory;
    let is_read = |name: &str| {
        let place = folder.join(name).canonicalize().ok();
        files.iter().any(|file| folder.join(file).canonicalize().ok() == place)
    };
    let is_unread = |name: &&str| folder.join(name).is_file() && !is_read(name);
    let name = LIKELY_FILES.into_iter().find(is_unread)?;
    Some(format!("; {name} is here and was not read: add --config {name}"))
}

fn authenticated(
    loaded: Option<Loaded>,
    mut problems: Vec<SettingsProblem>,
    named: Option<&NamedModels>,
) -> Result<(Loaded, Authentication), Problems> {
    // An unreadable file could have defined keys and clients, so authentication is not checked without it.
    let unread = problems.iter().any(|problem| problem.key.is_empty());
    let Some(mut loaded) = loaded.filter(|_| !unread) else { return Err(Problems(problems)) };
    let exposed = named.map(|named| named.apply(&mut loaded)).unwrap_or_default();
    let authentication = Authentication::new(&loaded.settings.auth, &|key| loaded.is_for_development(key));
    let level = logging::filter(&loaded.settings.log).err();
    let unsafe_settings = authentication.as_ref().err().cloned().unwrap_or_default();
    let found: Vec<SettingsProblem> = unsafe_settings.into_iter().chain(level).chain(exposed).collect();
    problems.extend(loaded.with_origins(found).0);
    match authentication {
        Ok(authentication) if problems.is_empty() => Ok((loaded, authentication)),
        _ => Err(Problems(problems)),
    }
}

/// Returns the settings and their authentication, or every problem with either. Certificates are not read: only a server
/// has to be able to.
pub(super) fn prepare(
    files: &[PathBuf],
    environment: &Environment,
) -> Result<(Loaded, Authentication), Failure> {
    let Reading { loaded, mut problems, .. } = read(files, environment);
    problems.extend(loaded.as_ref().map(incomplete).unwrap_or_default());
    let has_keys = loaded.as_ref().is_none_or(|loaded| loaded.settings.auth.has_keys());
    Ok(authenticated(loaded, problems, None)
        .map_err(|problems| with_hint(problems, has_keys, files, environment))?)
}

/// Returns the settings, or every problem with them.
pub(super) fn settings(files: &[PathBuf], environment: &Environment) -> Result<Loaded, Failure> {
    let loaded = load(files, environment)?;
    let problems = incomplete(&loaded);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems).into()) }
}

/// Returns the problems of sections of TLS of which a part is missing.
fn incomplete(loaded: &Loaded) -> Vec<SettingsProblem> {
    loaded.with_origins(incomplete_tls(&loaded.settings)).0
}
