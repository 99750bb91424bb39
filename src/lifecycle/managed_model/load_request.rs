//! Load requests: who asked, and the replies that are owed.

use super::ManagedModel;
use crate::{
    lifecycle::{OperationError, Reason, Refusal, operation::LoadReply, version_harness::Moment},
    model::ModelName,
};

/// A load request in progress.
pub(super) struct LoadRequest {
    by: String,
    pub(super) allow_breaking_changes: bool,
    replies: Vec<LoadReply>,
}

impl ManagedModel {
    /// Records a load request, and forgets what prevents the load. A request in progress is joined.
    pub(in crate::lifecycle) fn request_load(
        &mut self,
        by: &str,
        allow_breaking_changes: bool,
        reply: LoadReply,
        at: Moment,
    ) {
        self.forget_refusals(at);
        let request = self.load_request.get_or_insert_with(|| LoadRequest {
            by: by.to_owned(),
            allow_breaking_changes,
            replies: Vec::new(),
        });
        request.allow_breaking_changes |= allow_breaking_changes;
        request.replies.push(reply);
    }

    /// Returns the origin of the current action, for the history.
    pub(in crate::lifecycle) fn wanted_by(&self) -> String {
        self.load_request.as_ref().map_or_else(|| "repository".to_owned(), |request| request.by.clone())
    }

    /// Returns the outcome of the load request. `None` if there is none, or it is not decided yet.
    pub(in crate::lifecycle) fn load_outcome(
        &self,
        name: &ModelName,
        at: Moment,
    ) -> Option<Result<(), OperationError>> {
        self.load_request.as_ref()?;
        let invalid = |text: String| Err(OperationError::Refused(Refusal::new(Reason::InvalidConfig, text)));
        if self.aspired.is_empty() {
            return Some(Err(OperationError::ModelNotFound(name.clone())));
        }
        if let Some(problem) = &self.config_problem {
            return Some(invalid(problem.clone()));
        }
        if self.coming_config.is_some() || self.is_in_progress(at) {
            return None;
        }
        if let Some(missing) = self.wants_what_is_missing() {
            return Some(invalid(missing));
        }
        let newest = self.relevant(at).into_iter().next_back();
        let refusal = newest.and_then(|version| self.aspired.get(&version)?.refusal());
        Some(refusal.map_or(Ok(()), |refusal| Err(OperationError::Refused(refusal.clone()))))
    }

    /// Ends the load request. Returns the replies that are owed.
    pub(in crate::lifecycle) fn end_load_request(&mut self) -> Vec<LoadReply> {
        self.load_request.take().map(|request| request.replies).unwrap_or_default()
    }
}
