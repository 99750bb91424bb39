//! Copying of a version's files. They are hashed while copied, and pins are checked on the copy.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use minisign_verify::{PublicKey, Signature};
use serde_json::Value;

use super::{CopiedFile, CopiedFiles, Manifest};
use crate::{
    lifecycle::{
        Candidate, Reason, Refusal,
        confined_file::{self, OpenError},
        model_config::Pin,
        source::signature_of,
    },
    model::{Digest, Hasher},
};

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Limit of a signature's size, which is a few lines.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// Copies every file of the candidate into `folder`, which is created.
pub(super) fn copy(
    candidate: &Candidate,
    contract: Option<&Value>,
    pin: &Pin,
    folder: &Path,
) -> Result<Manifest, Refusal> {
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| unwritable(&error))?;
    let sources = data_files(candidate)?;
    let copied = |source: &PathBuf| copy_file(candidate, source, &name_of(candidate, source), folder);
    let model = copied(&candidate.file)?;
    let data = sources.iter().map(copied).collect::<Result<_, _>>()?;
    let files = CopiedFiles { model, data };
    check_pin(candidate, pin, &sources, &files, folder)?;
    let content = content_of(&files, contract);
    Ok(Manifest { content, digest: shown_digest(&files), files, contract: contract.cloned() })
}

/// Returns true if the candidate's files are these, in name, order and every byte.
pub(super) fn is_same(candidate: &Candidate, files: &CopiedFiles) -> bool {
    let Ok(sources) = data_files(candidate) else { return false };
    let is_file = |source: &PathBuf, file: &CopiedFile| {
        // The length rules out most others without reading them.
        name_of(candidate, source) == file.path
            && fs::metadata(source).is_ok_and(|metadata| metadata.len() == file.bytes)
            && confined_file::open(&candidate.root, source).is_ok_and(|mut input| {
                hash(&mut input, |_| Ok(())).is_ok_and(|(digest, _)| digest == file.digest)
            })
    };
    sources.len() == files.data.len()
        && is_file(&candidate.file, &files.model)
        && sources.iter().zip(&files.data).all(|(source, file)| is_file(source, file))
}

/// Returns the name of a file relative to the model's, as used in a copy.
fn name_of(candidate: &Candidate, source: &Path) -> String {
    let home = candidate.file.parent().unwrap_or(&candidate.root);
    source.strip_prefix(home).unwrap_or(source).to_string_lossy().into_owned()
}

/// Lists the files that the candidate's model names, each once.
fn data_files(candidate: &Candidate) -> Result<Vec<PathBuf>, Refusal> {
    let mut sources = Vec::new();
    for name in &candidate.external {
        let source = confined_file::relative(&candidate.file, name).ok_or_else(|| {
            let detail = format!("it names `{}`, which leads out of its folder", name.escape_debug());
            Refusal::new(Reason::OutsideFolder, detail)
        })?;
        // A file may be named twice, and a model may keep weights in its own file.
        if source != candidate.file && !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// Computes the digest for responses: the SHA-256 of the model's file if it has no data files.
///
/// With data files it is the SHA-256 of a list: the SHA-256 of each file in hex, one per line. The model's file comes
/// first, the others are sorted by the bytes of their names. The name of the model's file does not matter. A shell
/// computes the same: `sha256sum model.onnx a.data b.data | cut -d ' ' -f 1 | sha256sum`.
pub(super) fn shown_digest(CopiedFiles { model, data }: &CopiedFiles) -> Digest {
    if data.is_empty() {
        return model.digest;
    }
    let mut data: Vec<&CopiedFile> = data.iter().collect();
    data.sort_by(|left, right| left.path.cmp(&right.path));
    let lines = std::iter::once(model).chain(data).map(|file| format!("{}\n", file.digest));
    Digest::of(lines.collect::<String>().as_bytes())
}

/// Computes the digest of everything that a deployment's outputs depend on.
pub(super) fn content_of(files: &CopiedFiles, contract: Option<&Value>) -> Digest {
    let mut hasher = Hasher::default();
    for file in files.iter() {
        // Lengths come first, so that no two lists of files hash the same bytes.
        hasher.update((file.path.len() as u64).to_le_bytes());
        hasher.update(&file.path);
        hasher.update(file.digest.to_string());
    }
    if let Some(contract) = contract {
        hasher.update(contract.to_string());
    }
    hasher.finish()
}

fn copy_file(candidate: &Candidate, source: &Path, name: &str, folder: &Path) -> Result<CopiedFile, Refusal> {
    let mut input = confined_file::open(&candidate.root, source).map_err(|error| of_open(&error))?;
    let target = folder.join(name);
    make_folders(folder, name).map_err(|error| unwritable(&error))?;
    let mut output = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(|error| unwritable(&error))?;
    let mut unwritten = None;
    let copied = hash(&mut input, |block| {
        output.write_all(block).inspect_err(|error| unwritten = Some(unwritable(error)))
    });
    let (digest, bytes) = copied.map_err(|error| unwritten.unwrap_or_else(|| unreadable(&error)))?;
    output.set_permissions(fs::Permissions::from_mode(0o400)).map_err(|error| unwritable(&error))?;
    Ok(CopiedFile { path: name.to_owned(), digest, bytes })
}

/// Makes the folders of a copied file below `folder`.
///
/// If `folder` was removed meanwhile, nothing is made: its parents would bring the state directory back, open to everyone.
fn make_folders(folder: &Path, name: &str) -> io::Result<()> {
    let mut path = folder.to_path_buf();
    for part in Path::new(name).parent().into_iter().flat_map(Path::components) {
        path.push(part);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Computes the digest and size of `input`, and passes on each block.
fn hash(input: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        let read = input.read(&mut block)?;
        if read == 0 {
            return Ok((hasher.finish(), bytes));
        }
        hasher.update(&block[..read]);
        each(&block[..read])?;
        bytes += read as u64;
    }
}

/// Computes the digest of a file of a copy.
pub(super) fn digest_of_file(path: &Path) -> io::Result<Digest> {
    hash(&mut File::open(path)?, |_| Ok(())).map(|(digest, _)| digest)
}

/// Computes the digest of a file in the repository, as it is now.
pub(in crate::lifecycle) fn digest_of(candidate: &Candidate) -> Result<Digest, Refusal> {
    let mut input = confined_file::open(&candidate.root, &candidate.file).map_err(|error| of_open(&error))?;
    hash(&mut input, |_| Ok(())).map(|(digest, _)| digest).map_err(|error| unreadable(&error))
}

/// Checks the pin on the copy, not on the repository, whose files may change in between.
fn check_pin(
    candidate: &Candidate,
    pin: &Pin,
    data: &[PathBuf],
    files: &CopiedFiles,
    folder: &Path,
) -> Result<(), Refusal> {
    if let Some(file) = files.iter().find(|file| !pin.sha256.is_empty() && !pin.sha256.contains(&file.digest))
    {
        let detail = format!("{} has the sha256 {}, which is not one of pin.sha256", file.path, file.digest);
        return Err(Refusal::new(Reason::DigestMismatch, detail));
    }
    let Some(key) = &pin.minisign_public_key else { return Ok(()) };
    let refused = |detail: String| Refusal::new(Reason::SignatureMismatch, detail);
    let key =
        PublicKey::from_base64(key).map_err(|error| refused(format!("pin.minisign_public_key: {error}")))?;
    for (file, source) in files.iter().zip(std::iter::once(&candidate.file).chain(data)) {
        let signature_file = signature_of(source.clone());
        let mut text = String::new();
        confined_file::open(&candidate.root, &signature_file)
            .map_err(|error| refused(error.to_string()))?
            .take(MAX_SIGNATURE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| refused(format!("the signature of {} cannot be read: {error}", file.path)))?;
        let wrong =
            |error: minisign_verify::Error| refused(format!("the signature of {}: {error}", file.path));
        let signature = Signature::decode(&text).map_err(wrong)?;
        let mut verifier = key.verify_stream(&signature).map_err(wrong)?;
        let mut copy = File::open(folder.join(&file.path)).map_err(|error| unreadable(&error))?;
        hash(&mut copy, |block| {
            verifier.update(block);
            Ok(())
        })
        .map_err(|error| unreadable(&error))?;
        verifier.finalize().map_err(wrong)?;
    }
    Ok(())
}

fn of_open(error: &OpenError) -> Refusal {
    let reason = match error {
        OpenError::Outside(_) | OpenError::Linked(_) => Reason::OutsideFolder,
        OpenError::Io(..) => Reason::Unreadable,
    };
    Refusal::new(reason, error.to_string())
}

pub(super) fn unreadable(error: &io::Error) -> Refusal {
    Refusal::new(Reason::Unreadable, format!("the files cannot be copied: {error}"))
}

/// Refuses a copy that cannot be written. States the kind of the error only, because a path must not be shown.
pub(super) fn unwritable(error: &io::Error) -> Refusal {
    let detail = format!("a private copy cannot be written to models.state_directory: {}", error.kind());
    Refusal::new(Reason::StorageUnavailable, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_private_and_the_one_of_the_copy_is_not_made_again() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("copies/.incoming-1/files");
        let made = make_folders(&folder, "weights/a/b.bin");
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::NotFound);
        make_folders(&folder, "model.onnx").unwrap();
        assert!(!state.path().join("copies").exists(), "a folder that was removed came back");
        fs::create_dir_all(&folder).unwrap();
        for name in ["model.onnx", "weights/a/b.bin", "weights/a/c.bin"] {
            make_folders(&folder, name).unwrap();
        }
        for part in ["weights", "weights/a"] {
            let mode = fs::metadata(folder.join(part)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{part}");
        }
    }
}
