//! Folders on file systems of this machine, where every change is an event.

use std::path::Path;

#[cfg(target_os = "linux")]
use rustix::fs::FsWord;

/// File system types of statfs(2) for ext4 (and its predecessors), XFS, Btrfs, F2FS and tmpfs.
#[cfg(target_os = "linux")]
const LOCAL: [FsWord; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// Returns the device and inode of a folder whose changes are all reported. `None` if other systems may change it
/// unnoticed: over a network, in an emulated file system, or below an overlay.
#[cfg(target_os = "linux")]
pub(super) fn watched_folder(folder: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let system = rustix::fs::statfs(folder).ok()?;
    let metadata = folder.metadata().ok()?;
    LOCAL.contains(&system.f_type).then(|| (metadata.dev(), metadata.ino()))
}

/// Returns `None`: which file systems of this system report all changes is not known.
#[cfg(not(target_os = "linux"))]
pub(super) fn watched_folder(_folder: &Path) -> Option<(u64, u64)> {
    None
}
