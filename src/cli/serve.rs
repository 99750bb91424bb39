//! `onnx-gateway serve`

use std::{future::pending, path::PathBuf, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    Failure,
    config_reload::Follower,
    load_settings::Attempt,
    warnings::{scopes_without_model, warn_of_danger},
};
use crate::{
    config::{AuthSettings, Environment, Watch, environment},
    edge::Clock,
    runtime::{self, Runtime},
    server::{Gateway, Parts},
    system::memory,
    telemetry::logging,
};

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(files: &[PathBuf]) -> Result<(), Failure> {
    memory::return_large_blocks();
    let environment = Environment::of_process();
    let Attempt { files: read, prepared } = Attempt::new(files, &environment);
    let (loaded, authentication) = prepared?;
    let log = logging::start(&loaded.settings.log).map_err(|problem| loaded.with_origins(vec![problem]))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    warn_of_danger(&loaded);
    let onnx_runtime = Runtime::load(&loaded.settings.runtime, &environment)?;
    let parts = Parts {
        settings: loaded.settings,
        authentication,
        runtime: onnx_runtime,
        program: environment::this_program(),
        clock: Clock::system(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Requests run on the server's own threads.
        .worker_threads(1)
        .thread_stack_size(runtime::STACK_BYTES)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        // Registered before any slow step: an unhandled SIGHUP would end the process.
        let hang_up = signal(SignalKind::hangup())?;
        let watch = Watch::new(read);
        run(parts, Follower { files: files.to_vec(), environment, watch, hang_up, log }).await
    });
    // A run that ignores its cancellation must not keep the process alive.
    runtime.shutdown_background();
    served
}

/// Warns of scopes for unknown models once all models are known; then waits for ever.
async fn warn_of_scopes(gateway: &Gateway, auth: AuthSettings) {
    gateway.serving().started().await;
    let status = gateway.serving().status();
    for warning in scopes_without_model(&auth, |model| status.iter().any(|status| status.model == *model)) {
        tracing::warn!("{warning}");
    }
    // The hashes of secrets are not needed any longer.
    drop(auth);
    pending::<()>().await;
}

async fn run(parts: Parts, mut follower: Follower) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let auth = parts.settings.auth.clone();
    let gateway = Gateway::start(parts).await?;
    tracing::info!(
        address = %gateway.public_address(),
        grpc = gateway.grpc_address().map(tracing::field::display),
        admin = %gateway.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let delay = tokio::select! {
        _ = terminate.recv() => gateway.shutdown_delay(),
        // After Ctrl-C or a closed terminal no load balancer has to notice: stop without delay.
        _ = interrupt.recv() => Duration::ZERO,
        () = follower.run(&gateway) => Duration::ZERO,
        () = warn_of_scopes(&gateway, auth) => Duration::ZERO,
    };
    tracing::info!("stopping: waiting for requests in progress");
    tokio::select! {
        () = gateway.shut_down(delay) => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once by a second signal"),
        _ = interrupt.recv() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}
