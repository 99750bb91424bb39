//! File events: hints that the repository changed. Scans find what they miss (network file systems, a full queue, links
//! that are switched).

use std::path::{Component, Path};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

use crate::lifecycle::source::ChangeListener;

/// A watcher that reports changes until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the folder and everything below it. `None` if the system cannot.
    pub(super) fn start(repository: &Path, changed: ChangeListener) -> Option<Self> {
        // An absolute path, as in the events.
        let folder = std::path::absolute(repository).unwrap_or_else(|_| repository.to_path_buf());
        let tell = move |event: notify::Result<Event>| match event {
            Ok(event) if is_change(&event) => {
                entries_of(&folder, &event).into_iter().for_each(&changed);
            }
            Ok(_) => {}
            // The queue may have overflowed: anything may have changed.
            Err(_) => changed(None),
        };
        // Links are not followed, as one may lead to the whole machine. Scans cover their targets.
        let config = Config::default().with_follow_symlinks(false);
        let watching = RecommendedWatcher::new(tell, config).and_then(|mut watcher| {
            watcher.watch(repository, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Some(Self { _watcher: watcher }),
            Err(error) => {
                tracing::info!(%error, "failed to subscribe to file events; the repository is scanned at intervals");
                None
            }
        }
    }
}

/// Lists the repository entries that an event concerns; `None` stands for all of them.
fn entries_of(repository: &Path, event: &Event) -> Vec<Option<String>> {
    if event.need_rescan() || event.paths.is_empty() {
        return vec![None];
    }
    let name = |path: &Path| match path.strip_prefix(repository).ok()?.components().next()? {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    };
    event.paths.iter().map(|path| name(path)).collect()
}

/// Returns true if an event is a change. Reading a file is an event too, and the gateway reads all of them.
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
