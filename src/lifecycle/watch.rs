//! File events: hints that something changed. Whatever they miss (network file systems, a full queue, links that are
//! swapped) is found by looking again and again.

use std::{
    os::unix::fs::MetadataExt,
    path::{Component, Path},
    sync::mpsc::Sender,
};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

use rustix::fs::{FsWord, statfs};

use super::manager::Message;

/// The names that statfs(2) has for ext4 (and those before), XFS, Btrfs, F2FS and tmpfs.
const LOCAL: [FsWord; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// Tells the manager of changes for as long as it lives.
#[derive(Debug)]
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the folder and all below it; nothing where the system cannot.
    pub(super) fn start(repository: &Path, messages: Sender<Message>) -> Option<Self> {
        // As events have it.
        let folder = std::path::absolute(repository).unwrap_or_else(|_| repository.to_path_buf());
        let tell = move |event: notify::Result<Event>| match event {
            Ok(event) if is_change(&event) => {
                for name in changed(&folder, &event) {
                    let _ = messages.send(Message::Changed(name));
                }
            }
            Ok(_) => {}
            // It may be a queue that ran over: then anything may have changed.
            Err(_) => {
                let _ = messages.send(Message::Changed(None));
            }
        };
        // A link may lead to all of the machine; what it leads to is looked at regularly.
        let config = Config::default().with_follow_symlinks(false);
        let watching = RecommendedWatcher::new(tell, config).and_then(|mut watcher| {
            watcher.watch(repository, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Some(Self { _watcher: watcher }),
            Err(error) => {
                tracing::info!(%error, "no file events can be had; the repository is looked at regularly");
                None
            }
        }
    }
}

/// The device and inode of a folder in which whatever changes is told of; `None` where others than this kernel change it:
/// over a network, in an emulated file system, or below an overlay.
pub(super) fn heard_folder(folder: &Path) -> Option<(u64, u64)> {
    let system = statfs(folder).ok()?;
    let metadata = folder.metadata().ok()?;
    LOCAL.contains(&system.f_type).then(|| (metadata.dev(), metadata.ino()))
}

/// The names in the repository that an event is about, or `None` for all of them.
fn changed(repository: &Path, event: &Event) -> Vec<Option<String>> {
    if event.need_rescan() || event.paths.is_empty() {
        return vec![None];
    }
    let name = |path: &Path| match path.strip_prefix(repository).ok()?.components().next()? {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    };
    event.paths.iter().map(|path| name(path)).collect()
}

/// Reading a file is an event too, and the gateway reads all of them.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
