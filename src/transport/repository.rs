//! What lies in the repository, and what changes what serves of it (extension `model_repository`), whichever transport
//! asks.

use super::{
    error::ApiError,
    permit::{MayManage, Permit},
    state::TransportState,
};
use crate::{
    auth::{Action, Caller},
    model::ModelName,
    serving::{Notice, VersionState as State, VersionStatus},
};

/// A version as the index lists it, or what stands in place of one and has no effect.
pub(crate) struct Indexed {
    pub(crate) name: String,
    /// As it is written; empty where no version can be told.
    pub(crate) version: String,
    pub(crate) state: State,
    pub(crate) reason: String,
}

/// Every version that the caller may manage, with what has no effect, or only those in service.
pub(crate) fn index(state: &TransportState, caller: &Caller, ready: bool) -> Result<Vec<Indexed>, ApiError> {
    Permit::<MayManage>::check_any(caller)?;
    let status = state.serving.status();
    let mut shown: Vec<Indexed> = status
        .iter()
        .filter(|status| caller.may(Action::Manage, Some(&status.model)))
        .filter(|status| !ready || status.digest.is_some())
        .map(Indexed::of_version)
        .collect();
    if !ready {
        for notice in state.serving.notices().iter() {
            let model = notice.model.as_ref().filter(|model| caller.may(Action::Manage, Some(model)));
            if let Some(model) = model {
                note(&mut shown, model, notice);
            }
        }
        shown.sort_by(|left, right| left.name.cmp(&right.name));
    }
    Ok(shown)
}

/// Adds what has no effect to the version that it is about, or as one that is not there.
fn note(index: &mut Vec<Indexed>, model: &ModelName, notice: &Notice) {
    let is_meant = |known: &&mut Indexed| known.name == model.as_str() && known.version == notice.version;
    let reason = notice.reason();
    match index.iter_mut().find(is_meant) {
        Some(known) if known.reason.is_empty() => known.reason = reason,
        Some(known) if known.reason.contains(&reason) => {}
        Some(known) => known.reason = format!("{}; {reason}", known.reason),
        None => index.push(Indexed {
            name: model.to_string(),
            version: notice.version.clone(),
            state: State::Unavailable,
            reason,
        }),
    }
}

impl Indexed {
    fn of_version(status: &VersionStatus) -> Self {
        Self {
            name: status.model.to_string(),
            version: status.version.to_string(),
            state: status.state,
            reason: status.reason().unwrap_or_default(),
        }
    }
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
