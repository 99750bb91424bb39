//! What lies in the model repository.
//!
//! ```text
//! models/iris/1/model.onnx    a numbered version
//! models/wine.onnx            a flat file: the model `wine`, version 1
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::model::{ModelName, ModelVersion};

/// The file in a version's folder.
const FILE_NAME: &str = "model.onnx";

/// The version of a model that is one flat file.
const FLAT_VERSION: u64 = 1;

/// The repository on disk.
#[derive(Clone, Debug)]
pub struct Source {
    repository: PathBuf,
}

/// A file that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The model it is of.
    pub model: ModelName,
    /// The version it is.
    pub version: ModelVersion,
    /// Where it is.
    pub file: PathBuf,
    /// What tells it from other content of the same file.
    pub fingerprint: Fingerprint,
}

/// Changes whenever the content may have changed. The change time is the kernel's: unlike the modification time, no
/// copying tool can set it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Everything that one look at the repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files that could be served, in no order.
    pub candidates: Vec<Candidate>,
    /// What looks as if it were meant to be served but cannot, with the reason.
    pub ignored: Vec<String>,
}

impl Source {
    /// The repository in this folder.
    #[must_use]
    pub fn new(repository: PathBuf) -> Self {
        Self { repository }
    }

    /// Looks at the whole repository.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; what is wrong inside it is only ignored.
    pub fn look(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let entries = visible_entries(&self.repository)?;
        for (name, folder) in entries.iter().filter(|(_, path)| path.is_dir()) {
            self.look_at_folder(name, folder, &mut found);
        }
        for (name, path) in entries.iter().filter(|(_, path)| !path.is_dir()) {
            let Some(stem) = name.strip_suffix(".onnx") else { continue };
            if found.candidates.iter().any(|candidate| candidate.model.as_str() == stem) {
                found.ignored.push(format!("{name}: the folder {stem} holds the versions of this model"));
            } else {
                self.add(stem, ModelVersion::new(FLAT_VERSION), path, &mut found);
            }
        }
        Ok(found)
    }

    fn look_at_folder(&self, name: &str, folder: &Path, found: &mut Found) {
        let entries = match visible_entries(folder) {
            Ok(entries) => entries,
            Err(error) => return found.ignored.push(format!("{name}: cannot be read: {error}")),
        };
        for (number, path) in entries.into_iter().filter(|(_, path)| path.is_dir()) {
            let file = path.join(FILE_NAME);
            match number.parse::<ModelVersion>() {
                Ok(version) if file.exists() => self.add(name, version, &file, found),
                // A folder without its file is a version that is still being copied.
                Ok(_) => {}
                Err(error) => found.ignored.push(format!("{name}/{number}: {error}")),
            }
        }
    }

    fn add(&self, name: &str, version: ModelVersion, file: &Path, found: &mut Found) {
        let shown =
            file.strip_prefix(&self.repository).unwrap_or(file).to_string_lossy().escape_debug().to_string();
        match (name.parse(), Fingerprint::of(file)) {
            (Ok(model), Ok(fingerprint)) => {
                found.candidates.push(Candidate { model, version, file: file.to_path_buf(), fingerprint });
            }
            (Err(error), _) => found.ignored.push(format!("{shown}: {error}")),
            (_, Err(error)) => found.ignored.push(format!("{shown}: cannot be read: {error}")),
        }
    }
}

impl Fingerprint {
    /// The fingerprint of a file, which links are followed to.
    ///
    /// # Errors
    ///
    /// When the file is not there, may not be looked at, or is a device, a pipe or a folder, which have no end or none
    /// to wait for.
    pub fn of(file: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(file)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// How long ago the file changed; nothing if its clock is ahead of ours.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let seconds = u64::try_from(self.changed.0).ok()?;
        let nanoseconds = u32::try_from(self.changed.1).ok()?;
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(changed).ok()
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

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    #[test]
    fn finds_numbered_versions_and_flat_files_and_says_what_it_ignores() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "iris/1/model.onnx",
            "iris/12/model.onnx",
            "iris/latest/model.onnx",
            "iris/model.toml",
            "wine.onnx",
            "iris.onnx",
            "a b.onnx",
            ".hidden.onnx",
            "iris/1/.model.tmp",
            "notes.txt",
        ] {
            write(&root.join(file));
        }
        fs::create_dir_all(root.join("iris/3")).unwrap();
        fs::create_dir_all(root.join("wine")).unwrap();

        let found = Source::new(root.to_path_buf()).look().unwrap();
        let mut names: Vec<String> = found
            .candidates
            .iter()
            .map(|candidate| format!("{}/{}", candidate.model, candidate.version))
            .collect();
        names.sort();
        assert_eq!(names, ["iris/1", "iris/12", "wine/1"]);
        let mut ignored = found.ignored;
        ignored.sort();
        assert_eq!(ignored.len(), 3, "{ignored:?}");
        assert!(ignored[0].starts_with("a b.onnx: a model name has"), "{ignored:?}");
        assert!(ignored[1].starts_with("iris.onnx: the folder iris"), "{ignored:?}");
        assert!(ignored[2].starts_with("iris/latest: a version is a whole number"), "{ignored:?}");
    }

    #[test]
    fn a_fingerprint_changes_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        fs::write(&file, "one").unwrap();
        let first = Fingerprint::of(&file).unwrap();
        assert_eq!(Fingerprint::of(&file).unwrap(), first);
        let other = folder.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &file).unwrap();
        assert_ne!(Fingerprint::of(&file).unwrap(), first);
    }
}
