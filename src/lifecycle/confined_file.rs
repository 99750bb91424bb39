//! Opening of repository files without following links out of the repository.
//!
//! A client that may write into the repository must not be able to make the gateway read another file of this machine.
//! Otherwise it could link to that file as a model or as weights, and read it through predictions.

mod links;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

/// Reasons not to open a file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file lies outside the model's folder, whatever its name says.
    #[error("{0} is a link, or names a file, outside of the model's folder")]
    Outside(String),
    /// Another name of the file may lie outside.
    #[error(
        "{0} is a hard link of a file that also has a name outside of the model's folder, which another user may own: \
         put a copy there instead"
    )]
    Linked(String),
    /// The file cannot be opened.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// Opens a regular file beneath `root`, which is a path without links. Links are followed within `root`, as Kubernetes
/// needs for its volumes.
///
/// # Errors
///
/// If the file is elsewhere, may have a name elsewhere, is not a regular file (pipes and devices have no end), or
/// cannot be read.
pub fn open(root: &Path, path: &Path) -> Result<File, OpenError> {
    let shown = || shown(root, path);
    let failed = |error| OpenError::Io(shown(), error);
    // Opening must not block on a pipe; for a regular file the flag changes nothing.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    // The location of the file that was opened: its path may lead elsewhere by now.
    let place = place_of(&file).map_err(failed)?;
    if !place.starts_with(root) {
        return Err(OpenError::Outside(shown()));
    }
    if links::may_lead_outside(root, &file).map_err(failed)? {
        return Err(OpenError::Linked(shown()));
    }
    Ok(file)
}

#[cfg(target_os = "linux")]
fn place_of(file: &File) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))
}

#[cfg(not(target_os = "linux"))]
fn place_of(file: &File) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let path = rustix::fs::getpath(file)?;
    Ok(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// Resolves the path of a file that a model names relative to itself. `None` if the name leads out of the model's
/// folder.
pub fn relative(model_file: &Path, name: &str) -> Option<PathBuf> {
    Some(model_file.with_file_name(within(name)?))
}

/// Normalizes the name of a file in the model's folder. `None` if the name leads out of it.
pub fn within(name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let plain = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    // `./w.bin` and `w.bin` are one file.
    let name: PathBuf = name.components().filter(|part| *part != Component::CurDir).collect();
    (plain && name.file_name().is_some()).then_some(name)
}

/// Shortens a path for messages: without the folders above the model's.
fn shown(root: &Path, path: &Path) -> String {
    let within = path.strip_prefix(root).ok().filter(|path| path.components().count() > 0);
    let name = within.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    name.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_may_point_anywhere_inside_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("iris");
        fs::create_dir_all(root.join("..data")).unwrap();
        fs::write(root.join("..data/model.onnx"), "inside").unwrap();
        fs::write(base.join("secret"), "outside").unwrap();
        symlink("..data/model.onnx", root.join("model.onnx")).unwrap();
        symlink("../secret", root.join("stolen.onnx")).unwrap();
        symlink(base.join("secret"), root.join("absolute.onnx")).unwrap();
        assert!(open(&root, &root.join("model.onnx")).is_ok());
        for bad in ["stolen.onnx", "absolute.onnx", "../secret"] {
            let error = open(&root, &root.join(bad)).unwrap_err();
            assert!(matches!(error, OpenError::Outside(_)), "{error}");
            assert!(!error.to_string().contains(base.to_str().unwrap()), "{error}");
        }
        assert!(matches!(open(&root, &root.join("..data")), Err(OpenError::Io(..))));
        assert!(matches!(open(&root, &root.join("gone")), Err(OpenError::Io(..))));
    }

    #[test]
    fn names_within_a_model_stay_within_its_folder() {
        let model = Path::new("/models/iris/1/model.onnx");
        assert_eq!(relative(model, "w.bin"), Some("/models/iris/1/w.bin".into()));
        assert_eq!(relative(model, "data/w.bin"), Some("/models/iris/1/data/w.bin".into()));
        for bad in ["/etc/passwd", "../w.bin", "a/../../w.bin", "", "..", "."] {
            assert_eq!(relative(model, bad), None, "{bad}");
        }
    }
}
