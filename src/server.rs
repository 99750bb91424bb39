//! The assembled gateway and its life: listeners, housekeeping, shutdown.

mod client_stream;
mod connection;
mod connection_slot;
mod connection_table;
mod current_tls;
mod descriptors;
mod limits;
mod listener;
mod reload;
mod reloadable;
mod response_tracker;
mod shutdown;
mod socket;
mod stall_limit;
mod workers;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    task::{JoinHandle, JoinSet},
    time,
};

pub use descriptors::TooFewDescriptors;
pub use reload::{NeedsRestart, Reloaded};
pub use shutdown::Shutdown;

use self::{
    connection::Application,
    connection_table::ConnectionTable,
    current_tls::{CurrentTls, OfListener},
    descriptors::Descriptors,
    listener::{Audience, Listener},
    reloadable::ReloadableState,
    socket::Socket,
    workers::Workers,
};
use crate::{
    auth::{Authentication, Revocations, RevocationsError},
    config::{GrpcSettings, ListenAddress, Settings},
    edge::{Clock, ListedRoute},
    lifecycle::{Lifecycle, StoreError},
    protocols::{SharedService, native::prepare_rows},
    runtime::Runtime,
    serving::Serving,
    system::{date::can_be_written, descriptors as file_descriptors, memory},
    telemetry::{AuditError, AuditLog, Metrics, MetricsError},
    tls::ListenerTls,
};

/// Interval at which clients without recent requests are removed from the quotas.
const RELEASE_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which revocations by other gateways are read.
const REVOCATIONS_INTERVAL: Duration = Duration::from_secs(1);

/// The file of revocations in the state directory.
const REVOCATIONS_FILE: &str = "revocations.json";

/// Interval at which the memory budget for requests is adjusted to the memory available.
const BUDGET_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two returns of freed memory to the system.
const TRIM_PAUSE: Duration = Duration::from_secs(5);

/// Least growth of the process for which freed memory is returned.
const TRIMMED_BYTES: u64 = 1 << 20;

/// The parts that a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// All settings.
    pub settings: Settings,
    /// The verifier, the issuer and the clients.
    pub authentication: Authentication,
    /// The certificates of the listeners.
    pub tls: ListenerTls,
    /// The runtime for models.
    pub runtime: Runtime,
    /// This gateway's binary, which is started again to prove candidates.
    pub program: PathBuf,
    /// The clock that tokens are judged by.
    pub clock: Clock,
}

/// A listener whose address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: failed to listen on {address}: {cause}{}", other_address(setting, cause))]
pub struct BindError {
    /// The setting that names the address.
    setting: &'static str,
    /// The address.
    address: ListenAddress,
    /// The error of the system.
    cause: std::io::Error,
}

/// A reason why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Addresses of listeners are in use or do not belong to this machine.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Bind(Vec<BindError>),
    /// The folder for private copies cannot be used.
    #[error(transparent)]
    Snapshots(#[from] StoreError),
    /// The revocations of tokens cannot be read.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
    /// The audit log cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The limit of open files is too low.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// The limit of open files cannot be raised.
    #[error("the limit of open files cannot be raised: {0}")]
    DescriptorLimit(std::io::Error),
    /// The threads for requests cannot be started.
    #[error("the threads for requests cannot be started: {0}")]
    Threads(std::io::Error),
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] MetricsError),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    public_address: ListenAddress,
    grpc_address: Option<ListenAddress>,
    admin_address: ListenAddress,
    serving: Arc<Serving>,
    live: Arc<ReloadableState>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    listeners: JoinSet<()>,
    housekeeping: [JoinHandle<()>; 3],
}

impl Gateway {
    /// Binds the listeners and starts to load models. Requests are accepted from now on, though no model may serve yet.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound or the folder for private copies of models cannot be used.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { settings, authentication, tls, runtime, program, clock } = parts;
        let threads = match settings.server.threads {
            0 => Runtime::cpus(),
            threads => threads,
        };
        let limit = file_descriptors::raise().map_err(StartError::DescriptorLimit)?;
        let descriptors = Descriptors::new(limit, threads);
        descriptors.check(settings.server.max_connections)?;
        let Sockets { public, admin, grpc } = bind_all(&settings).await?;
        let ((public_socket, public_address), (admin_socket, admin_address)) = (public, admin);
        let grpc_address = grpc.as_ref().map(|(_, address)| address.clone());

        if !can_be_written(SystemTime::now()) {
            tracing::error!(
                "the clock of this machine is before 1970 or after 9999: HTTP/1.1 requests get status 503 until it is \
                 set"
            );
        }
        let revocations = settings.models.state_directory.join(REVOCATIONS_FILE);
        let revocations = Arc::new(Revocations::open(revocations)?);
        let metrics = Arc::new(Metrics::new(settings.metrics.enabled)?);
        let audit = Arc::new(AuditLog::open(&settings.audit, Arc::clone(&metrics))?);
        let told = (Arc::clone(&metrics), Arc::clone(&audit));
        let lifecycle = Lifecycle::start(runtime, program, (&settings).into(), told, prepare_rows)?;
        let serving = Arc::new(Serving::new(lifecycle, &settings));
        let (given, told) = (Arc::clone(&serving), (Arc::clone(&metrics), audit));
        let authentication = authentication.with_revocations(&revocations);
        let live =
            Arc::new(ReloadableState::new(settings, authentication, tls, given, told, clock, descriptors));

        let shutdown = Shutdown::new();
        let mut listeners = JoinSet::new();
        let workers = Arc::new(Workers::start("requests", threads).map_err(StartError::Threads)?);
        // Operators have their own thread, so their requests do not wait for clients'.
        let for_operators = Arc::new(Workers::start("admin", 1).map_err(StartError::Threads)?);
        // One table for clients over both protocols, another for operators.
        let (of_clients, of_operators) = (ConnectionTable::default(), ConnectionTable::default());
        let mut listen = |socket, application, front: &SharedService, audience| {
            let (table, workers) = match audience {
                Audience::Clients => (&of_clients, &workers),
                Audience::Operators => (&of_operators, &for_operators),
            };
            let listener = Listener {
                socket,
                application,
                audience,
                front: Arc::clone(front),
                limits: live.limits.subscribe(),
                tls: Arc::new(CurrentTls::new(live.tls.subscribe(), tls_of(application, audience))),
                workers: Arc::clone(workers),
                table: table.clone(),
                metrics: Arc::clone(&metrics),
                shutdown: shutdown.clone(),
            };
            listeners.spawn(listener.run());
        };
        listen(public_socket, Application::Rest, &live.public, Audience::Clients);
        listen(admin_socket, Application::Rest, &live.admin, Audience::Operators);
        if let Some((socket, _)) = grpc {
            listen(socket, Application::Grpc, &live.grpc, Audience::Clients);
        }
        Ok(Self {
            public_address,
            grpc_address,
            admin_address,
            serving,
            shutdown,
            metrics,
            listeners,
            housekeeping: [
                tokio::spawn(release_idle(Arc::clone(&live))),
                tokio::spawn(fit_byte_budget(Arc::clone(&live))),
                tokio::spawn(follow_revocations(Arc::clone(&live))),
            ],
            live,
        })
    }

    /// Returns the address of the public listener, with the port that the system chose for port 0.
    #[must_use]
    pub fn public_address(&self) -> &ListenAddress {
        &self.public_address
    }

    /// Returns the address of the gRPC listener; `None` if it is off.
    #[must_use]
    pub fn grpc_address(&self) -> Option<&ListenAddress> {
        self.grpc_address.as_ref()
    }

    /// Returns the address of the operators' listener.
    #[must_use]
    pub fn admin_address(&self) -> &ListenAddress {
        &self.admin_address
    }

    /// Returns every route of each listener: `rest`, `grpc` and `admin`.
    #[must_use]
    pub fn listed_routes(&self) -> Vec<(&'static str, ListedRoute)> {
        let ReloadableState { public, grpc, admin, .. } = &*self.live;
        let by_listener = [("rest", public), ("grpc", grpc), ("admin", admin)];
        let routes = by_listener.map(|(listener, front)| {
            let front = front.load();
            front.listed_routes().iter().map(|route| (listener, route.clone())).collect::<Vec<_>>()
        });
        routes.concat()
    }

    /// Returns the models.
    #[must_use]
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Applies changed settings and returns those that need a restart. Each request ends with the settings that it
    /// began with. Open connections keep their timeouts and encryption, but certificates of clients identify no caller
    /// once their authorities have changed. An unchanged quota keeps its charges. The log level is applied separately:
    /// [`Log::set_level`](crate::telemetry::logging::Log::set_level).
    #[must_use = "someone has to say what needs a restart"]
    pub fn reload(&self, settings: Settings, authentication: Authentication, tls: ListenerTls) -> Reloaded {
        self.live.reload(settings, authentication, tls)
    }

    /// Applies certificates that were read again for the settings in effect. Returns the sections that have changed.
    #[must_use]
    pub fn reload_tls(&self, tls: ListenerTls) -> Vec<&'static str> {
        self.live.reload_tls(tls)
    }

    /// Returns the settings in effect.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.live.settings()
    }

    /// Counts settings that were read again and refused; nothing else changes.
    pub fn count_refused_settings(&self) {
        self.metrics.settings_refused();
        self.live.audit_refused_settings();
    }

    /// Returns the time for which requests are still accepted after the shutdown was announced, by the current
    /// settings.
    #[must_use]
    pub fn shutdown_delay(&self) -> Duration {
        self.live.shutdown_delay()
    }

    /// Shuts the gateway down. It reports not ready at once, accepts requests for `delay` more, and gives running ones
    /// the drain timeout to finish; then it cuts off the rest.
    pub async fn shut_down(self, delay: Duration) {
        self.serving.begin_draining();
        self.shutdown.announce();
        time::sleep(delay).await;
        self.shutdown.stop_accepting();
        let Self { serving, live, mut listeners, housekeeping, .. } = self;
        let streams = Arc::clone(&live);
        // It waits for a thread, though not for long.
        let _ = tokio::task::spawn_blocking(move || streams.stop_streams()).await;
        let drained =
            time::timeout(live.drain_timeout(), async { while listeners.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!("requests that took longer than server.drain_timeout_ms were cut off");
            listeners.abort_all();
        }
        for task in housekeeping {
            task.abort();
            let _ = task.await;
        }
        let audit = live.audit();
        let traces = Arc::clone(&live);
        // While the runtime still runs, on which they are sent.
        let _ = tokio::task::spawn_blocking(move || traces.close_traces()).await;
        drop(live);
        // Dropping the models may wait for one that is loading; a second signal must still be handled meanwhile.
        let _ = tokio::task::spawn_blocking(move || {
            drop(serving);
            audit.close();
        })
        .await;
    }
}

/// Returns what to do about an address that another process has. Empty for other errors.
fn other_address(setting: &str, cause: &std::io::Error) -> String {
    if cause.kind() != std::io::ErrorKind::AddrInUse {
        return String::new();
    }
    let variable = setting.to_uppercase().replace('.', "__");
    format!("; end the process that listens there, or set GATEWAY__{variable} to another address")
}

/// A socket with its address, which has the port that the system chose for port 0.
type Bound = (Socket, ListenAddress);

/// The sockets of all listeners.
struct Sockets {
    public: Bound,
    admin: Bound,
    /// `None` if gRPC is off.
    grpc: Option<Bound>,
}

/// Binds all listeners, or names every address that cannot be used.
async fn bind_all(settings: &Settings) -> Result<Sockets, StartError> {
    let public = bind("server.listen", &settings.server.listen).await;
    let admin = bind("admin.listen", &settings.admin.listen).await;
    let grpc = match &settings.grpc {
        GrpcSettings { enabled: true, listen, .. } => bind("grpc.listen", listen).await.map(Some),
        GrpcSettings { enabled: false, .. } => Ok(None),
    };
    match (public, admin, grpc) {
        (Ok(public), Ok(admin), Ok(grpc)) => Ok(Sockets { public, admin, grpc }),
        (public, admin, grpc) => {
            let failed = [public.err(), admin.err(), grpc.err()];
            Err(StartError::Bind(failed.into_iter().flatten().collect()))
        }
    }
}

async fn bind(setting: &'static str, address: &ListenAddress) -> Result<Bound, BindError> {
    let bound = Socket::bind(address).await;
    bound.map_err(|cause| BindError { setting, address: address.clone(), cause })
}

async fn release_idle(live: Arc<ReloadableState>) {
    let mut interval = time::interval(RELEASE_INTERVAL);
    loop {
        interval.tick().await;
        // Without `live`, which keeps models loaded.
        let (quotas, authentication, now) = (live.quotas(), live.authentication(), live.now());
        // Millions of addresses take longer than a request should wait.
        let released = tokio::task::spawn_blocking(move || {
            quotas.release_idle();
            authentication.forget_expired(now);
        });
        if let Err(error) = released.await {
            tracing::error!(%error, "failed to release the quotas of idle clients");
        }
    }
}

async fn follow_revocations(live: Arc<ReloadableState>) {
    let mut interval = time::interval(REVOCATIONS_INTERVAL);
    loop {
        interval.tick().await;
        let (revocations, now) = (live.revocations(), live.now());
        if let Err(error) = tokio::task::spawn_blocking(move || revocations.follow(now)).await {
            tracing::error!(%error, "failed to follow revocations");
        }
    }
}

/// Returns where the TLS of a listener is found among that of all.
fn tls_of(application: Application, audience: Audience) -> OfListener {
    match (application, audience) {
        (Application::Grpc, _) => |tls| tls.grpc.as_ref(),
        (Application::Rest, Audience::Clients) => |tls| tls.rest.as_ref(),
        (Application::Rest, Audience::Operators) => |tls| tls.admin.as_ref(),
    }
}

async fn fit_byte_budget(live: Arc<ReloadableState>) {
    let mut interval = time::interval(BUDGET_INTERVAL);
    let mut trimmed = Trimmed::default();
    loop {
        interval.tick().await;
        live.fit_byte_budget();
        if live.is_calm() && trimmed.is_due() {
            // Takes milliseconds, and locks the allocator that all threads use.
            let returned = tokio::task::spawn_blocking(memory::trim_heap);
            if returned.await.is_ok() {
                trimmed = Trimmed::now();
            }
        }
    }
}

/// The state of the process when freed memory was last returned to the system.
struct Trimmed {
    at: Instant,
    resident: u64,
}

impl Default for Trimmed {
    fn default() -> Self {
        Self { at: Instant::now(), resident: 0 }
    }
}

impl Trimmed {
    fn now() -> Self {
        Self { at: Instant::now(), resident: memory::resident_bytes().unwrap_or(u64::MAX) }
    }

    /// Returns true if the process has grown enough since then that some of its memory may be free. Many simultaneous
    /// connections and small requests leave freed memory behind, too.
    fn is_due(&self) -> bool {
        let most = self.resident.saturating_add((self.resident / 32).max(TRIMMED_BYTES));
        self.at.elapsed() >= TRIM_PAUSE && memory::resident_bytes().is_some_and(|resident| resident > most)
    }
}
