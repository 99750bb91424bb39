//! Files in places where models are not searched, and the places that were expected.
//!
//! Hidden files, and files that do not look like models, cause no notice: editors, notebooks and people keep them
//! there.

use std::{collections::HashSet, path::Path};

use super::{
    CONFIG_FILE, MODEL_FILE,
    data::is_data,
    entries::{Entry, visible_entries},
    other_root,
};
use crate::{
    lifecycle::notice::{Grace, Notice},
    model::{ModelName, ModelVersion},
};

/// Depth of the search in subfolders.
const MAX_DEPTH: usize = 2;

/// Most entries that a search examines.
const MAX_ENTRIES: usize = 500;

/// Most files of one folder that a sentence lists.
const MAX_LISTED: usize = 3;

/// Most notices about one folder.
const MAX_NOTICES: usize = 50;

/// Endings of models in other formats.
const OTHER_FORMATS: [&str; 24] = [
    "ort",
    "pb",
    "pbtxt",
    "pkl",
    "pickle",
    "joblib",
    "sav",
    "h5",
    "hdf5",
    "keras",
    "pt",
    "pth",
    "pt2",
    "torchscript",
    "tflite",
    "safetensors",
    "cbm",
    "ubj",
    "pmml",
    "mlmodel",
    "engine",
    "gguf",
    "mar",
    "zip",
];

/// A file's kind, by its name. The likelier it is a misplaced model, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Onnx,
    OtherFormat,
    Data,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
        if ending == "onnx" {
            Some(Self::Onnx)
        } else if OTHER_FORMATS.contains(&ending.as_str()) && !name.eq_ignore_ascii_case("config.pbtxt") {
            Some(Self::OtherFormat)
        } else {
            is_data(name).then_some(Self::Data)
        }
    }
}

/// Describes the files in a folder in place of `expected`. `None` if none of them looks like a model.
fn found_instead(folder: &Path, shown: &str, expected: &str, depth: usize) -> Option<String> {
    let mut found = Vec::new();
    search(folder, shown, depth, &mut { MAX_ENTRIES }, &mut found);
    let best = found.iter().map(|(kind, _)| *kind).min()?;
    found.retain(|(kind, _)| *kind == best);
    found.sort_by_key(|(_, path)| (path.matches('/').count(), path.clone()));
    let one = found.len() == 1;
    let listed: Vec<&str> = found.iter().take(MAX_LISTED).map(|(_, path)| path.as_str()).collect();
    let folder_of = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let to_do = match best {
        Kind::Onnx if !one => ": put one of them there",
        Kind::Onnx if listed.first().and_then(|path| folder_of(path)) == folder_of(expected) => ": rename it",
        Kind::Onnx => ": move it there",
        Kind::OtherFormat => ", which is not ONNX: export the model to ONNX",
        Kind::Data => ", which holds weights of a model: the model belongs beside it",
    };
    Some(format!("expected {expected}, found {}{to_do}", listed.join(", ")))
}

fn search(
    folder: &Path,
    shown: &str,
    depth: usize,
    entries_left: &mut usize,
    found: &mut Vec<(Kind, String)>,
) {
    for Entry { name, path, is_folder } in visible_entries(folder).unwrap_or_default() {
        let Some(left) = entries_left.checked_sub(1) else { return };
        *entries_left = left;
        let shown = format!("{shown}/{name}");
        if is_folder {
            // A folder may be named like a file, as tools unpack archives.
            if depth > 0 {
                search(&path, &shown, depth - 1, entries_left, found);
            }
        } else if let Some(kind) = Kind::of(&name) {
            found.push((kind, shown));
        }
    }
}

fn notice(
    model: Option<ModelName>,
    version: impl Into<String>,
    subject: impl Into<String>,
    text: String,
) -> Notice {
    Notice { model, version: version.into(), subject: subject.into(), text, grace: Grace::Copying }
}

/// Reports a version's folder without the model's file.
pub(super) fn in_empty_version(name: &ModelName, version: ModelVersion, folder: &Path) -> Notice {
    let shown = format!("{name}/{version}");
    let expected = format!("{shown}/{MODEL_FILE}");
    let text = found_instead(folder, &shown, &expected, MAX_DEPTH).unwrap_or_else(|| {
        let is_empty = visible_entries(folder).is_ok_and(|entries| entries.is_empty());
        let found = if is_empty { "and the folder is empty" } else { "which is not there" };
        format!("expected {expected}, {found}")
    });
    notice(Some(name.clone()), version.to_string(), shown, text)
}

/// Reports files beside a version's model that have no effect, unless the model is a link to them.
pub(super) fn beside_model(name: &ModelName, version: ModelVersion, folder: &Path) -> Vec<Notice> {
    let mut notices = Vec::new();
    for Entry { name: file, path, .. } in visible_entries(folder).unwrap_or_default() {
        let subject = format!("{name}/{version}/{file}");
        let text = if Kind::of(&file) == Some(Kind::Onnx) && file != MODEL_FILE && path.is_file() {
            format!("has no effect: only {name}/{version}/{MODEL_FILE} is read")
        } else if is_config(&file, name) {
            format!("has no effect: expected {name}/{CONFIG_FILE}")
        } else {
            continue;
        };
        notices.push(notice(Some(name.clone()), version.to_string(), subject, text));
    }
    shorten(&mut notices, &format!("{name}/{version}"));
    notices
}

/// Keeps the first `MAX_NOTICES` notices about one folder, sorted, and adds the number of the others.
fn shorten(notices: &mut Vec<Notice>, folder: &str) {
    let Some(surplus) = notices.len().checked_sub(MAX_NOTICES).filter(|surplus| *surplus > 0) else { return };
    notices.sort();
    notices.truncate(MAX_NOTICES);
    if let Some(first) = notices.first() {
        let text = format!("{surplus} more files have no effect");
        notices.push(Notice { subject: format!("{folder}/*"), text, ..first.clone() });
    }
}

/// Returns true if a file was probably meant as the model's configuration.
fn is_config(file: &str, name: &ModelName) -> bool {
    file.eq_ignore_ascii_case(CONFIG_FILE) || file == format!("{name}.toml")
}

/// Reports files in place of versions, and folders that are not versions, in a model's folder.
///
/// `has_versions` is true if there are folders of versions, even empty ones. `is_flat` is true if a flat file of this
/// name is served.
pub(super) fn in_model(
    name: &ModelName,
    entries: &[Entry],
    folder: &Path,
    (has_versions, is_flat): (bool, bool),
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let (folders, files): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.is_folder);
    let expected = format!("{name}/1/{MODEL_FILE}");
    let about = |version: &str, subject: String, text| notice(Some(name.clone()), version, subject, text);
    for Entry { name: file, .. } in &files {
        let subject = format!("{name}/{file}");
        if file != CONFIG_FILE && is_config(file, name) {
            notices.push(about("", subject, format!("has no effect: expected {name}/{CONFIG_FILE}")));
        } else if has_versions && Kind::of(file) == Some(Kind::Onnx) {
            let text = format!("has no effect: the files of a version lie in its folder, as {expected}");
            notices.push(about("", subject, text));
        }
    }
    shorten(&mut notices, name.as_str());
    if !has_versions {
        let shown = name.as_str();
        let has_config = files.iter().any(|file| file.name == CONFIG_FILE);
        let text = match found_instead(folder, shown, &expected, 0) {
            Some(text) => Some(text),
            None if has_config && folders.is_empty() => {
                Some(format!("expected {expected}, found only {name}/{CONFIG_FILE}"))
            }
            None if entries.is_empty() && !is_flat => {
                Some(format!("expected {expected}, and the folder is empty"))
            }
            None => None,
        };
        notices.extend(text.map(|text| about("", shown.to_owned(), format!("no version in it: {text}"))));
    }
    notices.extend(folders.into_iter().filter_map(|Entry { name: number, path, .. }| {
        let error = number.parse::<ModelVersion>().err()?;
        let shown = format!("{name}/{number}");
        let text = if other_root::holds_versions(path) {
            format!(
                "holds versions, as a model does: move it up into the repository, or give the folder {name} as the \
                 repository"
            )
        } else {
            let found = found_instead(path, &shown, &expected, MAX_DEPTH);
            found.map_or_else(|| error.to_string(), |found| format!("{error}: {found}"))
        };
        Some(Notice { grace: Grace::None, ..about(number, shown, text) })
    }));
    notices
}

/// Reports a folder that contains a model, but whose name is not a valid model name.
pub(super) fn in_unnamed(name: &str, folder: &Path) -> Option<Notice> {
    let error = name.parse::<ModelName>().err()?;
    let mut found = Vec::new();
    search(folder, name, MAX_DEPTH, &mut { MAX_ENTRIES }, &mut found);
    let (_, path) = found.into_iter().filter(|(kind, _)| *kind == Kind::Onnx).min()?;
    Some(Notice { grace: Grace::None, ..notice(None, "", path, error.to_string()) })
}

/// Reports a file in the repository itself that resembles a model but is not a flat one.
///
/// `names` are those of all other entries there: flat models and folders.
pub(super) fn in_repository(file: &str, names: &HashSet<&str>) -> Option<Notice> {
    let (kind, (stem, _)) = (Kind::of(file)?, file.rsplit_once('.')?);
    let (stem, text) = match kind {
        Kind::Onnx => {
            (stem, format!("a flat model's name ends in .onnx, in small letters: expected {stem}.onnx"))
        }
        Kind::OtherFormat if names.contains(stem) => return None,
        Kind::OtherFormat => (stem, format!("is not ONNX: expected {stem}.onnx: export the model to ONNX")),
        Kind::Data => {
            let stem = file.split_once(".onnx").map(|(stem, _)| stem)?;
            if names.contains(stem) {
                return None;
            }
            (stem, format!("holds weights of a model that is not there: expected {stem}.onnx beside it"))
        }
    };
    Some(notice(stem.parse().ok(), "", file, text))
}
