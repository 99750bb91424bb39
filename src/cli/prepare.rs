//! What several commands need first: settings, and authentication made of them.

use std::path::PathBuf;

use super::Failure;
use crate::{
    auth::Authentication,
    config::{Environment, Loaded, Problem, Problems, load, load_all},
    telemetry::logging,
};

/// The settings and authentication made of them, or everything that is wrong with either.
pub(super) fn prepare(
    files: &[PathBuf],
    environment: &Environment,
) -> Result<(Loaded, Authentication), Failure> {
    let (loaded, mut problems) = load_all(files, environment);
    // What a file that cannot be read would have said about keys and clients is not known.
    let unread = problems.iter().any(|problem| problem.key.is_empty());
    let Some(loaded) = loaded.filter(|_| !unread) else { return Err(Problems(problems).into()) };
    let authentication = Authentication::new(&loaded.settings.auth, &|key| loaded.is_for_development(key));
    let level = logging::filter(&loaded.settings.log).err();
    let unsafe_settings = authentication.as_ref().err().cloned().unwrap_or_default();
    let found: Vec<Problem> = unsafe_settings.into_iter().chain(level).collect();
    problems.extend(loaded.with_origins(found).0);
    match authentication {
        Ok(authentication) if problems.is_empty() => Ok((loaded, authentication)),
        _ => Err(Problems(problems).into()),
    }
}

/// The settings, or everything that is wrong with them.
pub(super) fn settings(files: &[PathBuf], environment: &Environment) -> Result<Loaded, Failure> {
    Ok(load(files, environment)?)
}
