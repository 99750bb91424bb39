//! Creation, lookup and removal of private copies.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use rustix::fs::statvfs;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Manifest, Snapshot, Store, StoreError, copy,
    folder::{COPIES, Folder, INCOMING, OUTGOING},
    snapshot,
};
use crate::{
    lifecycle::{CandidateFiles, Reason, Refusal, model_config::Pin},
    model::Digest,
};

impl Store {
    /// Copies a candidate's files as they are now.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or copied, lies outside of the model's folder, or violates the pin.
    pub fn take(
        &self,
        files: CandidateFiles<'_>,
        contract: Option<&Value>,
        pin: &Pin,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let unwritable = |error: io::Error| copy::unwritable(&error);
        let folder = self.folder_to_write()?;
        let incoming = incoming(&folder).map_err(unwritable)?;
        room_for(files, &folder)?;
        let manifest = copy::copy(files, contract, pin, &incoming.path().join(snapshot::FILES))?;
        manifest.write(incoming.path()).map_err(unwritable)?;
        let content = manifest.content;
        if let Some(same) = self.held(content) {
            return Ok(same);
        }
        folder.hold(content).map_err(unwritable)?;
        // Another gateway may have made the same copy, or it served before.
        let is_whole = is_whole(&folder, content);
        let target = folder.copy(content);

        let mut live = self.live();
        // Held again: a sweep only knows copies in `live`, and another gateway's sweep could have come first.
        folder.hold(content).map_err(unwritable)?;
        if !(is_whole && target.exists()) {
            put_in_place(&folder, incoming, &target).map_err(unwritable)?;
        }
        // A copy whose files were removed is valid again if it was at this place.
        let known = live.get(&content).and_then(Weak::upgrade);
        if let Some(same) = known.filter(|same| same.is_there()) {
            return Ok(same);
        }
        let snapshot = Arc::new(Snapshot::new(target, manifest, folder));
        live.insert(content, Arc::downgrade(&snapshot));
        Ok(snapshot)
    }

    /// Returns the copy of this content. `None` if it is not in use or its files were removed.
    fn held(&self, content: Digest) -> Option<Arc<Snapshot>> {
        self.live().get(&content).and_then(Weak::upgrade).filter(|same| same.is_there())
    }

    /// Checks that there is room for a candidate's files: a file may claim to be larger than any disk.
    ///
    /// # Errors
    ///
    /// If there is less room than they take.
    pub fn check_room(&self, files: CandidateFiles<'_>) -> Result<(), Refusal> {
        room_for(files, &*self.folder_to_write()?)
    }

    /// Opens a copy made before, here or by another gateway. It is not verified: [`Snapshot::verify`] may take long,
    /// and a copy may never be loaded again.
    ///
    /// # Errors
    ///
    /// If it is gone, or has another content.
    pub fn reopen(&self, content: Digest) -> Result<Arc<Snapshot>, StoreError> {
        let mut live = self.live();
        if let Some(same) = live.get(&content).and_then(Weak::upgrade) {
            return Ok(same);
        }
        let failed = |error: io::Error| {
            StoreError::new(format!("the copy {} cannot be used", content.short()), &error)
        };
        let (lasting, place) = {
            let place = self.place();
            let lasting = place.lasting.clone();
            let readable = || Some(place.readable.as_ref()?.join(COPIES).join(content.to_string()));
            let found = lasting.as_ref().map(|folder| folder.copy(content)).or_else(readable);
            (lasting, found)
        };
        let place = place.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if let Some(Err(error)) = lasting.as_ref().map(|folder| folder.hold(content)) {
            tracing::debug!(%error, "failed to mark a copy as held");
        }
        let manifest = Manifest::read(&place, content).map_err(failed)?;
        let snapshot = Arc::new(match lasting {
            Some(folder) => Snapshot::new(place, manifest, folder),
            None => Snapshot::found(place, manifest),
        });
        live.insert(content, Arc::downgrade(&snapshot));
        Ok(snapshot)
    }

    /// Registers the copies in use again, for a folder that was replaced.
    pub fn retake_lock(&self) {
        let Some(folder) = self.place().lasting.clone() else { return };
        let live = self.live();
        for (content, _) in live.iter().filter(|(_, snapshot)| snapshot.strong_count() > 0) {
            if let Err(error) = folder.hold(*content) {
                tracing::debug!(%error, "failed to mark a copy as held");
            }
        }
    }

    /// Removes every copy that is neither in use nor recorded, by this gateway or another. Returns false if another
    /// gateway is writing, so that the sweep has to be repeated later.
    pub fn sweep(&self, remembered: &HashSet<Digest>) -> bool {
        let (lasting, temporary) = {
            let place = self.place();
            (place.lasting.clone(), place.temporary.clone())
        };
        let folders = lasting.into_iter().chain(temporary);
        let undone = folders.filter(|folder| !self.sweep_folder(folder, remembered));
        undone.count() == 0
    }

    fn sweep_folder(&self, folder: &Folder, needed: &HashSet<Digest>) -> bool {
        let mut live = self.live();
        live.retain(|_, snapshot| snapshot.strong_count() > 0);
        let remembered = self.remembered();
        let is_needed = |content: &Digest| {
            live.contains_key(content) || needed.contains(content) || remembered.is_of_others(content)
        };
        folder.hold_only(|content| live.contains_key(content));
        let Ok(entries) = fs::read_dir(folder.path.join(COPIES)) else { return true };
        // Names of incoming and outgoing copies, including those that a killed process left, are not digests.
        let copies = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        let unneeded: Vec<Digest> = copies.filter(|content| !is_needed(content)).collect();
        if unneeded.is_empty() {
            return true;
        }
        let Ok(writing) = folder.lock_to_write() else { return false };
        // Another gateway may have just recorded one of these copies.
        if folder.is_lasting() && remembered.has_changed(&folder.path) {
            return false;
        }
        let others = folder.others().held;
        let removed: Vec<PathBuf> = unneeded
            .into_iter()
            .filter(|content| !others.contains(content))
            .filter_map(|content| set_aside(folder, &folder.copy(content)))
            .collect();
        drop((writing, remembered, live));
        for copy in removed {
            if let Err(error) = fs::remove_dir_all(copy) {
                tracing::warn!(%error, "failed to remove a private copy of a model");
            }
        }
        true
    }

    /// Brings copies that were made in a temporary folder into this one.
    pub(super) fn bring_in(&self, folder: &Folder, contents: impl Iterator<Item = Digest>) -> io::Result<()> {
        for content in contents {
            let target = folder.copy(content);
            let Some(source) = self.held(content).filter(|_| !target.exists()) else { continue };
            let incoming = incoming(folder)?;
            copy_tree(source.folder(), incoming.path())?;
            folder.hold(content)?;
            put_in_place(folder, incoming, &target)?;
        }
        Ok(())
    }

    fn folder_to_write(&self) -> Result<Arc<Folder>, Refusal> {
        self.folder_for_copies().map_err(|error| {
            tracing::warn!("{error}");
            copy::unwritable(&io::ErrorKind::NotFound.into())
        })
    }
}

fn incoming(folder: &Folder) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(INCOMING).permissions(fs::Permissions::from_mode(0o700));
    builder.tempdir_in(folder.path.join(COPIES))
}

fn room_for(files: CandidateFiles<'_>, folder: &Folder) -> Result<(), Refusal> {
    let bytes = files.bytes();
    let room = statvfs(&folder.path)
        .map(|volume| volume.f_bavail.saturating_mul(volume.f_frsize))
        .map_err(|error| copy::unwritable(&error.into()))?;
    if bytes <= room {
        return Ok(());
    }
    let detail = format!(
        "copying it takes {} MiB, and {} MiB are free in models.state_directory",
        bytes >> 20,
        room >> 20
    );
    Err(Refusal::new(Reason::StorageUnavailable, detail))
}

/// Returns true if a copy is there and intact, byte for byte.
fn is_whole(folder: &Arc<Folder>, content: Digest) -> bool {
    let place = folder.copy(content);
    Manifest::read(&place, content)
        .and_then(|manifest| Snapshot::new(place, manifest, Arc::clone(folder)).verify())
        .is_ok()
}

/// Moves a copy to its final name, in place of a damaged one.
fn put_in_place(folder: &Folder, incoming: TempDir, target: &Path) -> io::Result<()> {
    let writing = folder.lock_to_write()?;
    let broken = target.exists().then(|| set_aside(folder, target)).flatten();
    fs::rename(incoming.path(), target)?;
    // The folder was renamed, so there is nothing left to remove.
    let _ = incoming.keep();
    drop(writing);
    broken.map_or(Ok(()), fs::remove_dir_all)
}

/// Renames a copy for removal: removing it takes longer than the write lock may be held.
fn set_aside(folder: &Folder, copy: &Path) -> Option<PathBuf> {
    let name = copy.file_name()?.to_string_lossy();
    let aside = folder.path.join(COPIES).join(format!("{OUTGOING}{name}-{}", std::process::id()));
    match fs::rename(copy, &aside) {
        Ok(()) => Some(aside),
        Err(error) => {
            tracing::warn!(%error, "failed to remove a private copy of a model");
            None
        }
    }
}

/// Copies a folder recursively. On the same disk, files are hard-linked, as they are never written.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
