//! How the runs of a model are scheduled.

/// On whose threads a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleMode {
    /// On that of the request, together with whatever else is ready there.
    RequestThread,
    /// On threads of its own.
    OwnThreads,
}
