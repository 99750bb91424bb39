//! Making one copy of a version's files, hashed as they are copied and checked as they were copied.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use minisign_verify::{PublicKey, Signature};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{CopiedFile, Manifest};
use crate::{
    lifecycle::{
        Candidate, Reason, Refusal,
        beneath::{self, OpenError},
        model_config::Pin,
        source::signature_of,
    },
    model::Digest,
};

/// How much is read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// A signature is a few lines.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// Copies every file of the candidate into `folder`, which is made.
pub(super) fn copy(
    candidate: &Candidate,
    contract: Option<&Value>,
    pin: &Pin,
    folder: &Path,
) -> Result<Manifest, Refusal> {
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| unwritable(&error))?;
    let sources = sources(candidate)?;
    let mut files = Vec::new();
    for source in &sources {
        files.push(copy_file(candidate, source, &name_of(candidate, source), folder)?);
    }
    check_pin(candidate, pin, &sources, &files, folder)?;
    let content = content_of(&files, contract);
    Ok(Manifest { content, digest: shown_digest(&files), files, contract: contract.cloned() })
}

/// Returns true if the candidate's files are these, in name, order and every byte.
pub(super) fn is_same(candidate: &Candidate, files: &[CopiedFile]) -> bool {
    let Ok(sources) = sources(candidate) else { return false };
    let is_file = |(source, file): (&PathBuf, &CopiedFile)| {
        // A length tells most that are not, without reading them.
        name_of(candidate, source) == file.path
            && fs::metadata(source).is_ok_and(|metadata| metadata.len() == file.bytes)
            && beneath::open(&candidate.root, source).is_ok_and(|mut input| {
                hash(&mut input, |_| Ok(())).is_ok_and(|(digest, _)| digest == file.digest)
            })
    };
    sources.len() == files.len() && sources.iter().zip(files).all(is_file)
}

/// The name of a file relative to the model's, as a copy has it.
fn name_of(candidate: &Candidate, source: &Path) -> String {
    let home = candidate.file.parent().unwrap_or(&candidate.root);
    source.strip_prefix(home).unwrap_or(source).to_string_lossy().into_owned()
}

/// The candidate's files, the model's first, each once.
fn sources(candidate: &Candidate) -> Result<Vec<PathBuf>, Refusal> {
    let mut sources = vec![candidate.file.clone()];
    for name in &candidate.external {
        let source = beneath::relative(&candidate.file, name).ok_or_else(|| {
            let detail = format!("it names `{}`, which leads out of its folder", name.escape_debug());
            Refusal::new(Reason::OutsideFolder, detail)
        })?;
        // A file may be named twice, and a model may keep weights in its own file.
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// The digest that answers show: the sha256 of the model's file if it stands alone.
///
/// With data files it is the sha256 of a list: the sha256 of each file in hex, a line each, the model's file first and
/// the others by the bytes of their names. So a shell can compute it, whatever the model's file is called:
/// `sha256sum model.onnx a.data b.data | cut -d ' ' -f 1 | sha256sum`.
pub(super) fn shown_digest(files: &[CopiedFile]) -> Digest {
    let Some((model, data)) = files.split_first() else { return Digest::of(b"") };
    if data.is_empty() {
        return model.digest;
    }
    let mut data: Vec<&CopiedFile> = data.iter().collect();
    data.sort_by(|left, right| left.path.cmp(&right.path));
    let lines = std::iter::once(model).chain(data).map(|file| format!("{}\n", file.digest));
    Digest::of(lines.collect::<String>().as_bytes())
}

/// The digest of everything that a deployment's answers depend on.
pub(super) fn content_of(files: &[CopiedFile], contract: Option<&Value>) -> Digest {
    let mut hasher = Sha256::new();
    for file in files {
        // Lengths first, so that no two lists of files read the same.
        hasher.update((file.path.len() as u64).to_le_bytes());
        hasher.update(&file.path);
        hasher.update(file.digest.to_string());
    }
    hasher.update(contract.map(ToString::to_string).unwrap_or_default());
    Digest::from_hasher(hasher)
}

fn copy_file(candidate: &Candidate, source: &Path, name: &str, folder: &Path) -> Result<CopiedFile, Refusal> {
    let mut input = beneath::open(&candidate.root, source).map_err(|error| of_open(&error))?;
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

/// The digest and size of everything that `input` gives, each block of which is handed on.
fn hash(input: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        let read = input.read(&mut block)?;
        if read == 0 {
            return Ok((Digest::from_hasher(hasher), bytes));
        }
        hasher.update(&block[..read]);
        each(&block[..read])?;
        bytes += read as u64;
    }
}

/// The digest of a file of a copy.
pub(super) fn digest_of_file(path: &Path) -> io::Result<Digest> {
    hash(&mut File::open(path)?, |_| Ok(())).map(|(digest, _)| digest)
}

/// The digest of a file in the repository, as it is now.
pub(in crate::lifecycle) fn digest_of(candidate: &Candidate) -> Result<Digest, Refusal> {
    let mut input = beneath::open(&candidate.root, &candidate.file).map_err(|error| of_open(&error))?;
    hash(&mut input, |_| Ok(())).map(|(digest, _)| digest).map_err(|error| unreadable(&error))
}

/// What was copied is checked, not what lies in the repository: that may change in between.
fn check_pin(
    candidate: &Candidate,
    pin: &Pin,
    sources: &[PathBuf],
    files: &[CopiedFile],
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
    for (file, source) in files.iter().zip(sources) {
        let signature_file = signature_of(source.clone());
        let mut text = String::new();
        beneath::open(&candidate.root, &signature_file)
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

/// Says that the copy has no place. By its kind alone, as a path must not be shown.
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
