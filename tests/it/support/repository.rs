//! A model repository of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A repository in a temporary folder.
pub struct Repository(TempDir);

impl Repository {
    /// An empty repository.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where a gateway keeps what it remembers: in the same temporary folder, under a hidden name.
    pub fn state(&self) -> PathBuf {
        self.path().join(".state")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file in place by rename, as deployment tools do.
    pub fn put(&self, path: &str, content: &[u8]) {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let temporary = file.with_extension("tmp");
        fs::write(&temporary, content).unwrap();
        fs::rename(&temporary, &file).unwrap();
    }

    /// Puts a model from `tests/models` in place.
    pub fn put_test_model(&self, path: &str, name: &str) {
        self.put(path, &test_model(name));
    }

    /// Puts the Iris model in place.
    pub fn put_iris(&self, path: &str) {
        self.put(path, &iris());
    }

    /// How many files were put there only to see when they serve.
    pub fn markers(&self) -> usize {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("marker")).count()
    }

    /// Removes a file or a folder at once: a gateway never sees a part of it.
    pub fn remove(&self, path: &str) {
        let removed = self.path().join(".removed");
        fs::rename(self.path().join(path), &removed).unwrap();
        if removed.is_dir() {
            fs::remove_dir_all(removed).unwrap();
        } else {
            fs::remove_file(removed).unwrap();
        }
    }
}

/// The source tree.
pub fn source_tree() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The bytes of a model in `tests/models`.
pub fn test_model(name: &str) -> Vec<u8> {
    fs::read(source_tree().join("tests/models").join(format!("{name}.onnx"))).unwrap()
}

/// The bytes of the Iris model that is shipped.
pub fn iris() -> Vec<u8> {
    fs::read(source_tree().join("models/iris/1/model.onnx")).unwrap()
}
