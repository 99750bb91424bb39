//! The manager: the one thread that decides, loads and drops. Requests never wait for it, and it never waits for a
//! candidate: other threads hash, copy and prove files ([`workers`]). What happens to a version becomes an event, and the
//! manager carries out the effects ([`effects`]).

mod compare;
mod effects;
mod load;
mod operations;
mod pending;
mod presence;
mod publish;
mod reconcile;
mod reschedule;
mod restore;
mod serve;
mod state;
mod workers;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    LifecycleSettings, ModelSource, Notice, PrepareRows, Prover, Servable, ServingMap, State, Store,
    VersionStatus,
    history::History,
    managed_model::ManagedModel,
    operation::Operation,
    policy::Action,
    version_harness::{Moment, SettleTimes, VersionEvent},
};
use crate::{
    config::Preserve,
    model::{Digest, ModelName},
    runtime::Runtime,
    system::priority,
    telemetry::Metrics,
};
use compare::{Compared, Comparison};
use pending::Pending;
use presence::Return;
use state::ReportedState;
use workers::{Done, Workers};

/// Upper limit of the settle time, however rarely the repository is scanned.
const MAX_SETTLE_TIME: Duration = Duration::from_secs(1);

/// Shortest pause between two scans, even if the repository is written all the time.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Pause between two checks whether requests still hold a retired version.
const RETIRED_PAUSE: Duration = Duration::from_millis(50);

/// Pause between two checks of a comparison, which may take too long.
const COMPARISON_PAUSE: Duration = Duration::from_secs(1);

/// Pause between two reads of the state directory, which other gateways may write.
const STATE_PAUSE: Duration = Duration::from_secs(1);

/// While file system events are complete and nothing changes, scans are this many times rarer. They still find what was
/// mounted over the repository, and missed events.
const QUIET_POLLS: u32 = 5;

/// Pause between two clean-ups while candidates are tried.
const TIDYING_PAUSE: Duration = Duration::from_secs(5);

/// Longest wait at the start for files that are being written.
const SETTLING_PATIENCE: Duration = Duration::from_secs(3);

/// Messages to the manager.
pub(super) enum Message {
    /// The repository changed: the entry of this name, or `None` if any may have.
    Changed(Option<String>),
    /// A worker finished its job.
    Done(Box<Done>),
    /// An operator, who is named, requests an operation on a model.
    Operate(ModelName, Operation, String),
    /// The model fails in service with this content, or its callers do.
    Failing(ModelName, Digest),
    /// A deployment on trial was compared with the previous one.
    Compared(Box<Compared>),
    /// The settings changed.
    Settings(Box<LifecycleSettings>),
    /// The gateway shuts down.
    Stop,
}

/// The manager's collaborators.
pub(super) struct Parts {
    pub(super) source: Arc<dyn ModelSource>,
    pub(super) store: Arc<Store>,
    pub(super) history: Arc<History>,
    pub(super) runtime: Runtime,
    pub(super) prover: Prover,
    pub(super) settings: LifecycleSettings,
    pub(super) serving: Arc<ServingMap>,
    pub(super) status: Arc<ArcSwap<Vec<VersionStatus>>>,
    pub(super) notices: Arc<ArcSwap<Vec<Notice>>>,
    /// True while the repository is missing and the settings demand it.
    pub(super) lacks_repository: Arc<AtomicBool>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) prepare_rows: PrepareRows,
    pub(super) messages: Sender<Message>,
}

pub(super) struct Manager {
    parts: Parts,
    models: HashMap<ModelName, ManagedModel>,
    /// Models that need an action.
    pending: Pending,
    /// The published status of each model.
    told: BTreeMap<ModelName, Vec<VersionStatus>>,
    workers: Workers,
    /// The comparison in progress.
    comparison: Option<Comparison>,
    /// Deployments whose comparison is queued: models and the content that fails.
    to_compare: VecDeque<(ModelName, Digest)>,
    /// Versions out of service that requests still hold. They are dropped here once requests release them, because
    /// dropping a session takes long.
    retired: Vec<Arc<Servable>>,
    /// True if there may be copies that are not needed any more.
    needs_sweep: bool,
    /// True if memory can be returned: freed heap, or code that only a start, a load or a retired version needed.
    needs_trim: bool,
    /// Time of the last clean-up.
    tidied_at: Option<Instant>,
    /// True if every copy is kept, because the record of those in use cannot be read.
    keeps_all_copies: bool,
    state: ReportedState,
    /// The return of files after all of them vanished at once.
    returning: Option<Return>,
    /// Complaints of the last scan: each is logged once, not at every scan.
    complaints: HashSet<String>,
    fresh_complaints: HashSet<String>,
    /// Findings of the last scan that have no effect, and the time they were first seen.
    notices: Vec<(Notice, Instant)>,
}

impl Manager {
    pub(super) fn new(parts: Parts) -> Self {
        let (source, store) = (Arc::clone(&parts.source), Arc::clone(&parts.store));
        let workers = Workers::new(source, store, parts.prover.clone(), parts.messages.clone());
        let state = ReportedState::new(parts.store.generation());
        Self {
            parts,
            models: HashMap::new(),
            pending: Pending::default(),
            told: BTreeMap::new(),
            workers,
            comparison: None,
            to_compare: VecDeque::new(),
            retired: Vec::new(),
            needs_sweep: true,
            needs_trim: true,
            tidied_at: None,
            keeps_all_copies: false,
            state,
            returning: None,
            complaints: HashSet::new(),
            fresh_complaints: HashSet::new(),
            notices: Vec::new(),
        }
    }

    /// Restores what served before, then follows the repository and messages until it is stopped.
    pub(super) fn run(mut self, first_pass_done: &watch::Sender<bool>, messages: &Receiver<Message>) {
        // Loading must not slow down requests.
        priority::set_niceness(priority::Niceness::Background);
        self.report_state();
        self.restore();
        let start = Instant::now();
        let mut last_look: Option<Instant> = None;
        let mut scan_due = true;
        loop {
            self.keep_state();
            // A client that writes all the time must not cause scans all the time.
            let waited = last_look.map_or(MIN_LOOK_INTERVAL, |last| last.elapsed());
            let is_early = scan_due && waited < MIN_LOOK_INTERVAL;
            if scan_due && !is_early {
                self.scan();
                last_look = Some(Instant::now());
            }
            let unsettled = self.apply_policies();
            // A file that is written all the time must not keep the other models from being reported ready.
            let is_busy = self.pending.is_busy() || self.parts.source.is_starting();
            if !is_busy && (!unsettled || start.elapsed() >= SETTLING_PATIENCE) {
                first_pass_done.send_replace(true);
            }
            let poll = Duration::from_millis(self.parts.settings.models.poll_interval_ms);
            let needs_report = self.notices.len() > self.parts.notices.load().len();
            let between_looks =
                if unsettled || needs_report { self.moment().times.settle.min(poll) } else { poll };
            let between_looks = if self.is_quiet() { between_looks * QUIET_POLLS } else { between_looks };
            // Retired versions are dropped soon after their last request.
            let pause =
                if self.retired.is_empty() { between_looks } else { between_looks.min(RETIRED_PAUSE) };
            let pause = pause.min(STATE_PAUSE);
            let pause = if self.comparison.is_some() { pause.min(COMPARISON_PAUSE) } else { pause };
            let pause = if self.pending.has_changed() { Duration::ZERO } else { pause };
            let pause = if is_early { pause.min(MIN_LOOK_INTERVAL.saturating_sub(waited)) } else { pause };
            scan_due = match messages.recv_timeout(pause) {
                // A shorter pause ended for another reason than a scan.
                Err(RecvTimeoutError::Timeout) => {
                    is_early || last_look.is_none_or(|last| last.elapsed() >= between_looks)
                }
                Err(RecvTimeoutError::Disconnected) | Ok(Message::Stop) => return,
                Ok(first) => {
                    let mut look = is_early;
                    for message in std::iter::once(first).chain(messages.try_iter()) {
                        match message {
                            Message::Stop => return,
                            message => look |= self.take(message),
                        }
                    }
                    look
                }
            };
        }
    }

    /// Returns true if the last scan found no change, nothing is due, and no change goes unnoticed.
    fn is_quiet(&self) -> bool {
        self.notices.is_empty() && self.pending.is_quiet() && self.parts.source.reports_every_change()
    }

    /// Handles a message. Returns true if the repository needs a scan.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Stop => true,
            Message::Changed(name) => {
                self.parts.source.doubt(name.as_deref());
                true
            }
            Message::Done(done) => {
                self.finish(*done);
                false
            }
            Message::Operate(model, operation, by) => {
                self.pending.change(&model);
                self.operate(&model, operation, &by)
            }
            Message::Failing(model, content) => {
                self.compare(model, content);
                false
            }
            Message::Compared(compared) => {
                self.finish_comparison(&compared);
                false
            }
            Message::Settings(settings) => {
                self.workers.change_settings(&settings);
                self.parts.settings = *settings;
                self.models.keys().for_each(|name| self.pending.change(name));
                true
            }
        }
    }

    /// Returns this moment, with the times to wait for files that may still change. Together with the poll interval, a new file serves within two
    /// intervals.
    fn moment(&self) -> Moment {
        let models = &self.parts.settings.models;
        Moment::now(SettleTimes {
            settle: (Duration::from_millis(models.poll_interval_ms) * 3 / 4).min(MAX_SETTLE_TIME),
            incomplete: Duration::from_millis(models.incomplete_grace_ms),
        })
    }

    /// Applies the policy to every model that changed. Returns true while a file is still settling.
    fn apply_policies(&mut self) -> bool {
        let names = self.pending.take();
        self.publish_status(&names, None);
        for name in &names {
            self.act_on(name);
        }
        for name in &names {
            if self.models.get(name).is_some_and(|model| !model.is_known()) {
                self.models.remove(name);
                self.remember(name);
            }
        }
        self.begin_comparison();
        self.drop_retired();
        self.publish_status(&names, None);
        for name in &names {
            self.pending.reconcile(name, self.models.get(name), self.moment());
        }
        self.parts.history.keep_written();
        self.tidy();
        self.pending.is_unsettled()
    }

    fn act_on(&mut self, name: &ModelName) {
        while let Some(action) = self.next_action(name) {
            match action {
                Action::Prove(version) => self.transition(name, version, VersionEvent::ProofDue),
                Action::Load(version) => {
                    self.publish_status(std::slice::from_ref(name), Some((version, State::Loading)));
                    self.begin_load(name, version);
                }
                Action::Unload(version) => {
                    self.publish_status(std::slice::from_ref(name), Some((version, State::Unloading)));
                    self.unload(name, version);
                    self.drop_retired();
                }
            }
        }
        self.restore_versions(name);
        self.reschedule(name);
        self.relabel(name);
        self.drop_unwanted(name);
        self.reply_to_load(name);
    }

    /// Drops what is not needed any more. Rarely while candidates follow each other: one clean-up takes as long for one
    /// as for all.
    fn tidy(&mut self) {
        if self.pending.is_busy() && self.tidied_at.is_some_and(|at| at.elapsed() < TIDYING_PAUSE) {
            return;
        }
        if self.needs_sweep || self.needs_trim {
            self.sweep();
            self.trim_heap();
            self.tidied_at = Some(Instant::now());
        }
    }

    /// Releases copies that were proven although the policy has meanwhile chosen another version.
    fn drop_unwanted(&mut self, name: &ModelName) {
        let at = self.moment();
        if let Some(model) = self.models.get_mut(name) {
            let effects = model.drop_unwanted(at);
            self.carry_out(name, effects);
        }
    }

    fn next_action(&self, name: &ModelName) -> Option<Action> {
        let model = self.models.get(name)?;
        let preserve = self.parts.settings.models.preserve;
        let action = model.next_action(preserve, self.moment())?;
        let has_room_for = preserve == Preserve::Resources;
        // The memory of the evicted version must be free before the new one is loaded.
        let is_waited_for = || self.retired.iter().any(|servable| servable.name == *name);
        (!matches!(action, Action::Load(_)) || !has_room_for || !is_waited_for()).then_some(action)
    }
}
