//! Scanner of the model repository.
//!
//! ```text
//! models/iris/1/model.onnx    a numbered version
//! models/iris/model.toml      the configuration of the model
//! models/wine.onnx            a flat file: the model `wine`, version 1
//! models/wine.toml            its configuration
//! ```

mod data;
mod describe;
mod known;
mod named_files;
mod strays;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    confined_file,
    fingerprint::Fingerprint,
    model_config::ModelConfig,
    notice::{Grace, Notice},
};
use crate::{
    config::ModelsSettings,
    model::{ModelName, ModelVersion},
};
pub use describe::Defect;
use describe::{Described, signatures};
pub(super) use describe::{fingerprint, signature_of};
use known::Known;

/// The file in a version's folder.
const MODEL_FILE: &str = "model.onnx";

/// The configuration file in a model's folder.
const CONFIG_FILE: &str = "model.toml";

/// The version of a model that is one flat file.
const FLAT_VERSION: u64 = 1;

/// The model name for a single file without a repository.
const FILE_MODEL: &str = "model";

/// The repository on disk, with the results of the last scan.
#[derive(Debug)]
pub struct Source {
    repository: PathBuf,
    /// Files that are served in place of the repository; empty to serve the repository.
    files: Vec<PathBuf>,
    described: HashMap<PathBuf, Described>,
    configs: HashMap<PathBuf, KnownConfig>,
    /// Model folders as the last scan found them.
    known: HashMap<String, Known>,
}

/// A model's configuration, or the reason why it cannot be read.
pub type Config = Result<Arc<ModelConfig>, String>;

/// A file that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// The path of the model's file.
    pub file: PathBuf,
    /// The folder, without links, that must contain the file and everything it needs.
    pub root: PathBuf,
    /// The files that hold its weights, as it names them.
    pub external: Vec<String>,
    /// Fingerprint of the content.
    pub fingerprint: Fingerprint,
    /// Fingerprint of the signatures beside the files, which may arrive later than these.
    pub signatures: Fingerprint,
    /// A defect that is visible without copying the file.
    pub defect: Option<Defect>,
}

/// A model found in the repository.
#[derive(Clone, Debug)]
pub struct ScannedModel {
    /// The configuration, or the reason why it cannot be read.
    pub config: Config,
    /// Versions of the model.
    pub candidates: BTreeMap<ModelVersion, Candidate>,
    /// True if the previous scan found exactly the same.
    pub is_same: bool,
}

/// The result of a scan.
#[derive(Clone, Debug, Default)]
pub struct RepositoryScan {
    /// The models.
    pub models: BTreeMap<ModelName, ScannedModel>,
    /// Folders that cannot be read now, by model name. Nothing is known about their files.
    pub unreadable: BTreeSet<String>,
    /// Files that seem intended to be served but have no effect, with the reason.
    pub notices: Vec<Notice>,
}

/// A configuration that was read, with the fingerprint that says when to read it again.
#[derive(Debug)]
struct KnownConfig {
    fingerprint: Fingerprint,
    golden: Option<PathBuf>,
    config: Config,
}

impl Candidate {
    /// Sums the sizes of its files, as the file system reports them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let external = self.external.iter().filter_map(|name| confined_file::relative(&self.file, name));
        let size = |file: PathBuf| fs::metadata(file).map_or(0, |metadata| metadata.len());
        std::iter::once(self.file.clone()).chain(external).map(size).fold(0, u64::saturating_add)
    }
}

impl Source {
    /// Describes a single file as if it were the only version of a model in its folder.
    ///
    /// # Errors
    ///
    /// If the file does not exist.
    pub fn candidate(file: &Path) -> io::Result<Candidate> {
        let file = file.canonicalize()?;
        let root = file.parent().unwrap_or(&file).to_path_buf();
        let Described { fingerprint, external, defect, .. } = Self::new(root.clone()).describe(&root, &file);
        let model = FILE_MODEL.parse().map_err(io::Error::other)?;
        let version = ModelVersion::new(FLAT_VERSION);
        let signatures = signatures(&file, &external);
        Ok(Candidate { model, version, file, root, external, fingerprint, signatures, defect })
    }

    /// Creates a scanner for this folder.
    #[must_use]
    pub fn new(repository: PathBuf) -> Self {
        Self {
            repository,
            files: Vec::new(),
            described: HashMap::new(),
            configs: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Creates a scanner for the repository or the files that the settings name.
    #[must_use]
    pub fn of(settings: &ModelsSettings) -> Self {
        Self { files: settings.files.clone(), ..Self::new(settings.folder().to_path_buf()) }
    }

    /// Makes the next scan read a model's folder again, even if its fingerprint is unchanged. `None` for all folders.
    pub fn doubt(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.known.remove(name)),
            None => self.known.clear(),
        }
    }

    /// Returns the folder.
    #[must_use]
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// Scans the whole repository.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read. Problems inside it become notices.
    pub fn scan(&mut self) -> io::Result<RepositoryScan> {
        if !self.files.is_empty() {
            return Ok(self.scan_files());
        }
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
        // A folder named like a flat file is reported as a model that cannot be read.
        for Entry { name, path, .. } in entries.iter().filter(|entry| is_flat(&entry.name)) {
            let stem = name.strip_suffix(".onnx").unwrap_or(name);
            let model = stem.parse::<ModelName>().ok();
            if model.as_ref().is_some_and(|model| found.models.contains_key(model)) {
                let text = format!("the folder {stem} holds the versions of this model");
                found.notices.push(notice(model, name, text));
            } else {
                let config = path.with_extension("toml");
                self.add((stem, ModelVersion::new(FLAT_VERSION)), &root, path, &config, &mut found);
            }
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
        self.forget_removed(&found);
        Ok(found)
    }

    /// Forgets files that the scan did not find.
    fn forget_removed(&mut self, found: &RepositoryScan) {
        let current: HashSet<&Path> = found
            .models
            .values()
            .flat_map(|model| model.candidates.values())
            .map(|candidate| candidate.file.as_path())
            .collect();
        self.described.retain(|path, _| current.contains(path.as_path()));
        // Configurations that were not read in this scan belong to removed models.
        self.configs.retain(|path, _| path.exists());
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
        let is_read =
            |found: &ScannedModel| found.candidates.values().any(|candidate| candidate.file == flat);
        if found.models.get(&model).is_some_and(is_read) {
            return None;
        }
        let text = if path.with_extension("").is_dir() {
            format!("has no effect: expected {stem}/{CONFIG_FILE}")
        } else {
            // The file may hold settings of another program.
            let config = self.config(root, path).ok().filter(|config| **config != ModelConfig::default());
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
        let golden = |file: &Path| self.configs.get(file)?.golden.clone();
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
        let config = folder.join(CONFIG_FILE);
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
        let Described { fingerprint, external, defect, .. } = self.describe(root, file);
        let candidate = Candidate {
            model: model.clone(),
            version,
            file: file.to_path_buf(),
            root: root.to_path_buf(),
            signatures: signatures(file, &external),
            external,
            fingerprint,
            defect,
        };
        let config = self.config(root, config);
        let entry = found.models.entry(model);
        let model =
            entry.or_insert_with(|| ScannedModel { config, candidates: BTreeMap::new(), is_same: false });
        model.candidates.insert(version, candidate);
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

    /// Returns a model's configuration, which is read again only if it changed.
    fn config(&mut self, root: &Path, file: &Path) -> Config {
        if let Err(error) = fs::symlink_metadata(file)
            && error.kind() == io::ErrorKind::NotFound
        {
            self.configs.remove(file);
            return Ok(Arc::default());
        }
        let of = |golden: Option<&Path>| Fingerprint::of([Some(file), golden].into_iter().flatten());
        if let Some(known) = self.configs.get(file)
            && known.fingerprint == of(known.golden.as_deref())
        {
            return known.config.clone();
        }
        let before = of(None);
        let (config, golden) = match ModelConfig::read(root, file) {
            Ok((config, golden)) => (Ok(Arc::new(config)), golden),
            Err(problem) => (Err(problem), None),
        };
        // A file that changed while it was read is read again.
        let fingerprint = if before == of(None) { of(golden.as_deref()) } else { Fingerprint::default() };
        let known = KnownConfig { fingerprint, golden, config: config.clone() };
        self.configs.insert(file.to_path_buf(), known);
        config
    }

    fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.repository).unwrap_or(file).to_string_lossy().escape_debug().to_string()
    }
}

/// Creates a notice that is reported at once.
fn notice(model: Option<ModelName>, subject: &str, text: String) -> Notice {
    Notice { model, version: String::new(), subject: subject.to_owned(), text, grace: Grace::None }
}

/// Lists every file in use with links resolved, and the folders that contain it.
fn used_files(found: &RepositoryScan) -> HashSet<PathBuf> {
    let candidates = found.models.values().flat_map(|model| model.candidates.values());
    let files = candidates.flat_map(|candidate| {
        let data =
            candidate.external.iter().filter_map(|name| confined_file::relative(&candidate.file, name));
        std::iter::once(candidate.file.clone()).chain(data)
    });
    let files = files.filter_map(|file| file.canonicalize().ok());
    files.flat_map(|file| file.ancestors().map(Path::to_path_buf).collect::<Vec<_>>()).collect()
}

/// An entry of a folder.
#[derive(Debug)]
struct Entry {
    name: String,
    path: PathBuf,
    /// True for a folder, and for a link to one.
    is_folder: bool,
}

/// Lists a folder without hidden entries: editors, copying tools and Kubernetes (`..data`) keep their own files there.
fn visible_entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Escaped, because these names are shown in logs and on terminals. A name that escaping changes is not a valid
        // model name.
        let name = entry.file_name().to_string_lossy().escape_debug().to_string();
        if !name.starts_with('.') {
            let path = entry.path();
            // The entry knows its type, which saves a system call for each of thousands of files.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => path.is_dir(),
            };
            entries.push(Entry { name, path, is_folder });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Reason;

    fn iris() -> Vec<u8> {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
    }

    fn write(path: &Path, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn thousands_of_files_in_a_folder_are_told_of_in_some_lines() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(&root.join("iris/1/model.onnx"), &iris());
        for number in 0..2000 {
            write(&root.join(format!("iris/old{number:04}.onnx")), b"");
            write(&root.join(format!("iris/1/epoch{number:04}.onnx")), b"");
        }
        let found = Source::new(root.to_path_buf()).scan().unwrap();
        assert_eq!(found.models.len(), 1);
        let told: Vec<String> = found.notices.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 102);
        assert!(told.contains(&"iris/1/*: 1950 more files have no effect".to_owned()), "{told:?}");
        assert!(told.contains(&"iris/*: 1950 more files have no effect".to_owned()));
        assert!(told.iter().any(|text| text.starts_with("iris/old0000.onnx: has no effect")));
    }

    #[test]
    fn finds_numbered_versions_and_flat_files_and_says_what_it_ignores() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "iris/1/model.onnx",
            "iris/12/model.onnx",
            "iris/latest/model.onnx",
            "wine.onnx",
            "iris.onnx",
            "a b.onnx",
            ".hidden.onnx",
            "iris/1/.model.tmp",
            "notes.txt",
        ] {
            write(&root.join(file), &iris());
        }
        write(&root.join("iris/model.toml"), b"versions = 1");
        write(&root.join("wine.toml"), b"version = 1");
        fs::create_dir_all(root.join("iris/3")).unwrap();
        fs::create_dir_all(root.join("wine")).unwrap();

        let found = Source::new(root.to_path_buf()).scan().unwrap();
        let names = |(name, model): (&ModelName, &ScannedModel)| {
            let numbers: Vec<String> = model.candidates.keys().map(ToString::to_string).collect();
            format!("{name}: {}", numbers.join(" "))
        };
        assert_eq!(found.models.iter().map(names).collect::<Vec<_>>(), ["iris: 1 12", "wine: 1"]);
        let config = |name: &str| found.models[&name.parse::<ModelName>().unwrap()].config.clone();
        assert_ne!(config("iris").unwrap(), Arc::default());
        assert!(config("wine").unwrap_err().starts_with("wine.toml: unknown field `version`"));
        let said = said(&found);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0].starts_with("a b.onnx: a model name has"), "{said:?}");
        assert_eq!(said[1], "iris.onnx: the folder iris holds the versions of this model");
        assert_eq!(said[2], "iris/3: expected iris/3/model.onnx, and the folder is empty");
        assert!(said[3].starts_with("iris/latest: a version is a whole number"), "{said:?}");
        assert!(
            said[3].ends_with(": expected iris/1/model.onnx, found iris/latest/model.onnx: move it there")
        );
    }

    fn said(found: &RepositoryScan) -> Vec<String> {
        let mut said: Vec<String> = found.notices.iter().map(ToString::to_string).collect();
        said.sort();
        said
    }

    /// Lists all notices of a repository with these files; a name that ends in `/` is an empty folder.
    fn said_of(files: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            match file.strip_suffix('/') {
                Some(_) => fs::create_dir_all(path).unwrap(),
                None if file.contains(".toml") || file.contains(".TOML") => write(&path, b"versions = 1"),
                None => write(&path, &iris()),
            }
        }
        said(&Source::new(folder.path().to_path_buf()).scan().unwrap())
    }

    #[test]
    fn every_file_in_a_wrong_place_is_told_of_with_the_right_one() {
        for (files, expected) in [
            (
                &["a/model.onnx"][..],
                "a: no version in it: expected a/1/model.onnx, found a/model.onnx: move it there",
            ),
            (&["a/a.onnx"], "a: no version in it: expected a/1/model.onnx, found a/a.onnx: move it there"),
            (&["a/1/a.onnx"], "a/1: expected a/1/model.onnx, found a/1/a.onnx: rename it"),
            (&["a/1/MODEL.ONNX"], "a/1: expected a/1/model.onnx, found a/1/MODEL.ONNX: rename it"),
            (
                &["a/1/b.onnx", "a/1/a.onnx", "a/1/a.pkl"],
                "a/1: expected a/1/model.onnx, found a/1/a.onnx, a/1/b.onnx: put one of them there",
            ),
            (
                &["a/1/onnx/model.onnx"],
                "a/1: expected a/1/model.onnx, found a/1/onnx/model.onnx: move it there",
            ),
            (&["a/1/"], "a/1: expected a/1/model.onnx, and the folder is empty"),
            (&["a/1/README.md"], "a/1: expected a/1/model.onnx, which is not there"),
            (
                &["a/1/model.onnx.data"],
                "a/1: expected a/1/model.onnx, found a/1/model.onnx.data, which holds weights of a model: the model belongs beside it",
            ),
            (
                &["a/1/model.ort"],
                "a/1: expected a/1/model.onnx, found a/1/model.ort, which is not ONNX: export the model to ONNX",
            ),
            (
                &["a/1/saved_model/saved_model.pb"],
                "a/1: expected a/1/model.onnx, found a/1/saved_model/saved_model.pb, which is not ONNX: export the model to ONNX",
            ),
            (
                &["a/model.joblib"],
                "a: no version in it: expected a/1/model.onnx, found a/model.joblib, which is not ONNX: export the model to ONNX",
            ),
            (&["a/model.toml"], "a: no version in it: expected a/1/model.onnx, found only a/model.toml"),
            (&["a/"], "a: no version in it: expected a/1/model.onnx, and the folder is empty"),
            (
                &["a/1/model.onnx", "a/model.onnx"],
                "a/model.onnx: has no effect: the files of a version lie in its folder, as a/1/model.onnx",
            ),
            (&["a/1/model.onnx", "a/1/old.onnx"], "a/1/old.onnx: has no effect: only a/1/model.onnx is read"),
            (&["a/1/model.onnx", "a/1/model.toml"], "a/1/model.toml: has no effect: expected a/model.toml"),
            (&["a/1/model.onnx", "a/MODEL.toml"], "a/MODEL.toml: has no effect: expected a/model.toml"),
            (&["a/1/model.onnx", "a.toml"], "a.toml: has no effect: expected a/model.toml"),
            (&["a.toml"], "a.toml: has no effect: there is no a.onnx beside it"),
            (&["A.ONNX"], "A.ONNX: a flat model's name ends in .onnx, in small letters: expected A.onnx"),
            (&["a.pkl"], "a.pkl: is not ONNX: expected a.onnx: export the model to ONNX"),
            (
                &["a.onnx.data"],
                "a.onnx.data: holds weights of a model that is not there: expected a.onnx beside it",
            ),
            (
                &["a/v1/model.onnx"],
                "a/v1: a version is a whole number from 0 to 18446744073709551615 without leading zeros: expected a/1/model.onnx, found a/v1/model.onnx: move it there",
            ),
            (
                &["group/a/1/model.onnx"],
                "group/a: a version is a whole number from 0 to 18446744073709551615 without leading zeros: expected group/1/model.onnx, found group/a/1/model.onnx: move it there",
            ),
        ] {
            assert_eq!(said_of(files), [expected], "{files:?}");
        }
        let unnamed = said_of(&["a b/1/model.onnx"]);
        assert!(
            unnamed.len() == 1 && unnamed[0].starts_with("a b/1/model.onnx: a model name has"),
            "{unnamed:?}"
        );
    }

    #[test]
    fn what_is_no_model_by_its_name_is_nobody_s_matter() {
        for files in [
            &["a/1/model.onnx", "a/1/model.pkl", "a/README.md", "a/golden.json", "a/config.pbtxt"][..],
            &["a/1/model.onnx", "a/1/.model.onnx", "a/.git/x.onnx", ".b.onnx", ".c/1/x.onnx"],
            &["a.onnx", "a.toml", "a.pkl", "a.onnx.data", "a/"],
            &["lost+found/", "__pycache__/", "notes/today.txt", "README.md", "a.onnx~", "a.onnx.part"],
        ] {
            assert_eq!(said_of(files), [""; 0], "{files:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(&root.join("a/1/real.onnx"), &iris());
        std::os::unix::fs::symlink("real.onnx", root.join("a/1/model.onnx")).unwrap();
        write(&root.join("files/b.onnx"), &iris());
        std::os::unix::fs::symlink("files/b.onnx", root.join("b.onnx")).unwrap();
        assert_eq!(said(&Source::new(root.to_path_buf()).scan().unwrap()), [""; 0], "links lead to them");
    }

    #[test]
    fn sees_at_once_what_will_not_serve_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(&root.join("cut.onnx"), &iris()[..1000]);
        write(&root.join("html.onnx"), b"<!DOCTYPE html>");
        fs::create_dir(root.join("folder.onnx")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("stolen.onnx")).unwrap();
        let mut source = Source::new(root.to_path_buf());
        let found = source.scan().unwrap();
        let defect = |name: &str| {
            let model = &found.models[&name.parse::<ModelName>().unwrap()];
            model.candidates[&ModelVersion::new(1)].defect.clone().unwrap()
        };
        assert!(matches!(defect("cut"), Defect::Incomplete(_)));
        for (name, reason) in
            [("html", Reason::NotOnnx), ("folder", Reason::Unreadable), ("stolen", Reason::OutsideFolder)]
        {
            match defect(name) {
                Defect::Unusable(refusal) => assert_eq!(refusal.reason, reason, "{refusal}"),
                defect @ Defect::Incomplete(_) => panic!("{name}: {defect:?}"),
            }
        }
        write(&root.join("cut.onnx"), &iris());
        let found = source.scan().unwrap();
        assert_eq!(found.models[&"cut".parse().unwrap()].candidates[&ModelVersion::new(1)].defect, None);
    }
}
