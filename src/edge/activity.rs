//! Activity of the models and of the gateway, for streams of events.
//!
//! One thread takes a sample each second and sends it to every stream. It runs only while a stream is open, so requests
//! pay nothing for it: it reads the counters that they keep anyway.

mod changes;
mod reading;
mod sample;

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::broadcast;

use self::reading::Reading;
use super::open_paths::OpenPaths;
use crate::{
    serving::Serving,
    system::{
        byte_budget::{ByteBudget, ShareKey},
        priority::{Niceness, set_niceness},
    },
    telemetry::Metrics,
};

pub(crate) use sample::{ModelSample, Sample};

/// Most streams of all clients together: each keeps a connection.
const MAX_STREAMS: usize = 256;

/// Most streams of one client. Browsers open six connections to a server, and some must remain for requests.
const MAX_STREAMS_OF_CLIENT: usize = 4;

/// Time between samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Samples that a stream may lag behind before it ends.
const MAX_LAG: usize = 8;

/// The sources of samples.
#[derive(Debug)]
pub struct Sources {
    /// The models.
    pub serving: Arc<Serving>,
    /// The counters of requests.
    pub metrics: Arc<Metrics>,
    /// The memory of requests.
    pub byte_budget: Arc<ByteBudget>,
    /// Paths whose requests are not counted: probes and documents.
    pub open_paths: OpenPaths,
}

/// The activity of a gateway.
#[derive(Debug)]
pub struct Activity {
    sources: Sources,
    streams: Mutex<Streams>,
    /// Wakes the sampler before its time.
    wake: Condvar,
    updates: broadcast::Sender<Update>,
}

/// The open streams, and the thread that serves them.
#[derive(Debug, Default)]
struct Streams {
    by_client: HashMap<ShareKey, usize>,
    total: usize,
    sampler: Sampler,
    thread: Option<JoinHandle<()>>,
    is_stopping: bool,
}

/// The state of the thread that takes samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sampler {
    #[default]
    Off,
    /// The counters, from which the first sample counts, are not read yet.
    Starting,
    On,
}

/// A message to every stream.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// Changes are reported from now on.
    Begun,
    /// A second has passed.
    Sample(Arc<Sample>),
    /// The stream ends.
    End(StreamEnd),
}

/// The reason why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The gateway stops.
    Stopping,
    /// Keys or clients have changed: the caller has to prove again who it is.
    AuthenticationChanged,
    /// The client did not read the last samples.
    TooSlow,
}

/// The reason why a stream is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRefusal {
    /// The client has as many as it may have.
    OfClient,
    /// All are taken.
    All,
    /// The gateway stops.
    Stopping,
    /// The system has no thread for samples.
    NoThread,
}

impl Activity {
    /// Creates the activity without streams.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let updates = broadcast::Sender::new(MAX_LAG);
        Self { sources, streams: Mutex::default(), wake: Condvar::new(), updates }
    }

    /// Opens a stream for a client.
    ///
    /// # Errors
    ///
    /// If too many are open, or the gateway stops.
    pub(crate) fn watch(self: &Arc<Self>, client: ShareKey) -> Result<Watch, StreamRefusal> {
        let mut streams = self.lock();
        let of_client = streams.by_client.get(&client).copied().unwrap_or_default();
        if streams.is_stopping {
            return Err(StreamRefusal::Stopping);
        } else if of_client >= MAX_STREAMS_OF_CLIENT {
            return Err(StreamRefusal::OfClient);
        } else if streams.total >= MAX_STREAMS {
            return Err(StreamRefusal::All);
        }
        if streams.sampler == Sampler::Off {
            let activity = Arc::clone(self);
            let thread = thread::Builder::new().name("events".to_owned()).spawn(move || activity.run());
            streams.thread = Some(thread.map_err(|error| {
                tracing::error!(%error, "failed to start the thread that samples activity");
                StreamRefusal::NoThread
            })?);
            streams.sampler = Sampler::Starting;
        }
        streams.total += 1;
        streams.by_client.insert(client, of_client + 1);
        let has_begun = streams.sampler == Sampler::On;
        let updates = self.updates.subscribe();
        drop(streams);
        Ok(Watch { activity: Arc::clone(self), client, updates, is_new: has_begun })
    }

    /// Ends every stream, so that each has to be opened again with a token that is still valid.
    pub fn end_streams(&self) {
        self.send(Update::End(StreamEnd::AuthenticationChanged));
    }

    /// Ends every stream, and refuses others. Waits for the thread, which holds the models while it reads.
    pub fn stop(&self) {
        let thread = {
            let mut streams = self.lock();
            streams.is_stopping = true;
            streams.thread.take()
        };
        self.wake.notify_all();
        self.send(Update::End(StreamEnd::Stopping));
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that samples activity panicked");
        }
    }

    /// Takes samples until no stream is open.
    fn run(&self) {
        set_niceness(Niceness::Background);
        let mut reading = Reading::of(&self.sources);
        let mut streams = self.lock();
        streams.sampler = Sampler::On;
        self.send(Update::Begun);
        loop {
            let due = Instant::now() + INTERVAL;
            while !streams.is_stopping && Instant::now() < due {
                let left = due.saturating_duration_since(Instant::now());
                let waited = self.wake.wait_timeout(streams, left);
                streams = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if streams.is_stopping || streams.total == 0 {
                streams.sampler = Sampler::Off;
                return;
            }
            drop(streams);
            self.send(Update::Sample(Arc::new(reading.advance(&self.sources))));
            streams = self.lock();
        }
    }

    fn send(&self, update: Update) {
        // It fails only if no stream is open.
        let _ = self.updates.send(update);
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Watch {
    activity: Arc<Activity>,
    client: ShareKey,
    updates: broadcast::Receiver<Update>,
    /// True if the sampler had begun before this stream, which has not been told yet.
    is_new: bool,
}

impl Watch {
    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Update {
        if std::mem::take(&mut self.is_new) {
            return Update::Begun;
        }
        match self.updates.recv().await {
            Ok(update) => update,
            Err(broadcast::error::RecvError::Lagged(_)) => Update::End(StreamEnd::TooSlow),
            Err(broadcast::error::RecvError::Closed) => Update::End(StreamEnd::Stopping),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut streams = self.activity.lock();
        streams.total = streams.total.saturating_sub(1);
        if let Some(count) = streams.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                streams.by_client.remove(&self.client);
            }
        }
    }
}
