//! Copying of a version's files. They are hashed while copied, and pins are checked on the copy.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use minisign_verify::{PublicKey, Signature};
use serde_json::Value;

use super::{CopiedFile, CopiedFiles, Manifest};
use crate::{
    lifecycle::{CandidateFiles, FileName, Reason, Refusal, confined_file::OpenError, model_config::Pin},
    model::{Digest, Hasher},
};

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Limit of a signature's size, which is a few lines.
const MAX_SIGNATURE_BYTES: u64 = 16 << 10;

/// Copies every file of the candidate into `folder`, which is created.
pub(super) fn copy(
    files: CandidateFiles<'_>,
    contract: Option<&Value>,
    pin: &Pin,
    folder: &Path,
) -> Result<Manifest, Refusal> {
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| unwritable(&error))?;
    let names = files.data_names()?;
    let model = copy_file(files, FileName::Model, &files.model_name(), folder)?;
    let copied = |name: &String| copy_file(files, FileName::Data(name), name, folder);
    let copied = CopiedFiles { model, data: names.iter().map(copied).collect::<Result<_, _>>()? };
    check_pin(files, pin, &copied, folder)?;
    let content = content_of(&copied, contract);
    Ok(Manifest { content, digest: shown_digest(&copied), files: copied, contract: contract.cloned() })
}

/// Returns true if the candidate's files are these, in name, order and every byte.
pub(super) fn is_same(files: CandidateFiles<'_>, copied: &CopiedFiles) -> bool {
    let Ok(names) = files.data_names() else { return false };
    let is_file = |name: FileName<'_>, path: &str, file: &CopiedFile| {
        // The length rules out most others without reading them.
        path == file.path
            && files.size(name) == Some(file.bytes)
            && files.open(name).is_ok_and(|mut input| {
                hash(&mut input, |_| Ok(())).is_ok_and(|(digest, _)| digest == file.digest)
            })
    };
    names.len() == copied.data.len()
        && is_file(FileName::Model, &files.model_name(), &copied.model)
        && names.iter().zip(&copied.data).all(|(name, file)| is_file(FileName::Data(name), name, file))
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

/// Copies a file to this path below `folder`.
fn copy_file(
    files: CandidateFiles<'_>,
    name: FileName<'_>,
    path: &str,
    folder: &Path,
) -> Result<CopiedFile, Refusal> {
    let mut input = files.open(name).map_err(|error| of_open(&error))?;
    let target = folder.join(path);
    make_folders(folder, path).map_err(|error| unwritable(&error))?;
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
    Ok(CopiedFile { path: path.to_owned(), digest, bytes })
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
fn hash(input: &mut dyn Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(Digest, u64)> {
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

/// Computes the digest of a candidate's model file, as it is now.
pub(in crate::lifecycle) fn digest_of(files: CandidateFiles<'_>) -> Result<Digest, Refusal> {
    let mut input = files.open(FileName::Model).map_err(|error| of_open(&error))?;
    hash(&mut input, |_| Ok(())).map(|(digest, _)| digest).map_err(|error| unreadable(&error))
}

/// Checks the pin on the copy, not on the repository, whose files may change in between.
fn check_pin(
    files: CandidateFiles<'_>,
    pin: &Pin,
    copied: &CopiedFiles,
    folder: &Path,
) -> Result<(), Refusal> {
    let is_other = |file: &&CopiedFile| !pin.sha256.is_empty() && !pin.sha256.contains(&file.digest);
    if let Some(file) = copied.iter().find(is_other) {
        let detail = format!("{} has the sha256 {}, which is not one of pin.sha256", file.path, file.digest);
        return Err(Refusal::new(Reason::DigestMismatch, detail));
    }
    let Some(key) = &pin.minisign_public_key else { return Ok(()) };
    let refused = |detail: String| Refusal::new(Reason::SignatureMismatch, detail);
    let key =
        PublicKey::from_base64(key).map_err(|error| refused(format!("pin.minisign_public_key: {error}")))?;
    let data = copied.data.iter().map(|file| (file, FileName::Data(&file.path)));
    for (file, name) in std::iter::once((&copied.model, FileName::Model)).chain(data) {
        let mut text = String::new();
        files
            .open_signature(name)
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
