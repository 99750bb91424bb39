//! Cache of model configurations, each read again only if its file changed.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::lifecycle::{Config, ModelConfig, fingerprint::Fingerprint};

/// Configurations by the paths of their files.
#[derive(Debug, Default)]
pub(super) struct Configs(HashMap<PathBuf, KnownConfig>);

/// A configuration that was read, with the fingerprint that says when to read it again.
#[derive(Debug)]
struct KnownConfig {
    fingerprint: Fingerprint,
    golden: Option<PathBuf>,
    config: Config,
}

impl Configs {
    /// Returns a model's configuration: the default one if there is no file.
    pub(super) fn read(&mut self, root: &Path, file: &Path) -> Config {
        if let Err(error) = fs::symlink_metadata(file)
            && error.kind() == io::ErrorKind::NotFound
        {
            self.0.remove(file);
            return Ok(Arc::default());
        }
        let of = |golden: Option<&Path>| Fingerprint::of([Some(file), golden].into_iter().flatten());
        if let Some(known) = self.0.get(file)
            && known.fingerprint == of(known.golden.as_deref())
        {
            return known.config.clone();
        }
        let before = of(None);
        let (config, golden) = match ModelConfig::read(root, file) {
            Ok((config, golden)) => (Ok(Arc::new(config)), golden),
            Err(problem) => (Err(problem), None),
        };
        // A file that changed while it was read is read again.
        let fingerprint = if before == of(None) { of(golden.as_deref()) } else { Fingerprint::default() };
        let known = KnownConfig { fingerprint, golden, config: config.clone() };
        self.0.insert(file.to_path_buf(), known);
        config
    }

    /// Returns the file of golden cases that a configuration names. `None` if it names none, or was not read.
    pub(super) fn golden(&self, file: &Path) -> Option<PathBuf> {
        self.0.get(file)?.golden.clone()
    }

    /// Forgets configurations whose files are gone.
    pub(super) fn forget_removed(&mut self) {
        self.0.retain(|path, _| path.exists());
    }
}
