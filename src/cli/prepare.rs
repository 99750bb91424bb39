//! What several commands need first: settings, and authentication made of them.

use std::path::PathBuf;

use super::Failure;
use crate::{
    auth::Authentication,
    config::{Environment, Loaded, load},
};

/// The settings, or everything that is wrong with them.
pub(super) fn settings(files: &[PathBuf], environment: &Environment) -> Result<Loaded, Failure> {
    Ok(load(files, environment)?)
}

/// Authentication as the settings want it, or everything that is wrong with it.
pub(super) fn authentication(loaded: &Loaded) -> Result<Authentication, Failure> {
    let authentication = Authentication::new(&loaded.settings.auth, loaded.development);
    Ok(authentication.map_err(|problems| loaded.with_origins(problems))?)
}
