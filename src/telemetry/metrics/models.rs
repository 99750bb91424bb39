//! Series of the models in service, written straight into the text: there may be thousands.

use crate::model::Schedule;

/// A version of a model in service, as metrics describe it.
#[derive(Clone, Copy, Debug)]
pub struct ModelInService<'m> {
    /// The model's name.
    pub model: &'m str,
    /// The version's number.
    pub version: &'m str,
    /// The short digest of the version's files.
    pub digest: &'m str,
    /// The schedule of its runs.
    pub schedule: &'m Schedule,
    /// Requests that wait for a run; `None` before the first request.
    pub waiting: Option<usize>,
}

/// Writes the series, with labels in alphabetical order, as the library writes all others.
pub(super) fn write<'m>(models: impl Iterator<Item = ModelInService<'m>> + Clone, text: &mut String) {
    head(text, "gateway_model_info", "Versions in service; the value is always 1.");
    for ModelInService { model, version, digest, .. } in models.clone() {
        let labels = [("{digest=\"", digest), ("\",model=\"", model), ("\",version=\"", version)];
        series(text, "gateway_model_info", &labels, 1);
    }
    head(text, "gateway_model_schedule_info", "Schedules of versions in service; the value is always 1.");
    let (mut instances, mut threads) = (itoa::Buffer::new(), itoa::Buffer::new());
    for ModelInService { model, version, schedule, .. } in models.clone() {
        let labels = [
            ("{batching=\"", if schedule.batching { "true" } else { "false" }),
            ("\",instances=\"", instances.format(schedule.instances)),
            ("\",mode=\"", schedule.mode.name()),
            ("\",model=\"", model),
            ("\",threads=\"", threads.format(schedule.threads)),
            ("\",version=\"", version),
        ];
        series(text, "gateway_model_schedule_info", &labels, 1);
    }
    let name = "gateway_model_requests_waiting";
    head(text, name, "Requests waiting for a run of the model.");
    for ModelInService { model, version, waiting, .. } in models {
        if let Some(waiting) = waiting {
            series(text, name, &[("{model=\"", model), ("\",version=\"", version)], waiting);
        }
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " gauge\n"] {
        text.push_str(part);
    }
}

/// Writes one line. Each label follows the text that leads to it; no value contains a character that needs escaping.
fn series(text: &mut String, name: &str, labels: &[(&str, &str)], value: usize) {
    text.push_str(name);
    for (before, label) in labels {
        text.push_str(before);
        text.push_str(label);
    }
    text.push_str("\"} ");
    text.push_str(itoa::Buffer::new().format(value));
    text.push('\n');
}
