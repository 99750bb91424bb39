//! One comparison of a store with its mirror: list, download what changed, list again, publish.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::{StreamExt, stream};

use super::{
    bucket::{Bucket, Object},
    failure::Failure,
    listing::{Listing, ObjectSet},
    mirror::Mirror,
};
use crate::config::{StoreSettings, StoreUrl};

/// Downloads at a time.
const DOWNLOADS: usize = 4;

/// Keeps a mirror like its store.
#[derive(Debug)]
pub(super) struct Poller {
    pub(super) url: StoreUrl,
    pub(super) settings: StoreSettings,
    pub(super) mirror: Arc<Mirror>,
    /// Held for writing while sets change, so that no scan sees half of a change.
    pub(super) gate: Arc<RwLock<()>>,
    /// The connection to the store; made again after a failure, as certificates may be renewed.
    pub(super) bucket: Option<Bucket>,
}

/// The result of a poll.
#[derive(Debug)]
pub(super) struct Poll {
    /// Sets that changed.
    pub(super) changed: BTreeSet<String>,
    /// Names that are not mirrored, with the reason. `None` if there was no listing.
    pub(super) refused: Option<BTreeMap<String, &'static str>>,
    /// The bytes of all objects. `None` if there was no listing.
    pub(super) bytes: Option<u64>,
    /// The first failure.
    pub(super) outcome: Result<(), Failure>,
}

/// The sets that were not downloaded, and the first reason.
#[derive(Debug, Default)]
struct Missed {
    sets: BTreeSet<String>,
    failure: Option<Failure>,
}

impl Poller {
    /// Compares the store with the mirror once.
    ///
    /// Cancel safe: sets change between two points where it waits.
    pub(super) async fn poll(&mut self) -> Poll {
        let mut poll = Poll { changed: BTreeSet::new(), refused: None, bytes: None, outcome: Ok(()) };
        poll.outcome = self.update(&mut poll).await;
        if poll.outcome.as_ref().is_err_and(|failure| !failure.is_passing()) {
            self.bucket = None;
        }
        poll
    }

    async fn update(&mut self, poll: &mut Poll) -> Result<(), Failure> {
        let bucket = match self.bucket.take() {
            Some(bucket) => bucket,
            None => Bucket::new(&self.url, &self.settings)?,
        };
        let bucket = self.bucket.insert(bucket);
        let (mirror, gate) = (&self.mirror, &self.gate);
        let listing = Listing::new(bucket.list().await?);
        let bytes = listing.bytes();
        (poll.bytes, poll.refused) = (Some(bytes), Some(listing.refused.clone()));
        if bytes > self.settings.max_bytes {
            return Err(Failure::TooLarge(bytes, self.settings.max_bytes));
        }
        let mirrored = mirror.sets();
        if listing.sets.is_empty() && mirrored.values().any(|objects| !objects.is_empty()) {
            return Err(Failure::Emptied);
        }
        let wanted: BTreeMap<&String, &ObjectSet> =
            listing.sets.iter().filter(|(name, objects)| mirrored.get(*name) != Some(*objects)).collect();
        let is_gone =
            |name: &String, objects: &ObjectSet| !listing.sets.contains_key(name) && !objects.is_empty();
        let gone: Vec<&String> =
            mirrored.iter().filter(|(name, objects)| is_gone(name, objects)).map(|(name, _)| name).collect();
        if wanted.is_empty() && gone.is_empty() && mirror.is_filled() {
            return Ok(());
        }
        if !mirror.may_write()? {
            return Err(Failure::Waiting);
        }
        let missed = download(bucket, mirror, &wanted).await?;
        // Objects may have changed meanwhile: only what is listed twice is known to belong together.
        let again = Listing::new(bucket.list().await?);
        let mut is_changing = false;
        let mut is_settled = |name: &String| {
            let is_same = again.sets.get(name) == listing.sets.get(name);
            is_changing |= !is_same;
            is_same
        };
        let gone: Vec<&String> = gone.into_iter().filter(|name| is_settled(name)).collect();
        let wanted: Vec<(&String, &ObjectSet)> =
            wanted.into_iter().filter(|(name, _)| !missed.sets.contains(*name) && is_settled(name)).collect();
        let prepared: Vec<_> = wanted
            .iter()
            .map(|(name, objects)| Ok((*name, mirror.folder(name).prepare(objects)?)))
            .collect::<Result<_, Failure>>()?;
        {
            let _alone = gate.write().unwrap_or_else(PoisonError::into_inner);
            for name in gone {
                mirror.remove(name)?;
                poll.changed.insert(name.clone());
            }
            for (name, generation) in prepared {
                mirror.folder(name).publish(&generation)?;
                poll.changed.insert(name.clone());
            }
        }
        for (name, objects) in wanted {
            mirror.folder(name).sweep(objects)?;
        }
        if !mirror.is_filled() {
            mirror.mark_filled()?;
        }
        match missed.failure {
            Some(failure) => Err(failure),
            None if is_changing => Err(Failure::Changing),
            None => Ok(()),
        }
    }
}

/// Downloads the objects of these sets that the mirror lacks.
///
/// # Errors
///
/// Failures that would happen with every other object, too.
async fn download(
    bucket: &Bucket,
    mirror: &Mirror,
    wanted: &BTreeMap<&String, &ObjectSet>,
) -> Result<Missed, Failure> {
    let objects = wanted.iter().flat_map(|(set, objects)| objects.values().map(move |object| (*set, object)));
    let lacking = objects.filter(|(set, object)| !mirror.folder(set).holds(object));
    let downloads =
        lacking.map(|(set, object)| async move { (set, download_one(bucket, mirror, set, object).await) });
    // Collected, since a stream of borrowing futures that an iterator makes is not known to be `Send`.
    let mut downloads = stream::iter(downloads.collect::<Vec<_>>()).buffer_unordered(DOWNLOADS);
    let mut missed = Missed::default();
    while let Some((set, result)) = downloads.next().await {
        match result {
            Ok(()) => {}
            Err(
                failure @ (Failure::Changing | Failure::Size(_) | Failure::Missing | Failure::Response(_)),
            ) => {
                missed.sets.insert(set.clone());
                missed.failure.get_or_insert(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(missed)
}

async fn download_one(bucket: &Bucket, mirror: &Mirror, set: &str, object: &Object) -> Result<(), Failure> {
    let folder = mirror.folder(set);
    let mut file = folder.begin()?;
    bucket.download(object, &mut file).await?;
    Ok(folder.keep(object, file)?)
}
