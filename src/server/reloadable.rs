//! The parts of a running gateway that change with its settings.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{runtime::Handle, sync::watch};

use super::{
    descriptors::Descriptors,
    limits::ListenerLimits,
    reload::{self, Reloaded},
};
use crate::{
    auth::{Authentication, Caller, Revocations},
    config::{RateLimitSettings, Settings, changes},
    edge::{Activity, AddressLimit, Clock, EdgeParts, EdgeState, ProtectedResource, QuotaFields, Sources},
    limits::{AddressBuckets, LogIns, RequestQuotas, SharedStore},
    protocols::{HttpService, SharedService, open_paths},
    runtime::Runtime,
    serving::Serving,
    system::{byte_budget::ByteBudget, memory},
    telemetry::{AuditEvent, AuditKind, AuditLog, AuditOutcome, Metrics, Traces},
    tls::{ListenerTls, ServerTls, TlsChanges},
};

/// Memory for requests if the system does not report how much is available.
const UNKNOWN_BYTES_LEFT: u64 = 1 << 30;

/// Memory of small requests, of which there are always some.
const CALM_BYTES: u64 = 1 << 20;

/// Least memory for requests, however little is available: enough for many small ones.
const LEAST_BUDGET_BYTES: u64 = 8 << 20;

/// Everything that is built from settings and can be replaced while requests run: each ends with what it began with.
#[derive(Debug)]
pub(super) struct ReloadableState {
    in_effect: Mutex<InEffect>,
    /// Outside the lock: housekeeping must not wait for a reload.
    quotas: ArcSwap<Quotas>,
    pub(super) public: SharedService,
    pub(super) grpc: SharedService,
    pub(super) admin: SharedService,
    pub(super) limits: watch::Sender<ListenerLimits>,
    pub(super) tls: watch::Sender<ListenerTls>,
    serving: Arc<Serving>,
    byte_budget: Arc<ByteBudget>,
    metrics: Arc<Metrics>,
    traces: ArcSwapOption<Traces>,
    audit: Arc<AuditLog>,
    activity: Arc<Activity>,
    clock: Clock,
    descriptors: Descriptors,
    /// The runtime on which keys of issuers are fetched.
    runtime: Handle,
    revocations: Arc<Revocations>,
}

/// The settings in effect, and their authentication.
#[derive(Debug)]
struct InEffect {
    settings: Settings,
    authentication: Arc<Authentication>,
}

/// The quotas. They are kept while they are off, so that switching them off and on does not reset them.
#[derive(Debug)]
pub(super) struct Quotas {
    address: Option<AddressLimit>,
    requests: Arc<RequestQuotas>,
    failed_tokens: Arc<AddressBuckets>,
    handshakes: Arc<AddressBuckets>,
    log_ins: Arc<LogIns>,
    /// The server that gateways share; `None` if quotas are kept in memory.
    store: Option<SharedStore>,
}

impl Quotas {
    fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Self {
        let rate_limit = &settings.rate_limit;
        let store = connected(rate_limit, None, metrics);
        Self {
            address: AddressLimit::new(rate_limit, &settings.server, store.clone()),
            requests: Arc::new(RequestQuotas::new(rate_limit, store.clone())),
            store,
            failed_tokens: Arc::new(AddressBuckets::new(&rate_limit.failed_tokens)),
            handshakes: Arc::new(AddressBuckets::new(&rate_limit.handshakes)),
            log_ins: Arc::new(LogIns::new(&rate_limit.failed_logins, rate_limit.enabled, Runtime::cpus())),
        }
    }

    /// Returns the quotas for changed settings; an unchanged quota keeps its charges.
    fn with_settings(&self, old: &Settings, new: &Settings, metrics: &Arc<Metrics>) -> Self {
        let limit = &new.rate_limit;
        let store = connected(limit, self.store.as_ref(), metrics);
        let address = match &self.address {
            Some(address) => address.with_settings(limit, &new.server, store.clone()),
            None => AddressLimit::new(limit, &new.server, store.clone()),
        };
        let requests = Arc::new(self.requests.with_settings(limit, store.clone()));
        let failed_tokens = if old.rate_limit.failed_tokens == limit.failed_tokens {
            Arc::clone(&self.failed_tokens)
        } else {
            Arc::new(AddressBuckets::new(&limit.failed_tokens))
        };
        let handshakes = if old.rate_limit.handshakes == limit.handshakes {
            Arc::clone(&self.handshakes)
        } else {
            Arc::new(AddressBuckets::new(&limit.handshakes))
        };
        self.log_ins.set_quota(&limit.failed_logins, limit.enabled);
        Self { address, requests, failed_tokens, handshakes, log_ins: Arc::clone(&self.log_ins), store }
    }

    /// Returns the quota of handshakes if quotas are on.
    fn handshakes_if(&self, is_on: bool) -> Option<Arc<AddressBuckets>> {
        is_on.then(|| Arc::clone(&self.handshakes))
    }

    /// Removes clients whose quota is full again.
    pub(super) fn release_idle(&self) {
        self.address.as_ref().inspect(|limit| limit.release_idle());
        self.requests.release_idle();
        self.failed_tokens.release_idle();
        self.handshakes.release_idle();
        self.log_ins.release_idle();
    }
}

/// Returns the server of the settings, which need not answer yet: the current one if it is the same. `None` if quotas are
/// kept in memory.
fn connected(
    settings: &RateLimitSettings,
    current: Option<&SharedStore>,
    metrics: &Arc<Metrics>,
) -> Option<SharedStore> {
    let timeout = Duration::from_millis(settings.store_timeout_ms);
    if let Some(current) = current.filter(|current| current.is_of(&settings.store, timeout)) {
        return Some(current.clone());
    }
    metrics.set_quota_store_up(true);
    SharedStore::connect(&settings.store, timeout, metrics).unwrap_or_else(|error| {
        let store = settings.store.shown();
        tracing::error!(store, %error, "failed to use rate_limit.store: each gateway counts all quotas alone");
        metrics.set_quota_store_up(false);
        None
    })
}

/// Begins to export traces, if the settings name a collector.
fn traces_of(settings: &Settings, metrics: &Arc<Metrics>) -> Option<Arc<Traces>> {
    let traces = Traces::new(&settings.telemetry.otlp, metrics);
    let traces = traces.unwrap_or_else(|error| {
        tracing::error!(%error, "failed to begin the export of traces: there are none");
        None
    });
    traces.map(Arc::new)
}

impl ReloadableState {
    pub(super) fn new(
        settings: Settings,
        authentication: Authentication,
        tls: ListenerTls,
        serving: Arc<Serving>,
        (metrics, audit): (Arc<Metrics>, Arc<AuditLog>),
        clock: Clock,
        descriptors: Descriptors,
    ) -> Self {
        let revocations = Arc::clone(authentication.revocations());
        let quotas = Quotas::new(&settings, &metrics);
        let handshakes = quotas.handshakes_if(settings.rate_limit.enabled);
        let limits = watch::Sender::new(ListenerLimits::of(&settings.server, descriptors, handshakes));
        let quotas = ArcSwap::from_pointee(quotas);
        let traces = ArcSwapOption::new(traces_of(&settings, &metrics));
        let in_effect = InEffect { settings, authentication: Arc::new(authentication) };
        let front = || Arc::new(ArcSwap::from_pointee(HttpService::default()));
        let (public, grpc, admin) = (front(), front(), front());
        let in_effect = Mutex::new(in_effect);
        let byte_budget = Arc::new(ByteBudget::new(0));
        let activity = Arc::new(Activity::new(Sources {
            serving: Arc::clone(&serving),
            metrics: Arc::clone(&metrics),
            byte_budget: Arc::clone(&byte_budget),
            open_paths: open_paths(),
        }));
        let live = Self {
            in_effect,
            quotas,
            public,
            grpc,
            admin,
            limits,
            tls: watch::Sender::new(tls),
            serving,
            byte_budget,
            metrics,
            traces,
            audit,
            activity,
            clock,
            descriptors,
            runtime: Handle::current(),
            revocations,
        };
        live.lock().authentication.start(&live.runtime, &live.metrics);
        live.fit_byte_budget();
        live.store_fronts(&live.lock());
        live.show_certificates();
        live
    }

    /// Applies changed settings, except those that need a restart.
    pub(super) fn reload(
        &self,
        wanted: Settings,
        mut authentication: Authentication,
        tls: ListenerTls,
    ) -> Reloaded {
        let mut in_effect = self.lock();
        let changes = changes(&in_effect.settings, &wanted);
        let settings = reload::without_fixed(wanted, &in_effect.settings);
        if changes.iter().any(|change| change.key.starts_with("auth.")) {
            authentication.take_over(&in_effect.authentication);
            authentication = authentication
                .with_fetched_keys(&in_effect.authentication)
                .with_revocations(&self.revocations);
            authentication.start(&self.runtime, &self.metrics);
            in_effect.authentication = Arc::new(authentication);
        }
        let quotas = self.quotas.load().with_settings(&in_effect.settings, &settings, &self.metrics);
        let handshakes = quotas.handshakes_if(settings.rate_limit.enabled);
        self.quotas.store(Arc::new(quotas));
        self.serving.apply_settings(&settings);
        self.limits.send_replace(ListenerLimits::of(&settings.server, self.descriptors, handshakes));
        let TlsChanges { sections, ended_trust } = self.store_tls(tls);
        if in_effect.settings.runtime.memory_limit_bytes != settings.runtime.memory_limit_bytes {
            self.byte_budget.reset_recent_peak();
            self.fit_byte_budget_to(&settings);
        }
        if in_effect.settings.telemetry != settings.telemetry {
            // The exporter connects on it.
            let _runtime = self.runtime.enter();
            let ended = self.traces.swap(traces_of(&settings, &self.metrics));
            if let Some(ended) = ended {
                self.runtime.spawn_blocking(move || ended.close());
            }
        }
        in_effect.settings = settings;
        self.store_fronts(&in_effect);
        if ended_trust || changes.iter().any(|change| change.key.starts_with("auth.")) {
            self.activity.end_streams();
        }
        self.metrics.settings_applied();
        self.audit.apply(&in_effect.settings.audit);
        let certificates: Vec<String> = sections.iter().map(|section| (*section).to_owned()).collect();
        let reloaded = Reloaded::of(changes).with_sections(&sections);
        self.audit_changes(AuditKind::CertificatesReloaded, &certificates);
        self.audit_changes(AuditKind::SettingsChanged, &reloaded.applied);
        reloaded
    }

    /// Records that settings with these names have changed.
    fn audit_changes(&self, kind: AuditKind, settings: &[String]) {
        if !settings.is_empty() {
            self.audit.record(&AuditEvent { settings, ..AuditEvent::of(kind, AuditOutcome::Ok) });
        }
    }

    /// Records that changed settings were refused.
    pub(super) fn audit_refused_settings(&self) {
        self.audit.record(&AuditEvent::of(AuditKind::SettingsRefused, AuditOutcome::Refused));
    }

    pub(super) fn audit(&self) -> Arc<AuditLog> {
        Arc::clone(&self.audit)
    }

    /// Exports the traces of all requests so far. Blocks.
    pub(super) fn close_traces(&self) {
        if let Some(traces) = self.traces.swap(None) {
            traces.close();
        }
    }

    /// Applies certificates that were read again for the settings in effect. Returns the sections that have changed.
    pub(super) fn reload_tls(&self, tls: ListenerTls) -> Vec<&'static str> {
        // One at a time with reloads of the settings.
        let _in_effect = self.lock();
        let TlsChanges { sections, ended_trust } = self.store_tls(tls);
        if ended_trust {
            self.activity.end_streams();
        }
        sections
    }

    fn store_tls(&self, mut tls: ListenerTls) -> TlsChanges {
        let changes = tls.take_over(&self.tls.borrow());
        self.tls.send_replace(tls);
        self.show_certificates();
        changes
    }

    /// Shows in the metrics until when the certificates are valid.
    fn show_certificates(&self) {
        for (listener, tls) in self.tls.borrow().by_name() {
            self.metrics.set_certificate_end(listener, tls.map(ServerTls::not_after_seconds));
        }
    }

    /// Ends the streams of events, which do not end by themselves.
    pub(super) fn stop_streams(&self) {
        self.activity.stop();
    }

    /// Sets the memory budget of requests: the memory that they hold, and most of what the process may still use.
    pub(super) fn fit_byte_budget(&self) {
        self.fit_byte_budget_to(&self.lock().settings);
    }

    fn fit_byte_budget_to(&self, settings: &Settings) {
        let limit = settings.runtime.memory_limit_bytes;
        // Reserved memory is not allocated yet, so it is part of what is left.
        let held = self.byte_budget.allocated();
        let bytes = memory::bytes_left(limit, held).unwrap_or(UNKNOWN_BYTES_LEFT);
        self.byte_budget.set_total((bytes / 4 * 3).max(LEAST_BUDGET_BYTES));
    }

    /// Returns true while requests hold only little memory.
    pub(super) fn is_calm(&self) -> bool {
        self.byte_budget.allocated() < CALM_BYTES
    }

    pub(super) fn quotas(&self) -> Arc<Quotas> {
        self.quotas.load_full()
    }

    pub(super) fn authentication(&self) -> Arc<Authentication> {
        Arc::clone(&self.lock().authentication)
    }

    pub(super) fn revocations(&self) -> Arc<Revocations> {
        Arc::clone(&self.revocations)
    }

    pub(super) fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) fn shutdown_delay(&self) -> Duration {
        Duration::from_millis(self.lock().settings.server.shutdown_delay_ms)
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.lock().settings.server.drain_timeout_ms)
    }

    fn store_fronts(&self, in_effect: &InEffect) {
        let InEffect { settings, authentication } = in_effect;
        let quotas = self.quotas();
        let limited = settings.rate_limit.enabled;
        let address_limit = quotas.address.as_ref().filter(|_| limited);
        let state = self.edge_state(settings, authentication, &quotas);
        self.public.store(Arc::new(HttpService::public(&state, settings, address_limit)));
        self.grpc.store(Arc::new(HttpService::grpc(&state, &settings.server, address_limit)));
        let state = match &settings.admin.audience {
            Some(audience) => {
                self.edge_state(settings, &Arc::new(authentication.for_audience(audience)), &quotas)
            }
            None => state,
        };
        self.admin.store(Arc::new(HttpService::admin(&state, settings)));
    }

    fn edge_state(
        &self,
        settings: &Settings,
        authentication: &Arc<Authentication>,
        quotas: &Quotas,
    ) -> EdgeState {
        let limited = settings.rate_limit.enabled;
        let address_limit = quotas.address.as_ref().filter(|_| limited);
        let requests = limited.then(|| Arc::clone(&quotas.requests));
        EdgeState::from(EdgeParts {
            serving: Arc::clone(&self.serving),
            anonymous: Arc::new(Caller::anonymous()),
            authentication: Arc::clone(authentication),
            quota_fields: QuotaFields::new(
                address_limit.map(AddressLimit::settings),
                requests.as_deref().filter(|_| authentication.is_on()),
            ),
            quotas: requests,
            byte_budget: Arc::clone(&self.byte_budget),
            failed_tokens: limited.then(|| Arc::clone(&quotas.failed_tokens)),
            log_ins: Arc::clone(&quotas.log_ins),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            open_paths: open_paths(),
            protected_resource: settings.server.public_url.as_deref().map(ProtectedResource::new),
            metrics: Arc::clone(&self.metrics),
            traces: self.traces.load_full(),
            audit: Arc::clone(&self.audit),
            activity: Arc::clone(&self.activity),
            has_access_log: settings.log.access,
            clock: self.clock.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, InEffect> {
        self.in_effect.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
