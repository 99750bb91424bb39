//! What lies in the repository, and what changes what serves of it (extension `model_repository`), whichever transport
//! asks.

use super::{
    error::ApiError,
    permit::{MayManage, Permit},
    state::TransportState,
};
use crate::{
    auth::{Action, Caller},
    serving::VersionStatus,
};

/// Every version that the caller may manage, or only those in service.
pub(crate) fn index(
    state: &TransportState,
    caller: &Caller,
    ready: bool,
) -> Result<Vec<VersionStatus>, ApiError> {
    Permit::<MayManage>::check_any(caller)?;
    let status = state.serving.status();
    let shown = status
        .iter()
        .filter(|status| caller.may(Action::Manage, Some(&status.model)))
        .filter(|status| !ready || status.digest.is_some());
    Ok(shown.cloned().collect())
}

/// Tries what lies in the repository of a model, whatever was refused, taken back or unloaded before. Of parameters, only
/// true and false are values; others are nothing.
pub(crate) async fn load<'p>(
    state: &TransportState,
    permit: &Permit<MayManage>,
    caller: &Caller,
    parameters: impl Iterator<Item = (&'p str, Option<bool>)>,
) -> Result<(), ApiError> {
    let mut allow_breaking_changes = false;
    for parameter in parameters {
        match parameter {
            ("allow_breaking_changes", Some(allow)) => allow_breaking_changes = allow,
            _ => {
                return Err(ApiError::UnknownParameter { known: "`allow_breaking_changes` (true or false)" });
            }
        }
    }
    Ok(state.serving.load(&permit.model, allow_breaking_changes, &caller.for_history()).await?)
}

/// Takes a model out of service until it is loaded again. Parameters are as those of [`load`].
pub(crate) async fn unload<'p>(
    state: &TransportState,
    permit: &Permit<MayManage>,
    caller: &Caller,
    mut parameters: impl Iterator<Item = (&'p str, Option<bool>)>,
) -> Result<(), ApiError> {
    if parameters.any(|(name, value)| name != "unload_dependents" || value.is_none()) {
        return Err(ApiError::UnknownParameter { known: "`unload_dependents` (true or false)" });
    }
    Ok(state.serving.unload(&permit.model, &caller.for_history()).await?)
}
