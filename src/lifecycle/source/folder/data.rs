//! Data files that hold a model's weights: missing, too short, or present under another name.

use std::path::Path;

use super::{
    MODEL_FILE,
    entries::{Entry, visible_entries},
};
use crate::lifecycle::{Defect, Reason, Refusal, confined_file};

/// Usual endings of data files.
const DATA_ENDINGS: [&str; 4] = [".data", "_data", ".bin", ".weights"];

/// Most files that a message lists.
const MAX_LISTED: usize = 3;

/// Returns the defect of the data file `name`. `all` are the data files that the model names, `bytes` the length that
/// it reads of this one.
pub(super) fn defect(model: &Path, name: &str, all: &[String], bytes: Option<&u64>) -> Option<Defect> {
    let shown = name.escape_debug();
    let Some(path) = confined_file::relative(model, name) else {
        let detail = format!("it names `{shown}`, which leads out of its folder");
        return Some(Defect::Unusable(Refusal::new(Reason::OutsideFolder, detail)));
    };
    let Ok(metadata) = path.metadata() else {
        let found = under_other_names(model, &path, all);
        let hint = if found.is_empty() {
            String::new()
        } else {
            let found = found.join(", ");
            format!("; {found} lies beside it: a data file keeps the name that it was exported with")
        };
        return Some(Defect::Incomplete(format!("its file `{shown}` is missing{hint}")));
    };
    let (found, needed) = (metadata.len(), *bytes?);
    let is_short = metadata.is_file() && found < needed;
    is_short.then(|| {
        let detail =
            format!("its file `{shown}` is too short: it has {found} bytes, and the model reads {needed}");
        Defect::Incomplete(detail)
    })
}

/// Finds data files beside the missing one that the model does not name.
fn under_other_names(model: &Path, missing: &Path, all: &[String]) -> Vec<String> {
    let named =
        |path: &Path| all.iter().any(|name| confined_file::relative(model, name).as_deref() == Some(path));
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    // Data files of other models lie beside a flat file.
    let is_alone = model.file_name().is_some_and(|name| name == MODEL_FILE);
    let mut found: Vec<String> = missing
        .parent()
        .and_then(|folder| visible_entries(folder).ok())
        .unwrap_or_default()
        .into_iter()
        .filter(|Entry { name, path, .. }| {
            is_data(name) && !named(path) && (is_alone || name.starts_with(&*stem)) && path.is_file()
        })
        .map(|Entry { name, .. }| format!("`{name}`"))
        .collect();
    found.sort();
    found.truncate(MAX_LISTED);
    found
}

/// Returns true if a file of this name holds weights rather than a model.
pub(super) fn is_data(name: &str) -> bool {
    DATA_ENDINGS.iter().any(|ending| name.ends_with(ending))
}
