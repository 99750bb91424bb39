//! Hard links: a check that all names of a file lie within the repository.
//!
//! A hard link is indistinguishable from the file itself. A client that may write into the repository, but not read a
//! file beside it, could have the gateway read it by linking it there.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{StatVfsMountFlags, fstatvfs};

/// Most directory entries that a search for a file's other names examines.
const MAX_ENTRIES: usize = 10_000;

/// Returns true if a file may have a name outside of `root` that a client could have linked.
///
/// Links among the files of one folder are allowed, as tools make them to save space. So are links on read-only file
/// systems, as in the layers of an image: no client could have made one there.
pub(super) fn may_lead_outside(root: &Path, file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if metadata.nlink() <= 1 {
        return Ok(false);
    }
    let is_read_only = fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(!is_read_only && (names(root, &metadata).len() as u64) < metadata.nlink())
}

/// Finds the names of a file beneath a folder, without following links. Incomplete beyond `MAX_ENTRIES` entries.
fn names(root: &Path, file: &Metadata) -> Vec<PathBuf> {
    let is_same = |metadata: &Metadata| (metadata.dev(), metadata.ino()) == (file.dev(), file.ino());
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    let mut seen = 0;
    'folders: while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                break 'folders;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) if is_same(&metadata) => found.push(entry.path()),
                _ => {}
            }
        }
    }
    // A file renamed during the search may have been met twice.
    found.retain(|name| fs::symlink_metadata(name).is_ok_and(|metadata| is_same(&metadata)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_all_its_names_inside_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("iris"), folder.path().join("outside"));
        fs::create_dir_all(root.join("1")).unwrap();
        fs::create_dir_all(root.join("2")).unwrap();
        let leads_outside =
            |name: &str| may_lead_outside(&root, &File::open(root.join(name)).unwrap()).unwrap();
        fs::write(root.join("1/model.onnx"), "inside").unwrap();
        assert!(!leads_outside("1/model.onnx"));
        fs::hard_link(root.join("1/model.onnx"), root.join("2/model.onnx")).unwrap();
        assert!(!leads_outside("1/model.onnx") && !leads_outside("2/model.onnx"));
        fs::hard_link(root.join("1/model.onnx"), &outside).unwrap();
        assert!(leads_outside("1/model.onnx") && leads_outside("2/model.onnx"));
        fs::remove_file(&outside).unwrap();
        assert!(!leads_outside("1/model.onnx"), "its last name outside is gone");
        fs::write(&outside, "outside").unwrap();
        fs::hard_link(&outside, root.join("stolen")).unwrap();
        assert!(leads_outside("stolen"));
    }
}
