//! What several commands need first: settings, and authentication made of them.

use std::path::PathBuf;

use super::Failure;
use crate::{
    auth::Authentication,
    config::{Environment, Loaded, Problem, Problems, Reading, SourceFile, load, read},
    telemetry::logging,
};

/// What came of reading the settings.
pub(super) struct Attempt {
    /// Every file that was read or looked for.
    pub(super) files: Vec<SourceFile>,
    /// The settings and authentication made of them, or everything that is wrong with either.
    pub(super) prepared: Result<(Loaded, Authentication), Problems>,
}

impl Attempt {
    /// Reads the settings and makes sure that they are safe to serve with.
    pub(super) fn new(files: &[PathBuf], environment: &Environment) -> Self {
        let Reading { loaded, problems, files } = read(files, environment);
        Self { files, prepared: authenticated(loaded, problems) }
    }
}

fn authenticated(
    loaded: Option<Loaded>,
    mut problems: Vec<Problem>,
) -> Result<(Loaded, Authentication), Problems> {
    // What a file that cannot be read would have said about keys and clients is not known.
    let unread = problems.iter().any(|problem| problem.key.is_empty());
    let Some(loaded) = loaded.filter(|_| !unread) else { return Err(Problems(problems)) };
    let authentication = Authentication::new(&loaded.settings.auth, &|key| loaded.is_for_development(key));
    let level = logging::filter(&loaded.settings.log).err();
    let unsafe_settings = authentication.as_ref().err().cloned().unwrap_or_default();
    let found: Vec<Problem> = unsafe_settings.into_iter().chain(level).collect();
    problems.extend(loaded.with_origins(found).0);
    match authentication {
        Ok(authentication) if problems.is_empty() => Ok((loaded, authentication)),
        _ => Err(Problems(problems)),
    }
}

/// The settings and authentication made of them, or everything that is wrong with either.
pub(super) fn prepare(
    files: &[PathBuf],
    environment: &Environment,
) -> Result<(Loaded, Authentication), Failure> {
    Ok(Attempt::new(files, environment).prepared?)
}

/// The settings, or everything that is wrong with them.
pub(super) fn settings(files: &[PathBuf], environment: &Environment) -> Result<Loaded, Failure> {
    Ok(load(files, environment)?)
}
