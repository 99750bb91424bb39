//! Entries of a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// An entry of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// True for a folder, and for a link to one.
    pub(super) is_folder: bool,
}

/// Lists a folder without hidden entries: editors, copying tools and Kubernetes (`..data`) keep their own files there.
pub(super) fn visible_entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Escaped, because these names are shown in logs and on terminals. A name that escaping changes is not a valid
        // model name.
        let name = entry.file_name().to_string_lossy().escape_debug().to_string();
        if !name.starts_with('.') {
            let path = entry.path();
            // The entry knows its type, which saves a system call for each of thousands of files.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => path.is_dir(),
            };
            entries.push(Entry { name, path, is_folder });
        }
    }
    Ok(entries)
}
