//! What lies in the model repository.
//!
//! ```text
//! models/iris/1/model.onnx    a numbered version
//! models/iris/model.toml      what the operator says of the model
//! models/wine.onnx            a flat file: the model `wine`, version 1
//! models/wine.toml            what the operator says of it
//! ```

mod data;
mod describe;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{beneath, fingerprint::Fingerprint, model_config::ModelConfig};
use crate::model::{ModelName, ModelVersion};
pub use describe::Defect;
use describe::{Described, signatures};
pub(super) use describe::{fingerprint, signature_of};

/// The file in a version's folder.
const MODEL_FILE: &str = "model.onnx";

/// The file in a model's folder that says how it is served.
const CONFIG_FILE: &str = "model.toml";

/// The version of a model that is one flat file.
const FLAT_VERSION: u64 = 1;

/// The name of a model of which there is only a file.
const FILE_MODEL: &str = "model";

/// The repository on disk, with what is known of its files from the last look.
#[derive(Debug)]
pub struct Source {
    repository: PathBuf,
    described: HashMap<PathBuf, Described>,
    configs: HashMap<PathBuf, KnownConfig>,
}

/// What the operator says of a model, or why that cannot be read.
pub type Config = Result<Arc<ModelConfig>, String>;

/// A file that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The model it is of.
    pub model: ModelName,
    /// The version it is.
    pub version: ModelVersion,
    /// Where it is.
    pub file: PathBuf,
    /// The folder that it and all it needs must lie in, without links.
    pub root: PathBuf,
    /// The files that hold its weights, as it names them.
    pub external: Vec<String>,
    /// Changes with the content.
    pub fingerprint: Fingerprint,
    /// Changes with the signatures beside the files, which may come later than these.
    pub signatures: Fingerprint,
    /// What can be seen to be wrong with it without copying it.
    pub defect: Option<Defect>,
}

/// What lies in the repository of one model.
#[derive(Clone, Debug)]
pub struct FoundModel {
    /// What the operator says of it, or why that cannot be read.
    pub config: Config,
    /// Its versions.
    pub candidates: BTreeMap<ModelVersion, Candidate>,
}

/// Everything that one look at the repository found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The models.
    pub models: BTreeMap<ModelName, FoundModel>,
    /// Folders that cannot be read now, by the names of their models: nothing is known of these.
    pub unreadable: BTreeSet<String>,
    /// What looks as if it were meant to be served but cannot, with the reason.
    pub ignored: Vec<String>,
}

/// What was read beside a model, and when it has to be read again.
#[derive(Debug)]
struct KnownConfig {
    fingerprint: Fingerprint,
    golden: Option<PathBuf>,
    config: Config,
}

impl Candidate {
    /// The sizes of its files together, as the file system has them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let external = self.external.iter().filter_map(|name| beneath::relative(&self.file, name));
        let size = |file: PathBuf| fs::metadata(file).map_or(0, |metadata| metadata.len());
        std::iter::once(self.file.clone()).chain(external).map(size).fold(0, u64::saturating_add)
    }
}

impl Source {
    /// A single file, as if it were the one version of a model in its folder.
    ///
    /// # Errors
    ///
    /// When the file is not there.
    pub fn candidate(file: &Path) -> io::Result<Candidate> {
        let file = file.canonicalize()?;
        let root = file.parent().unwrap_or(&file).to_path_buf();
        let Described { fingerprint, external, defect, .. } = Self::new(root.clone()).describe(&root, &file);
        let model = FILE_MODEL.parse().map_err(io::Error::other)?;
        let version = ModelVersion::new(FLAT_VERSION);
        let signatures = signatures(&file, &external);
        Ok(Candidate { model, version, file, root, external, fingerprint, signatures, defect })
    }

    /// The repository in this folder.
    #[must_use]
    pub fn new(repository: PathBuf) -> Self {
        Self { repository, described: HashMap::new(), configs: HashMap::new() }
    }

    /// The folder.
    #[must_use]
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// Looks at the whole repository.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; what is wrong inside it is only ignored.
    pub fn look(&mut self) -> io::Result<Found> {
        let mut found = Found::default();
        let root = self.repository.canonicalize()?;
        let entries = visible_entries(&self.repository)?;
        let is_flat = |name: &str| name.strip_suffix(".onnx").is_some();
        for (name, folder) in entries.iter().filter(|(name, path)| !is_flat(name) && path.is_dir()) {
            self.look_at_folder(&root, name, folder, &mut found);
        }
        // A folder in place of a flat file is one too, which cannot be read.
        for (name, path) in entries.iter().filter(|(name, _)| is_flat(name)) {
            let stem = name.strip_suffix(".onnx").unwrap_or(name);
            if found.models.keys().any(|model| model.as_str() == stem) {
                found.ignored.push(format!("{name}: the folder {stem} holds the versions of this model"));
            } else {
                let config = path.with_extension("toml");
                self.add((stem, ModelVersion::new(FLAT_VERSION)), &root, path, &config, &mut found);
            }
        }
        let current = |path: &PathBuf| {
            found.models.values().flat_map(|model| model.candidates.values()).any(|one| one.file == *path)
        };
        self.described.retain(|path, _| current(path));
        // Those that were not asked for belong to models that are gone.
        self.configs.retain(|path, _| path.exists());
        Ok(found)
    }

    fn look_at_folder(&mut self, repository: &Path, name: &str, folder: &Path, found: &mut Found) {
        let (root, entries) =
            match folder.canonicalize().and_then(|root| Ok((root, visible_entries(folder)?))) {
                Ok((root, _)) if !root.starts_with(repository) => {
                    return found.ignored.push(format!("{name}: is a link that leads out of the repository"));
                }
                Ok(read) => read,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        found.unreadable.insert(name.to_owned());
                    }
                    return found.ignored.push(format!("{name}: cannot be read: {error}"));
                }
            };
        let config = folder.join(CONFIG_FILE);
        for (number, path) in entries.into_iter().filter(|(_, path)| path.is_dir()) {
            let file = path.join(MODEL_FILE);
            let is_there = !fs::metadata(&file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            match number.parse::<ModelVersion>() {
                Ok(version) if is_there => self.add((name, version), &root, &file, &config, found),
                // A folder without its file is a version that is still being copied.
                Ok(_) => {}
                Err(error) => found.ignored.push(format!("{name}/{number}: {error}")),
            }
        }
    }

    fn add(
        &mut self,
        (name, version): (&str, ModelVersion),
        root: &Path,
        file: &Path,
        config: &Path,
        found: &mut Found,
    ) {
        let model: ModelName = match name.parse() {
            Ok(model) => model,
            Err(error) => return found.ignored.push(format!("{}: {error}", self.shown(file))),
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
        let model = entry.or_insert_with(|| FoundModel { config, candidates: BTreeMap::new() });
        model.candidates.insert(version, candidate);
    }

    /// What the file says of itself, read again only when it changed.
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

    /// What the operator says of a model, read again only when it changed.
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
        // What was read while it was written is read again.
        let fingerprint = if before == of(None) { of(golden.as_deref()) } else { Fingerprint::default() };
        let known = KnownConfig { fingerprint, golden, config: config.clone() };
        self.configs.insert(file.to_path_buf(), known);
        config
    }

    fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.repository).unwrap_or(file).to_string_lossy().escape_debug().to_string()
    }
}

/// Names and paths of what is in a folder, without what is hidden: editors, copying tools and Kubernetes (`..data`)
/// keep their own things there.
fn visible_entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Escaped, as these names end up in the log and on terminals; none that is changed by it is a model's.
        let name = entry.file_name().to_string_lossy().escape_debug().to_string();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
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

        let found = Source::new(root.to_path_buf()).look().unwrap();
        let names = |(name, model): (&ModelName, &FoundModel)| {
            let numbers: Vec<String> = model.candidates.keys().map(ToString::to_string).collect();
            format!("{name}: {}", numbers.join(" "))
        };
        assert_eq!(found.models.iter().map(names).collect::<Vec<_>>(), ["iris: 1 12", "wine: 1"]);
        let config = |name: &str| found.models[&name.parse::<ModelName>().unwrap()].config.clone();
        assert_ne!(config("iris").unwrap(), Arc::default());
        assert!(config("wine").unwrap_err().starts_with("wine.toml: unknown field `version`"));
        let mut ignored = found.ignored;
        ignored.sort();
        assert_eq!(ignored.len(), 3, "{ignored:?}");
        assert!(ignored[0].starts_with("a b.onnx: a model name has"), "{ignored:?}");
        assert!(ignored[1].starts_with("iris.onnx: the folder iris"), "{ignored:?}");
        assert!(ignored[2].starts_with("iris/latest: a version is a whole number"), "{ignored:?}");
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
        let found = source.look().unwrap();
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
        let found = source.look().unwrap();
        assert_eq!(found.models[&"cut".parse().unwrap()].candidates[&ModelVersion::new(1)].defect, None);
    }
}
