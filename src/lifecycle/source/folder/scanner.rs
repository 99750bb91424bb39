//! Scanner of a repository's folder, which reads only files that changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    CONFIG_FILE, FLAT_VERSION, MODEL_FILE,
    configs::Configs,
    describe::{Described, signatures},
    entries::{Entry, visible_entries},
    known::Known,
    model_file, other_root, strays,
};
use crate::{
    lifecycle::{
        Candidate, ModelConfig, Notice, RepositoryScan, ScannedModel, TRITON_CONFIG_FILE, config_in,
        confined_file, notice::Grace, source::FilesHandle,
    },
    model::{ModelName, ModelVersion},
};

/// The folder, with the results of the last scan.
#[derive(Debug)]
pub(super) struct Scanner {
    repository: PathBuf,
    described: HashMap<PathBuf, Described>,
    pub(super) configs: Configs,
    /// Model folders as the last scan found them.
    known: HashMap<String, Known>,
}

impl Scanner {
    pub(super) fn new(repository: PathBuf) -> Self {
        Self { repository, described: HashMap::new(), configs: Configs::default(), known: HashMap::new() }
    }

    /// Makes the next scan read a model's folder again, even if its fingerprint is unchanged. `None` for all folders.
    pub(super) fn doubt(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.known.remove(name)),
            None => self.known.clear(),
        }
    }

    /// Scans the whole repository.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read. Problems inside it become notices.
    pub(super) fn scan(&mut self) -> io::Result<RepositoryScan> {
        let mut found = RepositoryScan::default();
        let root = self.repository.canonicalize()?;
        let entries = visible_entries(&self.repository)?;
        let is_flat = |name: &str| name.strip_suffix(".onnx").is_some();
        let flats: HashSet<&str> =
            entries.iter().filter_map(|entry| entry.name.strip_suffix(".onnx")).collect();
        let (folders, files): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().filter(|entry| !is_flat(&entry.name)).partition(|entry| entry.is_folder);
        let names: HashSet<&str> =
            flats.iter().copied().chain(folders.iter().map(|entry| entry.name.as_str())).collect();
        for Entry { name, path, .. } in &folders {
            self.scan_folder(&root, name, path, flats.contains(name.as_str()), &mut found);
        }
        self.known.retain(|name, _| names.contains(name.as_str()));
        for entry in entries.iter().filter(|entry| is_flat(&entry.name)) {
            self.scan_flat(&root, entry, &mut found);
        }
        for Entry { name, path, .. } in files {
            let stray = strays::in_repository(name, &names);
            found.notices.extend(stray.or_else(|| self.stray_config(&root, name, path, &found)));
        }
        if !found.notices.is_empty() {
            let used = used_files(&found);
            // A model may be a link to such a file.
            found.notices.retain(|notice| !used.contains(&root.join(&notice.subject)));
        }
        if found.models.is_empty()
            && let Some(other) = other_root::find(&self.repository, &root, &entries)
        {
            if other.is_certain {
                // They would say to move files that lie where they should.
                found.notices.clear();
            }
            found.advice = Some(other.advice);
        }
        self.forget_removed(&found);
        Ok(found)
    }

    /// Forgets files that the scan did not find.
    pub(super) fn forget_removed(&mut self, found: &RepositoryScan) {
        let current: HashSet<&Path> =
            candidates(found).map(|candidate| model_file(&candidate.files)).collect();
        self.described.retain(|path, _| current.contains(path.as_path()));
        // Configurations that were not read in this scan belong to removed models.
        self.configs.forget_removed();
    }

    /// Scans a flat file. A folder named like one is reported as a model that cannot be read.
    fn scan_flat(&mut self, root: &Path, entry: &Entry, found: &mut RepositoryScan) {
        let Entry { name, path, .. } = entry;
        let stem = name.strip_suffix(".onnx").unwrap_or(name);
        let model = stem.parse::<ModelName>().ok();
        if model.as_ref().is_some_and(|model| found.models.contains_key(model)) {
            let text = format!("the folder {stem} holds the versions of this model");
            found.notices.push(notice(model, name, text));
        } else {
            let config = path.with_extension("toml");
            self.add((stem, ModelVersion::new(FLAT_VERSION)), root, path, &config, found);
        }
    }

    /// Returns the notice of a configuration file whose model is missing, or that is in the wrong place.
    fn stray_config(
        &mut self,
        root: &Path,
        name: &str,
        path: &Path,
        found: &RepositoryScan,
    ) -> Option<Notice> {
        let stem = name.strip_suffix(".toml")?;
        let model: ModelName = stem.parse().ok()?;
        let flat = path.with_extension("onnx");
        let is_read = |found: &ScannedModel| {
            found.candidates.values().any(|candidate| model_file(&candidate.files) == flat)
        };
        if found.models.get(&model).is_some_and(is_read) {
            return None;
        }
        let text = if path.with_extension("").is_dir() {
            format!("has no effect: expected {stem}/{CONFIG_FILE}")
        } else {
            // The file may hold settings of another program.
            let config =
                self.configs.read(root, path).ok().filter(|config| **config != ModelConfig::default());
            config.filter(|_| !flat.exists())?;
            format!("has no effect: there is no {stem}.onnx beside it")
        };
        let grace = Grace::Copying;
        Some(Notice { grace, ..notice(Some(model), name, text) })
    }

    /// Scans the folder of a model, unless its fingerprint is unchanged.
    fn scan_folder(
        &mut self,
        repository: &Path,
        name: &str,
        folder: &Path,
        is_flat: bool,
        found: &mut RepositoryScan,
    ) {
        if let Some(known) = self.known.get(name).filter(|known| known.holds(is_flat)) {
            return known.tell(found);
        }
        let mut of_folder = RepositoryScan::default();
        self.read_folder(repository, name, folder, is_flat, &mut of_folder);
        let golden = |file: &Path| self.configs.golden(file);
        match Known::of(folder, is_flat, &of_folder, golden, SystemTime::now()) {
            Some(known) => drop(self.known.insert(name.to_owned(), known)),
            None => drop(self.known.remove(name)),
        }
        found.models.extend(of_folder.models);
        found.unreadable.extend(of_folder.unreadable);
        found.notices.extend(of_folder.notices);
    }

    fn read_folder(
        &mut self,
        repository: &Path,
        name: &str,
        folder: &Path,
        is_flat: bool,
        found: &mut RepositoryScan,
    ) {
        let (root, entries) =
            match folder.canonicalize().and_then(|root| Ok((root, visible_entries(folder)?))) {
                Ok((root, _)) if !root.starts_with(repository) => {
                    let text = "is a link that leads out of the repository".to_owned();
                    return found.notices.push(notice(name.parse().ok(), name, text));
                }
                Ok(read) => read,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        found.unreadable.insert(name.to_owned());
                    }
                    let text = format!("cannot be read: {error}");
                    return found.notices.push(notice(name.parse().ok(), name, text));
                }
            };
        let Ok(model) = name.parse::<ModelName>() else {
            return found.notices.extend(strays::in_unnamed(name, folder));
        };
        let config = config_in(folder);
        let version = |entry: &Entry| {
            let version = entry.name.parse::<ModelVersion>().ok()?;
            entry.is_folder.then(|| (version, entry.path.clone()))
        };
        let versions: Vec<(ModelVersion, PathBuf)> = entries.iter().filter_map(version).collect();
        for (version, path) in &versions {
            let file = path.join(MODEL_FILE);
            if fs::metadata(&file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                found.notices.push(strays::in_empty_version(&model, *version, path));
            } else {
                self.add((name, *version), &root, &file, &config, found);
                found.notices.extend(strays::beside_model(&model, *version, path));
            }
        }
        if let Some(Ok(config)) = found.models.get(&model).map(|model| &model.config) {
            let subject = format!("{name}/{TRITON_CONFIG_FILE}");
            let not_applied = config.not_applied.iter();
            let notices = not_applied.map(|text| notice(Some(model.clone()), &subject, text.clone()));
            let notices: Vec<Notice> = notices.collect();
            found.notices.extend(notices);
        }
        found.notices.extend(strays::in_model(&model, &entries, folder, (!versions.is_empty(), is_flat)));
    }

    fn add(
        &mut self,
        (name, version): (&str, ModelVersion),
        root: &Path,
        file: &Path,
        config: &Path,
        found: &mut RepositoryScan,
    ) {
        let model: ModelName = match name.parse() {
            Ok(model) => model,
            Err(error) => {
                return found.notices.push(notice(None, &self.shown(file), error.to_string()));
            }
        };
        let candidate = self.candidate(model.clone(), version, root, file);
        let config = self.configs.read(root, config);
        let entry = found.models.entry(model);
        let model =
            entry.or_insert_with(|| ScannedModel { config, candidates: BTreeMap::new(), is_same: false });
        model.candidates.insert(version, candidate);
    }

    /// Describes a file as a version of a model. `root` is the folder, without links, that must contain everything it
    /// needs.
    pub(super) fn candidate(
        &mut self,
        model: ModelName,
        version: ModelVersion,
        root: &Path,
        file: &Path,
    ) -> Candidate {
        let Described { fingerprint, external, defect, .. } = self.describe(root, file);
        let (files, signatures) = (FilesHandle::new(root, file), signatures(file, &external));
        Candidate { model, version, files, external, fingerprint, signatures, defect }
    }

    /// Describes a file, which is read again only if it changed.
    fn describe(&mut self, root: &Path, file: &Path) -> Described {
        if let Some(known) = self.described.get(file)
            && known.is_of(file)
        {
            return known.clone().with_data(file);
        }
        let described = Described::read(root, file);
        self.described.insert(file.to_path_buf(), described.clone());
        described
    }

    fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.repository).unwrap_or(file).to_string_lossy().escape_debug().to_string()
    }
}

/// Creates a notice that is reported at once.
pub(super) fn notice(model: Option<ModelName>, subject: &str, text: String) -> Notice {
    Notice { model, version: String::new(), subject: subject.to_owned(), text, grace: Grace::None }
}

/// Iterates over the candidates of all models.
fn candidates(found: &RepositoryScan) -> impl Iterator<Item = &Candidate> {
    found.models.values().flat_map(|model| model.candidates.values())
}

/// Lists every file in use with links resolved, and the folders that contain it.
fn used_files(found: &RepositoryScan) -> HashSet<PathBuf> {
    let files = candidates(found).flat_map(|Candidate { files, external, .. }| {
        let model = model_file(files);
        let data = external.iter().filter_map(|name| confined_file::relative(model, name));
        std::iter::once(model.to_path_buf()).chain(data)
    });
    let files = files.filter_map(|file| file.canonicalize().ok());
    files.flat_map(|file| file.ancestors().map(Path::to_path_buf).collect::<Vec<_>>()).collect()
}
