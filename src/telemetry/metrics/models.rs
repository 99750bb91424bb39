//! Series of the models that serve, written straight into the text: there may be thousands.

use std::fmt::Write as _;

use crate::model::{Schedule, ScheduleMode};

/// A version of a model that serves, as metrics tell of it.
#[derive(Clone, Copy, Debug)]
pub struct ModelInService<'m> {
    /// Its name.
    pub model: &'m str,
    /// Its version.
    pub version: &'m str,
    /// The short digest of its files.
    pub digest: &'m str,
    /// How its runs are scheduled.
    pub schedule: &'m Schedule,
    /// How many requests wait for a run; `None` if it was never asked.
    pub waiting: Option<usize>,
}

/// The names that labels stand in alphabetical order of, as the library writes those of the other series.
pub(super) fn write<'m>(models: impl Iterator<Item = ModelInService<'m>> + Clone, text: &mut String) {
    head(text, "gateway_model_info", "Versions of models that serve; the value is always 1.");
    for ModelInService { model, version, digest, .. } in models.clone() {
        // Writing into memory does not fail.
        let _ = writeln!(
            text,
            r#"gateway_model_info{{digest="{digest}",model="{model}",version="{version}"}} 1"#
        );
    }
    head(
        text,
        "gateway_model_schedule_info",
        "How the runs of versions that serve are scheduled; the value is always 1.",
    );
    for ModelInService { model, version, schedule, .. } in models.clone() {
        let Schedule { mode, batching, instances, threads, .. } = schedule;
        let mode = ScheduleMode::name(*mode);
        let _ = writeln!(
            text,
            r#"gateway_model_schedule_info{{batching="{batching}",instances="{instances}",mode="{mode}",model="{model}",threads="{threads}",version="{version}"}} 1"#
        );
    }
    let waiting = models.filter_map(|one| Some((one.model, one.version, one.waiting?)));
    head(
        text,
        "gateway_model_requests_waiting",
        "Requests that wait for a run of the model, once it was asked.",
    );
    for (model, version, waiting) in waiting {
        let _ = writeln!(
            text,
            r#"gateway_model_requests_waiting{{model="{model}",version="{version}"}} {waiting}"#
        );
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}
