//! A local copy of a store's objects, laid out as a repository.
//!
//! ```text
//! state/mirrors/SHA256/lock                       locked by the gateway that writes
//! state/mirrors/SHA256/filled                     there once a whole listing was mirrored
//! state/mirrors/SHA256/files/                     the repository
//! files/iris/.objects/ID                          the content of an object
//! files/iris/..NAME/1/model.onnx                  a link to it, in one generation of the set
//! files/iris/..NAME/.index.json                   the objects of that generation
//! files/iris/..data                               a link to the current generation
//! files/iris/1                                    a link to ..data/1
//! ```
//!
//! A set of objects, which is a model, changes by one rename of `..data`, as in a volume of Kubernetes. Objects that
//! stay keep their files, so that only what changed seems changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::{NamedTempFile, TempDir};

use super::{bucket::Object, listing::ObjectSet};
use crate::{config::environment, model::Digest, system::file_lock::FileLock};

const MIRRORS: &str = "mirrors";
const FILES: &str = "files";
const LOCK: &str = "lock";
const FILLED: &str = "filled";
const OBJECTS: &str = ".objects";
const CURRENT: &str = "..data";
const INDEX: &str = ".index.json";

/// Prefixes of generations, and of what is about to be renamed or removed.
const GENERATION: &str = "..";
const PASSING: &str = ".tmp-";

/// A local copy of a store's objects.
#[derive(Debug)]
pub(super) struct Mirror {
    root: PathBuf,
    /// The lock of the gateway that writes; `None` while another has it.
    lock: Mutex<Option<FileLock>>,
    /// The folder of a mirror that ends with the process.
    _temporary: Option<TempDir>,
}

/// The folder of a set of objects.
#[derive(Debug)]
pub(super) struct SetFolder(PathBuf);

impl Mirror {
    /// Opens the mirror of a repository in a state directory.
    pub(super) fn open(state: &Path, repository: &str) -> io::Result<Self> {
        let root =
            std::path::absolute(state)?.join(MIRRORS).join(Digest::of(repository.as_bytes()).to_string());
        Self::at(root, None)
    }

    /// Creates a mirror that ends with the process.
    pub(super) fn temporary() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("onnx-gateway-").tempdir_in(environment::temporary_directory())?;
        Self::at(folder.path().to_path_buf(), Some(folder))
    }

    fn at(root: PathBuf, temporary: Option<TempDir>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root.join(FILES))?;
        Ok(Self { root, lock: Mutex::default(), _temporary: temporary })
    }

    /// Returns the folder that is laid out as a repository.
    pub(super) fn files(&self) -> PathBuf {
        self.root.join(FILES)
    }

    /// Returns true once a whole listing was mirrored, in this process or before.
    pub(super) fn is_filled(&self) -> bool {
        self.root.join(FILLED).exists()
    }

    /// Records that a whole listing was mirrored.
    pub(super) fn mark_filled(&self) -> io::Result<()> {
        File::create(self.root.join(FILLED))?.sync_all()?;
        sync_folder(&self.root)
    }

    /// Returns true if this gateway writes the mirror. One of those that share it does.
    pub(super) fn may_write(&self) -> io::Result<bool> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            match FileLock::alone(&self.root.join(LOCK)) {
                Ok(held) => *lock = Some(held),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            self.repair();
        }
        Ok(true)
    }

    /// Completes what an ended process left half done.
    fn repair(&self) {
        if let Err(error) = remove_passing(&self.files()) {
            tracing::debug!(%error, "failed to remove what is left of a removed set of the mirror");
        }
        for name in self.sets().into_keys() {
            let folder = self.folder(&name);
            if let Err(error) = folder.link_entries().and_then(|()| folder.tidy()) {
                tracing::debug!(%error, set = name, "failed to repair a set of the mirror");
            }
        }
    }

    /// Returns the folder of a set.
    pub(super) fn folder(&self, set: &str) -> SetFolder {
        SetFolder(if set.is_empty() { self.files() } else { self.files().join(set) })
    }

    /// Reads the sets that are mirrored, whose files are all there.
    pub(super) fn sets(&self) -> BTreeMap<String, ObjectSet> {
        let entries = fs::read_dir(self.files()).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| !name.starts_with('.')).chain([String::new()]);
        names.filter_map(|name| Some((name.clone(), self.folder(&name).read()?))).collect()
    }

    /// Removes a set, as if its folder were deleted.
    pub(super) fn remove(&self, set: &str) -> io::Result<()> {
        if set.is_empty() {
            return self.folder(set).publish(&self.folder(set).prepare(&ObjectSet::new())?);
        }
        let gone = tempfile::Builder::new().prefix(PASSING).tempdir_in(self.files())?;
        fs::rename(self.files().join(set), gone.path().join(set))?;
        sync_folder(&self.files())
    }
}

impl SetFolder {
    /// Reads the current generation. `None` if there is none, or its files are not complete.
    fn read(&self) -> Option<ObjectSet> {
        let index = fs::read(self.0.join(CURRENT).join(INDEX)).ok()?;
        let objects: ObjectSet = serde_json::from_slice(&index).ok()?;
        objects.values().all(|object| self.holds(object)).then_some(objects)
    }

    /// Returns true if the content of an object is there.
    pub(super) fn holds(&self, object: &Object) -> bool {
        let file = self.0.join(OBJECTS).join(object.file_name());
        fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() == object.size)
    }

    /// Makes the folder of the objects. A file of the same name, which an object below the prefix was, makes way.
    fn make(&self) -> io::Result<PathBuf> {
        if fs::symlink_metadata(&self.0).is_ok_and(|metadata| metadata.is_symlink()) {
            fs::remove_file(&self.0)?;
        }
        let objects = self.0.join(OBJECTS);
        DirBuilder::new().recursive(true).mode(0o700).create(&objects)?;
        Ok(objects)
    }

    /// Creates a file for the content of an object, which is not visible yet.
    pub(super) fn begin(&self) -> io::Result<NamedTempFile> {
        let objects = self.make()?;
        tempfile::Builder::new().prefix(PASSING).tempfile_in(objects)
    }

    /// Keeps the content of an object.
    pub(super) fn keep(&self, object: &Object, file: NamedTempFile) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(self.0.join(OBJECTS).join(object.file_name())).map_err(|error| error.error)?;
        Ok(())
    }

    /// Lays out a generation of the set, which is not visible yet.
    pub(super) fn prepare(&self, objects: &ObjectSet) -> io::Result<PathBuf> {
        self.make()?;
        let generation = tempfile::Builder::new().prefix(GENERATION).tempdir_in(&self.0)?;
        let mut folders = BTreeSet::from([generation.path().to_path_buf(), self.0.join(OBJECTS)]);
        for (name, object) in objects {
            let link = generation.path().join(name);
            if let Some(folder) = link.parent() {
                fs::create_dir_all(folder)?;
                folders.extend(folder.ancestors().take_while(|path| *path != self.0).map(Path::to_path_buf));
            }
            let up = "../".repeat(1 + name.matches('/').count());
            symlink(format!("{up}{OBJECTS}/{}", object.file_name()), link)?;
        }
        let mut index = File::create(generation.path().join(INDEX))?;
        index.write_all(&serde_json::to_vec(objects)?)?;
        index.sync_all()?;
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(generation.keep())
    }

    /// Makes a generation the current one, by one rename.
    pub(super) fn publish(&self, generation: &Path) -> io::Result<()> {
        let name = generation.file_name().unwrap_or_default();
        self.link(Path::new(name), CURRENT)?;
        sync_folder(&self.0)?;
        self.link_entries()
    }

    /// Removes earlier generations, and objects that neither the current one has nor `listed`.
    pub(super) fn sweep(&self, listed: &ObjectSet) -> io::Result<()> {
        let current = self.read().unwrap_or_default();
        let kept: HashSet<String> = current.values().chain(listed.values()).map(Object::file_name).collect();
        for entry in fs::read_dir(self.0.join(OBJECTS))? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        self.tidy()
    }

    /// Removes earlier generations.
    fn tidy(&self) -> io::Result<()> {
        let current = fs::read_link(self.0.join(CURRENT))?;
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let shown = name.to_string_lossy();
            let is_old = shown.starts_with(GENERATION) && shown != CURRENT && Path::new(&name) != current;
            if is_old && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the entries of the current generation visible, and no others.
    fn link_entries(&self) -> io::Result<()> {
        let names = |folder: &Path| -> io::Result<BTreeSet<String>> {
            let entries = fs::read_dir(folder)?.flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            Ok(names.filter(|name| !name.starts_with('.')).collect())
        };
        let current = names(&self.0.join(CURRENT))?;
        for name in &current {
            let target = Path::new(CURRENT).join(name);
            if fs::read_link(self.0.join(name)).ok().as_deref() != Some(&target) {
                self.link(&target, name)?;
            }
        }
        for name in names(&self.0)?.difference(&current) {
            let path = self.0.join(name);
            if fs::read_link(&path).is_ok_and(|target| target.starts_with(CURRENT)) {
                fs::remove_file(path)?;
            }
        }
        sync_folder(&self.0)
    }

    /// Makes a link, in place of one that is there.
    fn link(&self, target: &Path, name: &str) -> io::Result<()> {
        let passing = tempfile::Builder::new().prefix(PASSING).tempdir_in(&self.0)?;
        let link = passing.path().join("link");
        symlink(target, &link)?;
        fs::rename(link, self.0.join(name))
    }
}

impl Object {
    /// Returns the name of the file with the content: another one for every content.
    fn file_name(&self) -> String {
        let Self { name, size, tag, modified_ms } = self;
        Digest::of(format!("{name}\0{size}\0{tag:?}\0{modified_ms}").as_bytes()).to_string()
    }
}

/// Removes entries that were about to be renamed or removed.
fn remove_passing(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PASSING) {
            let is_folder = entry.file_type()?.is_dir();
            if is_folder { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, content: &str, tag: &str) -> Object {
        let (size, tag) = (content.len() as u64, Some(tag.to_owned()));
        Object { name: name.to_owned(), size, tag, modified_ms: 0 }
    }

    /// Mirrors a set with these names, contents and tags.
    fn mirror_set(mirror: &Mirror, set: &str, files: &[(&str, &str, &str)]) {
        let folder = mirror.folder(set);
        let mut objects = ObjectSet::new();
        for (name, content, tag) in files {
            let object = object(&format!("{set}/{name}"), content, tag);
            if !folder.holds(&object) {
                let mut file = folder.begin().unwrap();
                file.write_all(content.as_bytes()).unwrap();
                folder.keep(&object, file).unwrap();
            }
            objects.insert((*name).to_owned(), object);
        }
        folder.publish(&folder.prepare(&objects).unwrap()).unwrap();
        folder.sweep(&objects).unwrap();
    }

    fn read(mirror: &Mirror, path: &str) -> Option<String> {
        fs::read_to_string(mirror.files().join(path)).ok()
    }

    fn identity(mirror: &Mirror, path: &str) -> (u64, i64, i64) {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(mirror.files().join(path)).unwrap();
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    }

    #[test]
    fn a_set_changes_as_one_and_what_stays_keeps_its_file() {
        let mirror = Mirror::temporary().unwrap();
        mirror_set(&mirror, "iris", &[("1/model.onnx", "one", "a"), ("model.toml", "x", "b")]);
        mirror_set(&mirror, "", &[("wine.onnx", "flat", "c")]);
        assert_eq!(read(&mirror, "iris/1/model.onnx").as_deref(), Some("one"));
        assert_eq!(read(&mirror, "wine.onnx").as_deref(), Some("flat"));
        let before = identity(&mirror, "iris/model.toml");
        mirror_set(&mirror, "iris", &[("2/model.onnx", "two", "d"), ("model.toml", "x", "b")]);
        assert_eq!(read(&mirror, "iris/2/model.onnx").as_deref(), Some("two"));
        assert_eq!(read(&mirror, "iris/1/model.onnx"), None);
        assert_eq!(identity(&mirror, "iris/model.toml"), before, "it did not change");
        let objects = fs::read_dir(mirror.files().join("iris").join(OBJECTS)).unwrap().count();
        assert_eq!(objects, 2, "the object of version 1 is gone");
        assert_eq!(mirror.sets().keys().collect::<Vec<_>>(), ["", "iris"]);
        mirror.remove("iris").unwrap();
        mirror.remove("").unwrap();
        assert_eq!((read(&mirror, "iris/2/model.onnx"), read(&mirror, "wine.onnx")), (None, None));
        assert_eq!(mirror.sets().into_keys().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_file_becomes_a_folder() {
        let mirror = Mirror::temporary().unwrap();
        mirror_set(&mirror, "", &[("notes", "flat", "a")]);
        mirror_set(&mirror, "notes", &[("1/model.onnx", "one", "b")]);
        mirror_set(&mirror, "", &[]);
        assert_eq!(read(&mirror, "notes/1/model.onnx").as_deref(), Some("one"));
    }

    #[test]
    fn a_mirror_outlasts_its_process_and_knows_when_it_is_not_whole() {
        let state = tempfile::tempdir().unwrap();
        let open = || Mirror::open(state.path(), "s3://models").unwrap();
        let first = open();
        assert!(first.may_write().unwrap() && !first.is_filled());
        mirror_set(&first, "iris", &[("1/model.onnx", "one", "a")]);
        first.mark_filled().unwrap();
        let second = open();
        assert!(!second.may_write().unwrap(), "the first one writes");
        drop(first);
        assert!(second.may_write().unwrap() && second.is_filled() && second.sets().contains_key("iris"));
        let other = Mirror::open(state.path(), "s3://others").unwrap();
        assert!(!other.is_filled() && other.sets().is_empty());
        let object = fs::read_dir(second.files().join("iris").join(OBJECTS)).unwrap().next().unwrap();
        fs::write(object.unwrap().path(), "cut off").unwrap();
        assert!(!second.sets().contains_key("iris"), "it is downloaded again");
    }

    #[test]
    fn what_a_killed_process_left_is_completed() {
        let state = tempfile::tempdir().unwrap();
        let first = Mirror::open(state.path(), "s3://models").unwrap();
        assert!(first.may_write().unwrap());
        mirror_set(&first, "iris", &[("1/model.onnx", "one", "a")]);
        let folder = first.folder("iris");
        let objects = ObjectSet::from([("2/model.onnx".to_owned(), object("iris/2/model.onnx", "two", "b"))]);
        let mut file = folder.begin().unwrap();
        file.write_all(b"two").unwrap();
        folder.keep(&objects["2/model.onnx"], file).unwrap();
        let generation = folder.prepare(&objects).unwrap();
        folder.link(Path::new(generation.file_name().unwrap()), CURRENT).unwrap();
        assert_eq!(read(&first, "iris/2/model.onnx"), None, "its link is not there yet");
        let passing = first.files().join(".tmp-gone/iris/1");
        fs::create_dir_all(&passing).unwrap();
        drop(first);
        let second = Mirror::open(state.path(), "s3://models").unwrap();
        assert!(second.may_write().unwrap());
        assert!(!passing.exists(), "what was about to be removed");
        assert_eq!(read(&second, "iris/2/model.onnx").as_deref(), Some("two"));
        assert_eq!(read(&second, "iris/1/model.onnx"), None);
    }
}
