//! Repository index, load and unload (extension `model_repository`), shared by REST and gRPC.

use crate::{
    auth::{Action, Caller, MayManage},
    edge::{ApiError, EdgeState, Permit},
    model::ModelName,
    serving::{Notice, VersionState as State, VersionStatus},
};

/// An entry of the index: a version, or a file without effect.
pub(in crate::protocols::open_inference) struct Indexed {
    pub(in crate::protocols::open_inference) name: String,
    /// The version as text; empty if a misplaced file has none.
    pub(in crate::protocols::open_inference) version: String,
    pub(in crate::protocols::open_inference) state: State,
    pub(in crate::protocols::open_inference) reason: String,
}

/// Lists every version that the caller may manage, and files without effect; if `ready`, only versions in service.
pub(in crate::protocols::open_inference) fn index(
    state: &EdgeState,
    caller: &Caller,
    ready: bool,
) -> Result<Vec<Indexed>, ApiError> {
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

/// Adds a notice about a file without effect to its version, or as a separate entry.
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

/// Loads a model from the repository again, even if it was refused, rolled back or unloaded before. Parameters may only
/// be true or false; a parameter with another value is `None`.
pub(in crate::protocols::open_inference) async fn load<'p>(
    state: &EdgeState,
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

/// Unloads a model until it is loaded again. Parameters are as in [`load`].
pub(in crate::protocols::open_inference) async fn unload<'p>(
    state: &EdgeState,
    permit: &Permit<MayManage>,
    caller: &Caller,
    mut parameters: impl Iterator<Item = (&'p str, Option<bool>)>,
) -> Result<(), ApiError> {
    if parameters.any(|(name, value)| name != "unload_dependents" || value.is_none()) {
        return Err(ApiError::UnknownParameter { known: "`unload_dependents` (true or false)" });
    }
    Ok(state.serving.unload(&permit.model, &caller.for_history()).await?)
}
