//! `onnx-gateway serve`

use std::{path::PathBuf, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, prepare};
use crate::{
    config::{Environment, Loaded},
    rest::Clock,
    runtime::Runtime,
    server::{Gateway, Parts},
    telemetry::logging,
};

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(files: &[PathBuf]) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let (loaded, authentication) = prepare::prepare(files, &environment)?;
    let _log = logging::start(&loaded.settings.log).map_err(|problem| loaded.with_origins(vec![problem]))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    warn_of_danger(&loaded);
    let onnx_runtime = Runtime::load(&loaded.settings.runtime, &environment)?;
    let delay = Duration::from_millis(loaded.settings.server.shutdown_delay_ms);
    let parts =
        Parts { settings: loaded.settings, authentication, runtime: onnx_runtime, clock: Clock::system() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(parts, delay));
    // A run that does not end when it is told to must not keep the process alive.
    runtime.shutdown_background();
    served
}

async fn run(parts: Parts, delay: Duration) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let gateway = Gateway::start(parts).await?;
    tracing::info!(
        address = %gateway.public_address(),
        admin = %gateway.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let delay = tokio::select! {
        _ = terminate.recv() => delay,
        // Whoever presses Ctrl-C waits for no load balancer.
        _ = interrupt.recv() => Duration::ZERO,
    };
    tracing::info!("stopping: running requests are finished");
    tokio::select! {
        () = gateway.shut_down(delay) => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once by a second signal"),
        _ = interrupt.recv() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

/// Says aloud what is allowed but should not be met by surprise.
fn warn_of_danger(loaded: &Loaded) {
    let settings = &loaded.settings;
    let development = loaded.is_for_development("auth.signing_secret")
        || settings
            .auth
            .clients
            .keys()
            .any(|id| loaded.is_for_development(&format!("auth.clients.{id}.secret_hash")));
    if !settings.auth.enabled {
        tracing::warn!("auth.enabled is false: everyone who can reach the gateway may do everything");
    }
    if development && !settings.server.listen.ip().is_loopback() {
        let address = settings.server.listen;
        tracing::warn!(%address, "the development settings, whose secrets everyone knows, are reachable from outside");
    }
    if !settings.admin.listen.ip().is_loopback() {
        tracing::info!(address = %settings.admin.listen, "the admin listener, which asks for no token, is reachable");
    }
}
