//! Models that the command line names, and the settings that follow from them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::Failure;
use crate::{
    auth::generate_secret,
    config::{Loaded, ModelsSettings, QuotaSettings, RateLimitSettings, Secret, SettingsProblem},
    model::{OnnxFile, OnnxFileError},
    scoring::Format,
};

/// The quotas of a gateway for development: more than a person or a script on the same machine sends by accident. That of
/// callers counts rows.
const DEVELOPMENT_REQUESTS: QuotaSettings = QuotaSettings { requests: 60_000, period_seconds: 60 };
const DEVELOPMENT_ROWS: QuotaSettings = QuotaSettings { requests: 100_000_000, period_seconds: 60 };

/// Model files or a folder to serve instead of `models.repository`.
#[derive(Clone, Debug)]
pub(super) struct NamedModels {
    files: Vec<PathBuf>,
    repository: Option<PathBuf>,
    /// The key of a gateway that has none of its own.
    secret: Secret,
    /// The state directory of such a gateway, whose deployments end with it.
    state: PathBuf,
}

impl NamedModels {
    /// Checks the paths that `serve` was given; there is at least one.
    pub(super) fn new(paths: &[PathBuf], state: PathBuf) -> Result<Self, Failure> {
        let mut named = Self { files: Vec::new(), repository: None, secret: generate_secret(), state };
        if let [folder] = paths
            && folder.is_dir()
        {
            named.repository = Some(absolute(folder)?);
            return Ok(named);
        }
        for path in paths {
            named.files.push(model_file(path)?);
        }
        match ModelsSettings::objection_to_files(paths) {
            Some(objection) => Err(objection.into()),
            None => Ok(named),
        }
    }

    /// Returns the files; none if a folder is served.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Changes the settings of models so that these are served.
    pub(super) fn select(&self, settings: &mut ModelsSettings) {
        settings.files.clone_from(&self.files);
        if let Some(repository) = &self.repository {
            settings.repository.clone_from(repository);
        }
    }

    /// Changes the settings so that these models are served. Without keys for real callers, a generated key signs
    /// tokens, the state is temporary, and every listener must be on a loopback address.
    pub(super) fn apply(&self, loaded: &mut Loaded) -> Vec<SettingsProblem> {
        let is_for_development = !Self::has_real_keys(loaded);
        let settings = &mut loaded.settings;
        self.select(&mut settings.models);
        if !is_for_development {
            return Vec::new();
        }
        settings.models.state_directory.clone_from(&self.state);
        if settings.auth.enabled && !settings.auth.has_keys() {
            settings.auth.signing_secret = Some(self.secret.clone());
        }
        let grpc = settings.grpc.enabled.then_some(("grpc.listen", &settings.grpc.listen));
        let listeners =
            [("server.listen", &settings.server.listen), ("admin.listen", &settings.admin.listen)];
        let exposed: Vec<_> = listeners
            .into_iter()
            .chain(grpc)
            .filter(|(_, address)| !address.is_local())
            .map(|(setting, address)| (setting, address.clone()))
            .collect();
        if exposed.is_empty() {
            raise_quotas(&mut settings.rate_limit);
        }
        let problem = |(setting, address)| {
            let message = format!(
                "other machines can reach {address}, and there is no key but one for development: write a \
                 configuration with keys by `onnx-gateway init`, then add --config gateway.toml"
            );
            SettingsProblem::at(setting, message)
        };
        exposed.into_iter().map(problem).collect()
    }

    /// Returns true if tokens are signed with the generated key, or with one that everyone knows.
    pub(super) fn is_for_development(&self, loaded: &Loaded) -> bool {
        let secret = loaded.settings.auth.signing_secret.as_ref();
        let is_generated = secret.is_some_and(|secret| secret.expose() == self.secret.expose());
        is_generated || !Self::has_real_keys(loaded)
    }

    /// Returns true if callers need tokens that are not signed with a key that everyone knows.
    fn has_real_keys(loaded: &Loaded) -> bool {
        let auth = &loaded.settings.auth;
        auth.enabled && auth.has_keys() && !loaded.is_for_development("auth.signing_secret")
    }
}

/// Raises the quotas that the settings leave at their defaults, which would hinder the only person who is there.
fn raise_quotas(quotas: &mut RateLimitSettings) {
    let usual = RateLimitSettings::default();
    for (quota, usual, raised) in [
        (&mut quotas.per_address, usual.per_address, DEVELOPMENT_REQUESTS),
        (&mut quotas.per_caller, usual.per_caller, DEVELOPMENT_ROWS),
    ] {
        if *quota == usual {
            *quota = raised;
        }
    }
}

/// Checks that a file is there and named like a model's, and returns its path independent of the working directory.
fn model_file(path: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("{shown} cannot be served: {error}"))?;
    if metadata.is_dir() {
        return Err(format!("{shown} is a folder: give one folder alone, or files that end in .onnx").into());
    }
    if let Err(objection) = ModelsSettings::model_of(path) {
        return Err(format!("{objection}{}", kind_of(path)).into());
    }
    absolute(path)
}

/// Says what a file is that is not named like a model's; empty if that is unknown.
fn kind_of(path: &Path) -> String {
    let shown = path.display();
    if Format::of_file(path).is_some() {
        return format!(
            "; it holds rows, which `onnx-gateway score MODEL.onnx --input {shown} --output FILE` scores"
        );
    }
    match File::open(path).map(OnnxFile::read) {
        // Files of other formats may pass for one that is cut short.
        Ok(Ok(_)) => "; it is an ONNX model: rename it".to_owned(),
        Ok(Err(OnnxFileError::NotOnnx(reason))) => format!("; {reason}"),
        Ok(Err(OnnxFileError::Truncated(_) | OnnxFileError::Io(_))) | Err(_) => String::new(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
