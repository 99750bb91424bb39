//! Repositories that are one folder too high or too low: the folder that was probably meant.

use std::path::Path;

use super::{
    MODEL_FILE,
    entries::{Entry, visible_entries},
};
use crate::model::{ModelName, ModelVersion};

/// Depth of the search for a folder of models.
const MAX_DEPTH: usize = 2;

/// Most folders that the search reads: it runs with each scan as long as there is no model.
const MAX_FOLDERS: usize = 100;

/// Most models that a sentence lists.
const MAX_LISTED: usize = 3;

/// A folder without models, and the one to give in its place.
pub(super) struct OtherRoot {
    /// The sentence that names it.
    pub(super) advice: String,
    /// True if no other reading of the files is likely.
    pub(super) is_certain: bool,
}

/// Finds the folder that was probably meant in place of one without models. `None` if there is no sign of another.
pub(super) fn find(repository: &Path, root: &Path, entries: &[Entry]) -> Option<OtherRoot> {
    of_one_model(repository, root, entries)
        .or_else(|| versions_below(repository))
        .or_else(|| files_below(entries))
}

/// Recognizes the folder of one model by its numbered versions.
fn of_one_model(repository: &Path, root: &Path, entries: &[Entry]) -> Option<OtherRoot> {
    let version = entries.iter().find(|entry| is_version(entry))?;
    let above = root.parent().filter(|above| above.file_name().is_some());
    let name = root.file_name().and_then(|name| name.to_str()?.parse::<ModelName>().ok());
    let give = if let (Some(above), Some(name)) = (above, name) {
        format!("{} as the repository, for the model `{name}`", above.display())
    } else {
        let shown = repository.display();
        format!("the folder above it as the repository; in a container, mount that one as {shown}")
    };
    let version = &version.name;
    let advice =
        format!("is the folder of one model, with its versions ({version}/{MODEL_FILE}): give {give}");
    Some(OtherRoot { advice, is_certain: true })
}

/// Searches for a folder of models with versions, some levels down.
fn versions_below(repository: &Path) -> Option<OtherRoot> {
    let mut left = MAX_FOLDERS;
    let mut level = folders(repository);
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for Entry { path, .. } in level {
            left = left.checked_sub(1)?;
            let inside = folders(&path);
            let mut models: Vec<&str> = Vec::new();
            for entry in inside.iter().filter(|entry| is_name(&entry.name)) {
                left = left.checked_sub(1)?;
                if holds_versions(&entry.path) {
                    models.push(&entry.name);
                }
            }
            if !models.is_empty() {
                return Some(OtherRoot { advice: advice(&path, &models), is_certain: true });
            }
            next.extend(inside);
        }
        level = next;
    }
    None
}

/// Recognizes the only folder with flat files. One that is named like its folder is rather a version in a wrong place.
fn files_below(entries: &[Entry]) -> Option<OtherRoot> {
    let mut found = entries.iter().filter(|entry| entry.is_folder).take(MAX_FOLDERS).filter_map(|folder| {
        let inside = visible_entries(&folder.path).unwrap_or_default();
        let file =
            |entry: &Entry| entry.name.strip_suffix(".onnx").filter(|_| !entry.is_folder).map(str::to_owned);
        let mut names: Vec<String> = inside.iter().filter_map(file).filter(|name| is_name(name)).collect();
        names.sort_unstable();
        (!names.is_empty()).then_some((folder, names))
    });
    let (folder, names) = found.next().filter(|_| found.next().is_none())?;
    let is_of_folder = |name: &String| *name == folder.name || format!("{name}.onnx") == MODEL_FILE;
    let names: Vec<&str> = names.iter().filter(|name| !is_of_folder(name)).map(String::as_str).collect();
    (!names.is_empty()).then(|| OtherRoot { advice: advice(&folder.path, &names), is_certain: false })
}

fn advice(folder: &Path, models: &[&str]) -> String {
    let listed = models.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
    let more = if models.len() > MAX_LISTED { ", …" } else { "" };
    let folder = folder.display();
    format!("holds no model, but {folder} does ({listed}{more}): give that folder as the repository")
}

fn is_name(name: &str) -> bool {
    name.parse::<ModelName>().is_ok()
}

/// Lists the folders in a folder, sorted.
fn folders(folder: &Path) -> Vec<Entry> {
    let mut folders: Vec<Entry> = visible_entries(folder).unwrap_or_default();
    folders.retain(|entry| entry.is_folder);
    folders.sort_by(|one, other| one.name.cmp(&other.name));
    folders
}

/// Returns true if a folder holds versions of a model.
pub(super) fn holds_versions(folder: &Path) -> bool {
    folders(folder).iter().any(is_version)
}

/// Returns true for a numbered folder with a model.
fn is_version(Entry { name, path, is_folder }: &Entry) -> bool {
    *is_folder && name.parse::<ModelVersion>().is_ok() && path.join(MODEL_FILE).is_file()
}
