//! Fingerprints that detect changed files without reading them.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

/// Changes whenever the content of a file may have changed: a hint that a hash then confirms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<Stamp>>);

/// Identity, size and change time of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Another one for each content that replaces a file. On disks, device and inode.
    pub(super) identity: (u64, u64),
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970. On disks, the change time: unlike the modification time, a copying tool
    /// cannot set it back.
    pub(super) changed: (i64, i64),
}

impl Fingerprint {
    /// Takes the fingerprint of these files, links followed. A missing file is part of the fingerprint, too.
    pub fn of<'f>(files: impl IntoIterator<Item = &'f Path>) -> Self {
        Self::new(files.into_iter().map(|file| Stamp::of(file).ok()))
    }

    /// Creates the fingerprint of files with these stamps, `None` for each that is missing.
    pub(super) fn new(stamps: impl IntoIterator<Item = Option<Stamp>>) -> Self {
        Self(stamps.into_iter().collect())
    }

    /// Returns true if every file is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    /// Returns true if some of the files are those of `before`, unchanged, and others are not.
    #[must_use]
    pub fn is_part_of(&self, before: &Self) -> bool {
        let is_known = |stamp: &&Option<Stamp>| stamp.is_some() && before.0.contains(stamp);
        let known = self.0.iter().filter(is_known).count();
        known > 0 && known < self.0.len()
    }

    /// Returns true if these files are unchanged, in the same order.
    #[must_use]
    pub fn is_of<'f>(&self, files: impl IntoIterator<Item = &'f Path>) -> bool {
        let mut files = files.into_iter();
        self.0.iter().all(|known| files.next().is_some_and(|file| Stamp::of(file).ok() == *known))
            && files.next().is_none()
    }

    /// Returns true if none of the files that are there changed within this time, by our clock.
    #[must_use]
    pub fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        self.0.iter().flatten().all(|stamp| stamp.age(now).is_some_and(|of_file| of_file >= age))
    }

    /// Returns the time since the last change of any file. `None` if its clock is ahead of ours or a file is missing.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let age = |stamp: &Option<Stamp>| stamp.as_ref()?.age(now);
        let mut ages = self.0.iter().map(age);
        let first = ages.next()??;
        ages.try_fold(first, |least, age| Some(least.min(age?)))
    }
}

impl Stamp {
    fn of(file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn age(&self, now: SystemTime) -> Option<Duration> {
        let (seconds, nanoseconds) = self.changed;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let changed = if seconds < 0 { epoch.checked_sub(whole)? } else { epoch.checked_add(whole)? };
        let changed = changed.checked_add(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))?;
        now.duration_since(changed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_any_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let (model, weights) = (folder.path().join("model.onnx"), folder.path().join("w.bin"));
        let of = || Fingerprint::of([model.as_path(), weights.as_path()]);
        fs::write(&model, "one").unwrap();
        let first = of();
        assert!(!first.is_whole() && first == of());
        fs::write(&weights, "1").unwrap();
        let second = of();
        assert!(second.is_whole() && second != first);
        assert!(second.is_part_of(&first), "the weights are new, the model is not");
        assert!(!second.is_part_of(&second) && !second.is_part_of(&Fingerprint::default()));
        let other = folder.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &model).unwrap();
        assert_ne!(of(), second);
        assert!(
            of().age(SystemTime::now() + Duration::from_secs(5))
                .is_some_and(|age| age >= Duration::from_secs(4))
        );
    }

    #[test]
    fn every_time_that_a_file_system_may_know_has_an_age() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let age = |changed| Stamp { identity: (0, 0), size: 0, changed }.age(now);
        assert_eq!(age((999, 500_000_000)), Some(Duration::from_millis(500)));
        assert_eq!(age((-1, 500_000_000)), Some(Duration::from_millis(1_000_500)), "before 1970");
        assert_eq!(age((1001, 0)), None, "ahead of ours");
        for extreme in [(i64::MIN, 0), (i64::MAX, 999_999_999), (0, i64::MAX), (0, -1), (i64::MAX, i64::MIN)]
        {
            let _ = age(extreme);
        }
        assert_eq!(
            Stamp { identity: (0, 0), size: 0, changed: (0, 0) }.age(now - Duration::from_secs(5000)),
            None,
            "our own clock was never set"
        );
    }
}
