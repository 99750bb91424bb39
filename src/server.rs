//! Puts the gateway together and runs it: listeners, housekeeping, the end.

mod connection;
mod connections;
mod listener;
mod shutdown;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle, time};

pub use shutdown::Shutdown;

use crate::{
    auth::Authentication,
    config::Settings,
    lifecycle::{Lifecycle, SnapshotError},
    limits::CallerQuota,
    rest::{AddressLimit, Clock, RestState, admin_router, public_router},
    runtime::Runtime,
    serving::Serving,
    telemetry::{Metrics, MetricsError},
};
use listener::{Listener, ListenerLimits};

/// How often clients that have not asked for long are forgotten.
const RELEASE_INTERVAL: Duration = Duration::from_secs(10);

/// What a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// All settings.
    pub settings: Settings,
    /// Who may call.
    pub authentication: Authentication,
    /// What runs the models.
    pub runtime: Runtime,
    /// What time it is.
    pub clock: Clock,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is taken or not ours.
    #[error("{setting}: {address} cannot be listened on: {cause}")]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There is no place for private copies.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] MetricsError),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    public_address: SocketAddr,
    admin_address: SocketAddr,
    serving: Arc<Serving>,
    shutdown: Shutdown,
    public: JoinHandle<()>,
    admin: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
}

impl Gateway {
    /// Listens, and begins to load models; requests are answered from now on, though no model may serve yet.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on or there is no place for private copies of the models.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { settings, authentication, runtime, clock } = parts;
        let server = &settings.server;
        let public_listener = bind("server.listen", server.listen).await?;
        let admin_listener = bind("admin.listen", settings.admin.listen).await?;
        let public_address = address_of(&public_listener, server.listen);
        let admin_address = address_of(&admin_listener, settings.admin.listen);

        let metrics = Arc::new(Metrics::new()?);
        let lifecycle = Lifecycle::start(runtime, &settings.models, &settings.runtime, Arc::clone(&metrics))?;
        let serving = Arc::new(Serving::new(lifecycle, &settings.models, Arc::clone(&metrics)));
        let rate_limit = &settings.rate_limit;
        let limited = rate_limit.enabled;
        let address_limit = limited.then(|| AddressLimit::new(&rate_limit.per_address, server)).flatten();
        let caller_quota = limited.then(|| Arc::new(CallerQuota::new(&rate_limit.per_caller)));
        let state = RestState {
            serving: Arc::clone(&serving),
            authentication: Arc::new(authentication),
            caller_quota: caller_quota.clone(),
            metrics: Arc::clone(&metrics),
            clock,
        };

        let shutdown = Shutdown::new(server);
        let public_router = public_router(state.clone(), server, address_limit.as_ref());
        let limits = ListenerLimits::of(server);
        let public =
            Listener::new(public_listener, public_router, limits.clone(), Arc::clone(&metrics), &shutdown);
        let admin = Listener::new(admin_listener, admin_router(state), limits, metrics, &shutdown);
        Ok(Self {
            public_address,
            admin_address,
            serving,
            shutdown,
            public: tokio::spawn(public.run()),
            admin: tokio::spawn(admin.run()),
            housekeeping: tokio::spawn(release_idle(address_limit, caller_quota)),
        })
    }

    /// Where clients call; the port that the system chose if it was to.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where operators look.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The models.
    #[must_use]
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Ends the gateway: readiness goes down, new requests are answered for `delay` more, running ones finish within
    /// the drain timeout; what is left then is cut off.
    pub async fn shut_down(self, delay: Duration) {
        self.serving.begin_draining();
        self.shutdown.announce();
        time::sleep(delay).await;
        self.shutdown.stop_accepting();
        let Self { serving, shutdown, public, admin, housekeeping, .. } = self;
        let (mut public, mut admin) = (public, admin);
        let drained = time::timeout(shutdown.drain_timeout(), async {
            let _ = (&mut public).await;
            let _ = (&mut admin).await;
        });
        if drained.await.is_err() {
            tracing::warn!("requests that took longer than server.drain_timeout_ms were cut off");
            public.abort();
            admin.abort();
        }
        housekeeping.abort();
        // Its end may wait for a model that is being loaded; a second signal must get through meanwhile.
        let _ = tokio::task::spawn_blocking(move || drop(serving)).await;
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Bind { setting, address, cause })
}

fn address_of(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

async fn release_idle(address_limit: Option<AddressLimit>, caller_quota: Option<Arc<CallerQuota>>) {
    let mut interval = time::interval(RELEASE_INTERVAL);
    loop {
        interval.tick().await;
        let (address_limit, caller_quota) = (address_limit.clone(), caller_quota.clone());
        // Millions of addresses take longer than a request should wait.
        let released = tokio::task::spawn_blocking(move || {
            address_limit.as_ref().inspect(|limit| limit.release_idle());
            caller_quota.as_ref().inspect(|quota| quota.release_idle());
        });
        if let Err(error) = released.await {
            tracing::error!(%error, "idle clients cannot be forgotten");
        }
    }
}
