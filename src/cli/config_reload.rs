//! Reload of the settings while the gateway runs: when their files change, and at SIGHUP.

use std::{
    future::pending,
    io::{self, IsTerminal},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::{
    signal::unix::Signal,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{
    load_settings::{Attempt, Prepared},
    named_models::NamedModels,
    warnings::{warn_of_danger, warn_of_no_client},
};
use crate::{
    config::{Environment, Problems, SettingsProblem, SourceFile, Watch, with_tls_files},
    server::{Gateway, Reloaded},
    telemetry::logging::Log,
    tls::LoadedTls,
};

/// Time between two checks of the files. A change is applied once two checks in a row find the same content.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A reader of changed settings, which reads them in the same way as at the start.
pub(super) struct Follower {
    pub(super) files: Vec<PathBuf>,
    pub(super) environment: Environment,
    /// The models that the command line names.
    pub(super) named: Option<NamedModels>,
    /// The files as they were read last.
    pub(super) watch: Watch,
    pub(super) hang_up: Signal,
    pub(super) log: Log,
}

impl Follower {
    /// Reloads the gateway when its settings' files change, and at each SIGHUP. Returns when the terminal that it was
    /// started in is closed. The system sends SIGHUP then too, and Ctrl-C could no longer stop the gateway.
    ///
    /// Cancel safe: the gateway is reloaded in one step.
    pub(super) async fn run(&mut self, gateway: &Gateway) {
        let has_terminal = || io::stderr().is_terminal();
        let had_terminal = has_terminal();
        let mut next_look = Instant::now() + LOOK_INTERVAL;
        loop {
            let told = tokio::select! {
                Some(()) = self.hang_up.recv() => true,
                () = sleep_until(next_look) => false,
            };
            if told && had_terminal && !has_terminal() {
                return;
            }
            if told || self.is_settled_change().await {
                self.reload(gateway).await;
            }
            next_look = Instant::now() + LOOK_INTERVAL;
        }
    }

    async fn is_settled_change(&mut self) -> bool {
        let paths = self.paths();
        let look = blocking(move || look_at(&paths)).await;
        self.watch.is_settled_change(look)
    }

    async fn reload(&mut self, gateway: &Gateway) {
        let (files, environment, paths) = (self.files.clone(), self.environment.clone(), self.paths());
        let named = self.named.clone();
        let attempt = blocking(move || match read_once(&look_at(&paths)) {
            problems if problems.is_empty() => Ok(Attempt::of_named(&files, &environment, named.as_ref())),
            problems => Err(Problems(problems)),
        });
        let prepared = attempt.await.and_then(|attempt| {
            self.watch = Watch::new(attempt.files);
            attempt.prepared
        });
        match prepared {
            Ok(prepared) => self.apply(gateway, prepared),
            Err(Problems(problems)) => {
                gateway.count_refused_settings();
                for problem in &problems {
                    tracing::error!(%problem, line = problem.line(), "failed to reload the settings");
                }
                // Boxed, since it holds all settings, and is rare.
                Box::pin(self.reload_certificates(gateway, &problems)).await;
            }
        }
    }

    /// Reads the files of the certificates in use again, while the settings cannot be read or are refused. Problems
    /// with them that are known already are not logged again.
    async fn reload_certificates(&mut self, gateway: &Gateway, known: &[SettingsProblem]) {
        let settings = gateway.settings();
        // The refused settings may have named others, or none.
        let files = self.watch.files().to_vec();
        let (files, read) = blocking(move || {
            let files = with_tls_files(files, &settings);
            (files, LoadedTls::new(&settings, SystemTime::now()))
        })
        .await;
        self.watch = Watch::new(files);
        match read {
            Ok(LoadedTls { listeners, warnings }) => {
                let sections = gateway.reload_tls(listeners);
                if !sections.is_empty() {
                    for warning in warnings {
                        tracing::warn!("{warning}");
                    }
                    tracing::info!(applied = sections.join(", "), "reloaded the certificates");
                }
            }
            Err(problems) => {
                let is_known = |problem: &SettingsProblem| {
                    known.iter().any(|known| (&known.key, &known.message) == (&problem.key, &problem.message))
                };
                for problem in problems.iter().filter(|problem| !is_known(problem)) {
                    tracing::error!(%problem, "failed to reload the certificates");
                }
            }
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.watch.files().iter().map(|file| file.path().to_path_buf()).collect()
    }

    fn apply(&self, gateway: &Gateway, prepared: Prepared) {
        let Prepared { loaded, authentication, tls } = prepared;
        // The level was checked with the rest, so this does not fail on bad settings.
        if let Err(problem) = self.log.set_level(&loaded.settings.log) {
            tracing::error!(%problem, "failed to change the log level");
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        warn_of_danger(&loaded);
        let signs = authentication.issuer.is_some() && !loaded.is_for_development("auth.signing_secret");
        warn_of_no_client(&loaded.settings.auth, signs);
        let Reloaded { applied, needs_restart } = gateway.reload(loaded.settings, authentication, tls);
        for setting in needs_restart {
            tracing::warn!("{setting}");
        }
        tracing::info!(applied = applied.join(", "), "reloaded the settings");
    }
}

fn look_at(paths: &[PathBuf]) -> Vec<SourceFile> {
    paths.iter().map(|path| SourceFile::look(path)).collect()
}

/// Returns a problem for each file that can be read only once, such as a pipe: reading it again could block for ever.
fn read_once(files: &[SourceFile]) -> Vec<SettingsProblem> {
    let message = "is not a regular file and cannot be read again: restart the gateway";
    files
        .iter()
        .filter(|file| file.is_read_once())
        .map(|file| SettingsProblem::in_origin(&file.path().display().to_string(), "", message))
        .collect()
}

/// Runs blocking work off the request threads: reading files and checking secrets takes longer than a request should
/// wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "failed to check the settings for changes; they are no longer reloaded");
            pending().await
        }
    }
}
