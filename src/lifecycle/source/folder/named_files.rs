//! Single files in place of a repository, each with the configuration that belongs to it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    FLAT_VERSION,
    scanner::{Scanner, notice},
};
use crate::{
    config::ModelsSettings,
    lifecycle::{
        Config, RepositoryScan, ScannedModel, VersionedFile, config_of,
        notice::{Grace, Notice},
    },
    model::{ModelName, ModelVersion},
};

impl Scanner {
    /// Scans the named files.
    pub(super) fn scan_files(&mut self, files: &[PathBuf]) -> RepositoryScan {
        let mut found = RepositoryScan::default();
        for path in files {
            match ModelsSettings::model_of(path) {
                Ok(model) => self.scan_file(model, path, &mut found),
                Err(objection) => found.notices.push(notice(None, "models.files", objection)),
            }
        }
        self.forget_removed(&found);
        found
    }

    fn scan_file(&mut self, model: ModelName, path: &Path, found: &mut RepositoryScan) {
        // The link itself was named, so its target is meant, wherever it lies. Data files lie beside the target.
        let shown = path.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
        let (file, root) = match path.canonicalize().map(with_folder) {
            Ok(resolved) => resolved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = notice(Some(model), &shown, "is not there".to_owned());
                return found.notices.push(Notice { grace: Grace::Copying, ..missing });
            }
            Err(error) => {
                found.unreadable.insert(model.to_string());
                let text = format!("cannot be read: {error}");
                return found.notices.push(notice(Some(model), &shown, text));
            }
        };
        let version = ModelVersion::new(FLAT_VERSION);
        let candidate = self.candidate(model.clone(), version, &root, &file);
        let config = self.config_of_file(path);
        let candidates = BTreeMap::from([(version, candidate)]);
        found.models.insert(model, ScannedModel { config, candidates, is_same: false });
    }

    /// Reads the configuration of a named file, which may be a link to elsewhere.
    fn config_of_file(&mut self, path: &Path) -> Config {
        let config = config_of(path);
        let (file, root) = match config.canonicalize() {
            Ok(resolved) => with_folder(resolved),
            Err(_) => with_folder(config),
        };
        let config = self.configs.read(&root, &file)?;
        // The configuration of a folder with several versions says which of them serve.
        if VersionedFile::of(path).is_some() { Ok(Arc::new(config.of_one_version())) } else { Ok(config) }
    }
}

/// Returns a file and its folder.
fn with_folder(file: PathBuf) -> (PathBuf, PathBuf) {
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    (file, folder)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::lifecycle::{ModelConfig, source_for_command};

    fn iris() -> Vec<u8> {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/1/model.onnx")).unwrap()
    }

    fn scan(files: &[PathBuf]) -> RepositoryScan {
        let settings = ModelsSettings { files: files.to_vec(), ..ModelsSettings::default() };
        source_for_command(&settings).unwrap().scan().unwrap()
    }

    #[test]
    fn only_the_named_files_are_models_with_the_configuration_beside_them() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (wine, rose) = (one.path().join("wine.onnx"), other.path().join("rose.onnx"));
        for file in [&wine, &rose, &one.path().join("beside.onnx")] {
            fs::write(file, iris()).unwrap();
        }
        fs::write(wine.with_extension("toml"), "allow_breaking_changes = true").unwrap();
        fs::write(rose.with_extension("toml"), "nonsense = 1").unwrap();
        let found = scan(&[wine, rose]);
        let names: Vec<&str> = found.models.keys().map(ModelName::as_str).collect();
        assert_eq!(names, ["rose", "wine"]);
        let config = |name: &str| found.models[&name.parse::<ModelName>().unwrap()].config.clone();
        let expected = ModelConfig { allow_breaking_changes: true, ..ModelConfig::default() };
        assert_eq!(config("wine"), Ok(Arc::new(expected)));
        assert!(config("rose").unwrap_err().starts_with("rose.toml: unknown field `nonsense`"));
    }

    #[test]
    fn a_version_in_a_repository_has_the_configuration_of_its_model() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wine/2/model.onnx");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, iris()).unwrap();
        let config = "allow_breaking_changes = true\nversions = 2\n[labels]\nstable = 2";
        fs::write(folder.path().join("wine/model.toml"), config).unwrap();
        let found = scan(&[file]);
        let model = found.models.values().next().unwrap();
        let expected = ModelConfig { allow_breaking_changes: true, ..ModelConfig::default() };
        assert_eq!(model.config, Ok(Arc::new(expected)));
    }

    #[test]
    fn a_link_is_followed_wherever_it_leads_and_a_missing_file_is_a_notice() {
        let (files, links) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(files.path().join("0123abcd"), iris()).unwrap();
        let (linked, gone) = (links.path().join("wine.onnx"), links.path().join("gone.onnx"));
        symlink(files.path().join("0123abcd"), &linked).unwrap();
        let found = scan(&[linked, gone]);
        let wine = &found.models[&"wine".parse::<ModelName>().unwrap()];
        assert!(wine.candidates.values().all(|candidate| candidate.defect.is_none()), "{wine:?}");
        assert!(found.notices[0].to_string().ends_with("gone.onnx: is not there"), "{:?}", found.notices);
    }
}
