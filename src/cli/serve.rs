//! `onnx-gateway serve`

mod announcement;
mod example;

use std::{
    future::pending,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Failure,
    config_reload::Follower,
    load_settings::{Attempt, Prepared},
    named_models::NamedModels,
    warnings::{scopes_without_model, warn_of_danger, warn_of_no_client},
};
use crate::{
    config::{AuthSettings, Environment, Watch, environment},
    edge::Clock,
    lifecycle::model_toml_of,
    runtime::{self, Runtime},
    server::{Gateway, Parts},
    system::memory,
    telemetry::logging,
};
use announcement::Announcement;

#[derive(Debug, Default, Args)]
pub(super) struct ServeArguments {
    /// Models to serve instead of `models.repository`: .onnx files, or one folder. Without keys in the settings, this is
    /// for development: on loopback addresses only, with a generated token that is printed
    #[arg(value_name = "FILE|FOLDER")]
    models: Vec<PathBuf>,
    /// Print the addresses and the request of each named model as JSON, on one line
    #[arg(long, requires = "models")]
    json: bool,
}

/// Models that the command line names, with the folder for what is needed only while they are served.
struct Named {
    models: NamedModels,
    folder: TempDir,
}

impl Named {
    /// Checks the named models; `None` if there are none.
    fn new(paths: &[PathBuf]) -> Result<Option<Self>, Failure> {
        if paths.is_empty() {
            return Ok(None);
        }
        let folder =
            tempfile::Builder::new().prefix("onnx-gateway-").tempdir_in(environment::temporary_directory())?;
        let models = NamedModels::new(paths, folder.path().join("state"))?;
        Ok(Some(Self { models, folder }))
    }
}

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(files: &[PathBuf], arguments: &ServeArguments) -> Result<(), Failure> {
    memory::return_large_blocks();
    let environment = Environment::of_process();
    let named = Named::new(&arguments.models)?;
    let models = named.as_ref().map(|named| named.models.clone());
    let Attempt { files: read, prepared } = Attempt::of_named(files, &environment, models.as_ref());
    let Prepared { loaded, authentication, tls } = prepared?;
    let shows_token = models.as_ref().is_some_and(|models| models.is_for_development(&loaded));
    let announcement = named.as_ref().map(|Named { models, folder }| {
        let parts = (&loaded.settings, &authentication);
        Announcement::new(models.files(), folder.path(), parts, shows_token, arguments.json)
    });
    let announcement = announcement.transpose()?;
    let filter = logging::filter(&loaded.settings.log);
    let filter = filter.map_err(|problem| loaded.with_origins(vec![problem]))?;
    let log = logging::start(filter, loaded.settings.log.format)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    report_model_tomls(models.as_ref().map(NamedModels::files).unwrap_or_default());
    warn_of_danger(&loaded);
    warn_of_no_client(&loaded.settings.auth, authentication.issuer.is_some() && !shows_token);
    let onnx_runtime = Runtime::load(&loaded.settings.runtime, &environment)?;
    let parts = Parts {
        settings: loaded.settings,
        authentication,
        tls,
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
        let follower = Follower { files: files.to_vec(), environment, named: models, watch, hang_up, log };
        run(parts, follower, announcement).await
    });
    // A run that ignores its cancellation must not keep the process alive.
    runtime.shutdown_background();
    served
}

/// Logs which of the named files have a `model.toml`.
fn report_model_tomls(files: &[PathBuf]) {
    for file in files {
        let model_toml = model_toml_of(file);
        if model_toml.is_file() {
            let (file, model_toml) = (file.display(), model_toml.display());
            tracing::info!(%file, %model_toml, "found the model.toml of a file");
        }
    }
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

/// Announces named models; waits for ever.
async fn announce(announcement: Option<Announcement>, gateway: &Gateway) {
    if let Some(mut announcement) = announcement {
        announcement.run(gateway).await;
    }
    pending::<()>().await;
}

async fn run(
    parts: Parts,
    mut follower: Follower,
    announcement: Option<Announcement>,
) -> Result<(), Failure> {
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
        () = announce(announcement, &gateway) => Duration::ZERO,
    };
    tracing::info!("stopping: waiting for requests in progress");
    let begin = Instant::now();
    tokio::select! {
        () = gateway.shut_down(delay) => tracing::info!("stopped"),
        () = repeated(&mut terminate, begin) => tracing::warn!("stopped at once by a second signal"),
        () = repeated(&mut interrupt, begin) => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

/// Time after the first signal in which another is taken for the same: some programs, such as `timeout`, signal the
/// process and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Waits for a signal that was sent again.
async fn repeated(signal: &mut Signal, begin: Instant) {
    while signal.recv().await.is_some() && begin.elapsed() < SAME_SIGNAL {}
}
