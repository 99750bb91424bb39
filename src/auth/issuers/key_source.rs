//! Keys that are fetched from an issuer and kept fresh.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    location::{KeyFetchError, Location},
    observer::{FetchedSet, Observer},
    published_keys::PublishedKeys,
    schedule::{FETCH_TIMEOUT, LOOKUP_INTERVAL, refresh_after, retry_after, with_jitter},
};
use crate::{config::Algorithm, telemetry::Metrics};

/// The keys of one issuer, and the task that fetches them. The task ends with this.
#[derive(Debug)]
pub(super) struct KeySource {
    origin: Origin,
    fetched: Arc<FetchedKeys>,
    task: OnceLock<AbortHandle>,
}

/// Everything that decides which keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The name of the issuer in the settings, for logs and metrics.
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) location: Location,
    pub(super) algorithms: Vec<Algorithm>,
}

impl Drop for KeySource {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl KeySource {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, fetched: Arc::new(FetchedKeys::new()), task: OnceLock::new() }
    }

    /// Returns true if both fetch the same keys.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    pub(super) fn fetched(&self) -> &Arc<FetchedKeys> {
        &self.fetched
    }

    /// Starts to fetch, unless that has begun before.
    pub(super) fn start(&self, runtime: &Handle, metrics: &Arc<Metrics>) {
        self.task.get_or_init(|| {
            let (origin, fetched, metrics) =
                (self.origin.clone(), Arc::clone(&self.fetched), Arc::clone(metrics));
            let task = runtime.spawn(async move {
                let fetch = || async {
                    let (keys, document) = origin.location.keys(&origin.issuer, &origin.algorithms).await?;
                    Ok((keys, document.max_age))
                };
                fetched.keep_fresh(Observer::new(&origin.name, &metrics), fetch).await;
            });
            task.abort_handle()
        });
    }
}

/// The keys that were fetched last, and the state of the next fetch.
#[derive(Debug)]
pub(crate) struct FetchedKeys {
    /// `None` before the first success.
    keys: ArcSwapOption<PublishedKeys>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Fetches that have ended, well or not.
    finished: u64,
    is_fetching: bool,
    /// True if a request asks for a fetch.
    is_wanted: bool,
    /// True if the last fetch has failed.
    has_failed: bool,
    /// Time of the next fetch without a request for it.
    next_attempt: Instant,
    /// Time from which a request may ask for a fetch.
    next_lookup: Instant,
}

/// The outcome of asking for newer keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// A fetch has ended: the keys may be others.
    Fetched,
    /// The keys are those of a moment ago, and the next look-up is not due yet.
    NotDue,
    /// The issuer does not respond; to be asked again after this time.
    Unavailable(Duration),
}

impl FetchedKeys {
    fn new() -> Self {
        let now = Instant::now();
        let progress = Progress {
            finished: 0,
            is_fetching: true,
            is_wanted: false,
            has_failed: false,
            next_attempt: now,
            next_lookup: now,
        };
        Self { keys: ArcSwapOption::empty(), progress: watch::Sender::new(progress) }
    }

    /// Returns the keys; `None` before the first success.
    pub(super) fn keys(&self) -> Option<Arc<PublishedKeys>> {
        self.keys.load_full()
    }

    /// Waits for newer keys until the deadline: for those of the fetch in progress, or of one that this asks for if the
    /// next look-up is due.
    pub(crate) async fn renew(&self, deadline: Instant) -> Renewal {
        let mut progress = self.progress.subscribe();
        let (now, has_keys) = (Instant::now(), self.keys.load().is_some());
        let mut immediate = None;
        let mut seen = 0;
        self.progress.send_if_modified(|progress| {
            seen = progress.finished;
            if progress.is_fetching || progress.is_wanted {
                return false;
            }
            if now >= progress.next_lookup {
                progress.is_wanted = true;
                progress.next_lookup = now + LOOKUP_INTERVAL;
                return true;
            }
            let next = progress.next_attempt.min(progress.next_lookup);
            let is_down = progress.has_failed || !has_keys;
            immediate =
                Some(if is_down { Renewal::Unavailable(next.duration_since(now)) } else { Renewal::NotDue });
            false
        });
        if let Some(immediate) = immediate {
            return immediate;
        }
        match timeout_at(deadline, progress.wait_for(|progress| progress.finished > seen)).await {
            Ok(Ok(_)) => Renewal::Fetched,
            _ => Renewal::Unavailable(FETCH_TIMEOUT),
        }
    }

    /// Fetches at once, and then whenever the keys are due or a request asks for them. Never ends.
    async fn keep_fresh<F, R>(&self, mut observer: Observer<'_>, fetch: F)
    where
        F: Fn() -> R,
        R: Future<Output = FetchedSet>,
    {
        let mut failures = 0;
        let mut wanted = self.progress.subscribe();
        loop {
            self.progress.send_modify(|progress| (progress.is_fetching, progress.is_wanted) = (true, false));
            let fetched = timeout(FETCH_TIMEOUT, fetch()).await;
            let fetched = fetched.unwrap_or_else(|_| Err(KeyFetchError::Timeout(FETCH_TIMEOUT.as_secs())));
            observer.observe(&fetched, self.keys.load().as_deref());
            let pause = if let Ok((keys, max_age)) = fetched {
                failures = 0;
                self.store(keys);
                refresh_after(max_age)
            } else {
                failures += 1;
                retry_after(failures, self.keys.load().is_some())
            };
            let pause = with_jitter(pause, rand::random());
            self.finish(failures > 0, pause);
            drop(timeout(pause, wanted.wait_for(|progress| progress.is_wanted)).await);
        }
    }

    fn store(&self, mut keys: PublishedKeys) {
        if let Some(old) = self.keys.load_full() {
            keys.replace(&old);
        }
        self.keys.store(Some(Arc::new(keys)));
    }

    fn finish(&self, has_failed: bool, pause: Duration) {
        let now = Instant::now();
        self.progress.send_modify(|progress| {
            progress.finished += 1;
            progress.is_fetching = false;
            progress.has_failed = has_failed;
            progress.next_attempt = now + pause;
            if has_failed {
                progress.next_lookup = progress.next_lookup.max(now + LOOKUP_INTERVAL);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, task::JoinHandle};

    use super::*;

    type Fetched = FetchedSet;

    /// Keys whose fetches end when a test says so.
    struct Source {
        keys: Arc<FetchedKeys>,
        begun: mpsc::UnboundedReceiver<()>,
        end: mpsc::UnboundedSender<Fetched>,
        task: JoinHandle<()>,
    }

    impl Source {
        fn start() -> Self {
            let (keys, metrics) = (Arc::new(FetchedKeys::new()), Metrics::new(true).unwrap());
            let (begin, begun) = mpsc::unbounded_channel();
            let (end, ends) = mpsc::unbounded_channel::<Fetched>();
            let (kept, ends) = (Arc::clone(&keys), Arc::new(tokio::sync::Mutex::new(ends)));
            let task = tokio::spawn(async move {
                let fetch = || async {
                    begin.send(()).unwrap();
                    ends.lock().await.recv().await.unwrap()
                };
                kept.keep_fresh(Observer::new("login", &metrics), fetch).await;
            });
            Self { keys, begun, end, task }
        }

        /// Ends the fetch that has begun, or begins next.
        async fn fetch(&mut self, outcome: Fetched) {
            self.begun.recv().await.unwrap();
            let mut progress = self.keys.progress.subscribe();
            let before = progress.borrow().finished;
            self.end.send(outcome).unwrap();
            progress.wait_for(|progress| progress.finished > before).await.unwrap();
        }

        /// Asks for newer keys, in a task of its own.
        fn ask(&self) -> JoinHandle<Renewal> {
            let keys = Arc::clone(&self.keys);
            tokio::spawn(async move { keys.renew(Instant::now() + Duration::from_mins(1)).await })
        }

        async fn renew(&self) -> Renewal {
            self.keys.renew(Instant::now() + Duration::from_mins(1)).await
        }
    }

    impl Drop for Source {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    fn good(kid: &str) -> (PublishedKeys, Option<Duration>) {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x});
        let set = serde_json::json!({"keys": [key]}).to_string();
        (PublishedKeys::parse(set.as_bytes(), &[Algorithm::EdDSA]).unwrap(), None)
    }

    #[tokio::test]
    async fn all_who_ask_share_a_fetch_and_the_next_is_later() {
        let mut source = Source::start();
        let first = source.ask();
        source.fetch(Ok(good("1"))).await;
        assert_eq!(first.await.unwrap(), Renewal::Fetched, "it waited for the fetch at the start");
        let several: Vec<_> = (0..100).map(|_| source.ask()).collect();
        source.fetch(Ok(good("2"))).await;
        for one in several {
            assert_eq!(one.await.unwrap(), Renewal::Fetched);
        }
        assert_eq!(source.renew().await, Renewal::NotDue);
        assert!(source.begun.try_recv().is_err(), "no other fetch has begun");
        assert_eq!(source.keys.keys().unwrap().ids(), "2");
        // As if the time had passed.
        source.keys.progress.send_modify(|progress| progress.next_lookup = Instant::now());
        let later = source.ask();
        source.fetch(Ok(good("2"))).await;
        assert_eq!(later.await.unwrap(), Renewal::Fetched);
    }

    #[tokio::test]
    async fn without_its_source_the_keys_stay_and_unknown_ones_are_told_to_wait() {
        let mut source = Source::start();
        let status = || Err(crate::outbound::FetchError::Status(500).into());
        source.fetch(status()).await;
        let Renewal::Unavailable(after) = source.renew().await else { panic!("there are no keys") };
        assert!(after <= Duration::from_secs(2), "it is tried again soon: {after:?}");
        source.fetch(Ok(good("1"))).await;
        assert_eq!(source.keys.keys().unwrap().ids(), "1");
        source.keys.progress.send_modify(|progress| progress.next_lookup = Instant::now());
        let asked = source.ask();
        source.fetch(status()).await;
        assert_eq!(asked.await.unwrap(), Renewal::Fetched, "it has ended");
        let Renewal::Unavailable(after) = source.renew().await else { panic!("the source is down") };
        assert!(after > Duration::from_secs(20) && after <= Duration::from_secs(36), "{after:?}");
        assert_eq!(source.keys.keys().unwrap().ids(), "1");
    }

    #[tokio::test]
    async fn a_request_waits_until_its_deadline_only() {
        let source = Source::start();
        let renewal = source.keys.renew(Instant::now()).await;
        assert!(matches!(renewal, Renewal::Unavailable(_)), "{renewal:?}");
    }
}
