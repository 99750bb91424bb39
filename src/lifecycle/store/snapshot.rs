//! A private copy: its files, its manifest, and its converted models.
//!
//! ```text
//! manifest.json       the description of the copy
//! files/              the model's file and those that it names
//! converted/          the model in ONNX Runtime's own format, by its sha256
//! ```

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use super::{Folder, copy};
use crate::{lifecycle::CandidateFiles, model::Digest};

/// The folder of the files, which contains nothing else: a model may name its weights as it likes.
pub(super) const FILES: &str = "files";

/// The folder of converted models.
const CONVERTED: &str = "converted";

/// The description of a copy, inside the copy.
const MANIFEST: &str = "manifest.json";

/// The file that a conversion writes.
const CONVERTED_FILE: &str = "model.ort";

/// A private copy of a model's files. It is removed once it is neither in use nor recorded.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    manifest: Manifest,
    /// Keeps the folder. `None` for a copy in a folder that is only read.
    _store: Option<Arc<Folder>>,
}

/// The description of a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Digest of everything below: the identity of a deployment.
    pub content: Digest,
    /// Digest of the model's file and its data files, which responses show.
    pub digest: Digest,
    /// Every file.
    pub files: CopiedFiles,
    /// Overrides of the contract in the model's metadata.
    pub contract: Option<Value>,
}

/// The files of a copy, written as a list, the model's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<CopiedFile>", into = "Vec<CopiedFile>")]
pub struct CopiedFiles {
    /// The model's file.
    pub model: CopiedFile,
    /// The data files that the model names.
    pub data: Vec<CopiedFile>,
}

/// A list of files without a model's.
#[derive(Debug, thiserror::Error)]
#[error("a copy has at least one file, the model's")]
pub struct NoFiles;

impl CopiedFiles {
    /// Iterates over every file, the model's first.
    pub fn iter(&self) -> impl Iterator<Item = &CopiedFile> {
        std::iter::once(&self.model).chain(&self.data)
    }
}

impl TryFrom<Vec<CopiedFile>> for CopiedFiles {
    type Error = NoFiles;

    fn try_from(files: Vec<CopiedFile>) -> Result<Self, NoFiles> {
        let mut files = files.into_iter();
        let model = files.next().ok_or(NoFiles)?;
        Ok(Self { model, data: files.collect() })
    }
}

impl From<CopiedFiles> for Vec<CopiedFile> {
    fn from(files: CopiedFiles) -> Self {
        std::iter::once(files.model).chain(files.data).collect()
    }
}

/// A file of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFile {
    /// Path relative to the model's file, as the model names it.
    pub path: String,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

impl Manifest {
    /// Writes the manifest into the folder of a copy.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(MANIFEST), serde_json::to_vec(self)?)
    }

    /// Reads the manifest of a copy, and checks that it describes this content.
    pub(super) fn read(folder: &Path, content: Digest) -> io::Result<Self> {
        let mut manifest: Self = serde_json::from_slice(&fs::read(folder.join(MANIFEST))?)?;
        let whole = copy::content_of(&manifest.files, manifest.contract.as_ref());
        if whole != content || manifest.content != content {
            return Err(io::Error::other("its manifest describes other content"));
        }
        // An older gateway wrote the digest of the model's file alone.
        manifest.digest = copy::shown_digest(&manifest.files);
        Ok(manifest)
    }
}

impl Snapshot {
    pub(super) fn new(folder: PathBuf, manifest: Manifest, store: Arc<Folder>) -> Self {
        Self { folder, manifest, _store: Some(store) }
    }

    /// Creates a copy in a folder that this process only reads.
    pub(in crate::lifecycle) fn found(folder: PathBuf, manifest: Manifest) -> Self {
        Self { folder, manifest, _store: None }
    }

    /// Returns true if its files have not been removed.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.file().exists()
    }

    /// Returns the path of the model's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILES).join(&self.manifest.files.model.path)
    }

    /// Returns the folder that holds everything of the copy, and nothing else.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the identity of a deployment: digest of all files and of the contract's overrides.
    #[must_use]
    pub fn content(&self) -> Digest {
        self.manifest.content
    }

    /// Returns the digest in responses: the SHA-256 of the model's file, or of the list of all its files' digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.manifest.digest
    }

    /// Returns every file with its digest.
    #[must_use]
    pub fn files(&self) -> &CopiedFiles {
        &self.manifest.files
    }

    /// Returns the SHA-256 of each file.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.manifest.files.iter().map(|file| file.digest)
    }

    /// Returns the identity of all files, independent of the configuration.
    #[must_use]
    pub fn files_digest(&self) -> Digest {
        copy::content_of(&self.manifest.files, None)
    }

    /// Returns the overrides of the contract in the model's metadata.
    #[must_use]
    pub fn contract(&self) -> Option<&Value> {
        self.manifest.contract.as_ref()
    }

    /// Returns the bytes in the model's file, and in the others.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        let CopiedFiles { model, data } = &self.manifest.files;
        (model.bytes, data.iter().map(|file| file.bytes).sum())
    }

    /// Hashes every file again and compares the digests.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or a byte of it changed.
    pub fn verify(&self) -> io::Result<()> {
        for file in self.manifest.files.iter() {
            if copy::digest_of_file(&self.folder.join(FILES).join(&file.path))? != file.digest {
                return Err(io::Error::other(format!("{} has changed", file.path)));
            }
        }
        Ok(())
    }

    /// Returns true if the files of a candidate equal those of the copy, byte for byte.
    #[must_use]
    pub fn is_of(&self, files: CandidateFiles<'_>) -> bool {
        copy::is_same(files, &self.manifest.files)
    }

    /// Synchronizes the copy to the disk.
    ///
    /// # Errors
    ///
    /// If synchronizing fails.
    pub fn sync(&self) -> io::Result<()> {
        for file in self.manifest.files.iter() {
            File::open(self.folder.join(FILES).join(&file.path))?.sync_all()?;
        }
        File::open(self.folder.join(MANIFEST))?.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        self.folder.parent().map_or(Ok(()), |copies| File::open(copies)?.sync_all())
    }

    /// Creates an empty folder in the copy for a conversion. Returns it with the path of the file to write.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made.
    pub fn begin_conversion(&self) -> io::Result<(TempDir, PathBuf)> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("converting-").permissions(fs::Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(&self.folder)?;
        let file = folder.path().join(CONVERTED_FILE);
        Ok((folder, file))
    }

    /// Keeps a converted model, read-only from now on. Returns its digest.
    ///
    /// # Errors
    ///
    /// If it cannot be kept.
    pub fn keep_converted(&self, file: &Path) -> io::Result<Digest> {
        let opened = File::open(file)?;
        opened.set_permissions(fs::Permissions::from_mode(0o400))?;
        opened.sync_all()?;
        let digest = copy::digest_of_file(file)?;
        let kept = self.converted(digest);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join(CONVERTED))?;
        fs::rename(file, kept)?;
        Ok(digest)
    }

    /// Returns the file to load: the converted one if its digest matches the proof, else the model's.
    #[must_use]
    pub fn file_to_load(&self, converted: Option<Digest>) -> PathBuf {
        let kept = converted.map(|digest| (digest, self.converted(digest)));
        match kept {
            Some((digest, file)) if copy::digest_of_file(&file).is_ok_and(|now| now == digest) => file,
            _ => self.file(),
        }
    }

    fn converted(&self, digest: Digest) -> PathBuf {
        self.folder.join(CONVERTED).join(format!("{digest}.ort"))
    }
}
