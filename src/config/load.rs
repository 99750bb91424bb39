//! Loading of the settings: all layers are read and merged, and every problem is collected.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use config::{Config, ConfigBuilder, ConfigError, Source, builder::DefaultState};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::{
    Environment, Problems, Settings, SettingsProblem,
    excerpt::Excerpts,
    known_keys::KnownKeys,
    layer::{self, Findings},
    plans,
    watch::SourceFile,
};

/// Name of the settings file that may hold well-known credentials.
const DEVELOPMENT_FILE: &str = "development.toml";

/// The settings file that is read if it exists.
const DEFAULT_FILE: &str = "config/default.toml";

/// Most type errors reported. Each hides the ones after it, so its setting is reset to the default and the rest read
/// again.
const MAX_TYPE_ERRORS: usize = 100;

/// Settings that were read without a problem.
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Warnings for the operator, which do not prevent the start.
    pub warnings: Vec<String>,
    merged: Config,
    excerpts: Vec<Excerpts>,
}

/// The outcome of reading all layers.
pub struct Reading {
    /// The settings as far as they could be read, with defaults for the rest.
    pub loaded: Option<Loaded>,
    /// Every problem.
    pub problems: Vec<SettingsProblem>,
    /// Every file that was read or looked for, to watch for changes.
    pub files: Vec<SourceFile>,
}

impl Loaded {
    /// Returns true if a setting comes from a file named `development.toml`.
    #[must_use]
    pub fn is_for_development(&self, key: &str) -> bool {
        origin_of(key, &self.merged).is_some_and(|origin| is_development(Path::new(&origin)))
    }

    /// Adds to each problem the file or variable that its setting comes from.
    #[must_use]
    pub fn with_origins(&self, problems: Vec<SettingsProblem>) -> Problems {
        let of = |problem| with_excerpt(with_origin(problem, &self.merged), &self.excerpts);
        Problems(problems.into_iter().map(of).collect())
    }
}

/// Reads the embedded defaults, `config/default.toml`, the given files and the environment, in this order.
///
/// # Errors
///
/// Every unreadable file, unknown key, wrong type and value out of range, each with its origin.
pub fn load(files: &[PathBuf], environment: &Environment) -> Result<Loaded, Problems> {
    match read(files, environment) {
        Reading { loaded: Some(loaded), problems, .. } if problems.is_empty() => Ok(loaded),
        Reading { problems, .. } => Err(Problems(problems)),
    }
}

/// Reads as [`load`] does, but returns the settings in spite of problems.
#[must_use]
pub fn read(files: &[PathBuf], environment: &Environment) -> Reading {
    let keys = KnownKeys::new();
    let mut findings = Findings::default();
    let default_file = environment.working_directory.join(DEFAULT_FILE);
    findings.note(&default_file);
    let mut layers = Vec::new();
    if default_file.exists() {
        layers.extend(layer::from_file(&default_file, &keys, &mut findings));
    }
    // The platform overrides what the image defines, and is overridden by the files of this installation.
    layers.extend(layer::from_vertex(&environment.vertex, &keys, &mut findings));
    layers.extend(files.iter().filter_map(|file| layer::from_file(file, &keys, &mut findings)));
    let directory = &environment.working_directory;
    layers.extend(layer::from_environment(&environment.settings, directory, &keys, &mut findings));
    layer::warn_of_similar(&environment.similar, &keys, &mut findings);

    let Findings { mut problems, warnings, files, excerpts } = findings;
    let loaded = match merge(layers) {
        Ok(merged) => deserialize(&merged, &mut problems).map(|settings| (settings, merged)),
        Err(error) => {
            problems.push(problem_of(error));
            None
        }
    };
    let problems = problems.into_iter().map(|problem| with_excerpt(problem, &excerpts)).collect();
    let loaded = loaded.map(|(settings, merged)| Loaded { settings, warnings, merged, excerpts });
    let files = match &loaded {
        Some(loaded) => with_tls_files(files, &loaded.settings),
        None => files,
    };
    Reading { loaded, problems, files }
}

/// Adds the files of certificates and keys: they change while the gateway runs, and the settings do not.
#[must_use]
pub fn with_tls_files(mut files: Vec<SourceFile>, settings: &Settings) -> Vec<SourceFile> {
    for (_, path) in settings.tls_sections().into_iter().flat_map(|(_, section)| section.files()) {
        if files.iter().all(|file| file.path() != path) {
            files.push(SourceFile::look(path));
        }
    }
    files
}

fn is_development(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == DEVELOPMENT_FILE)
}

fn merge(layers: Vec<layer::Layer>) -> Result<Config, ConfigError> {
    let defaults = Config::try_from(&Settings::default())?;
    layers
        .into_iter()
        .fold(Config::builder().add_source(defaults), ConfigBuilder::<DefaultState>::add_source)
        .build()
}

/// Returns the settings if all have the right type; adds every problem to `problems`.
fn deserialize(merged: &Config, problems: &mut Vec<SettingsProblem>) -> Option<Settings> {
    let defaults = Config::try_from(&Settings::default()).ok()?;
    let mut attempt = merged.clone();
    for _ in 0..MAX_TYPE_ERRORS {
        match attempt.clone().try_deserialize::<Settings>() {
            Ok(settings) => {
                if let Err(errors) = settings.validate() {
                    let found = flatten("", &errors);
                    problems.extend(found.into_iter().map(|problem| with_origin(problem, merged)));
                }
                let of_issuers = problems_of_named("auth.issuers", &settings.auth.issuers);
                let of_named = problems_of_quotas(&settings).into_iter().chain(of_issuers);
                problems.extend(of_named.map(|problem| with_origin(problem, merged)));
                return Some(settings);
            }
            Err(error) => {
                let problem = problem_of(error);
                let key = problem.key.clone();
                problems.push(with_origin(problem, merged));
                let default = defaults.get::<config::Value>(&key).ok()?;
                attempt =
                    Config::builder().add_source(attempt).set_override(&key, default).ok()?.build().ok()?;
            }
        }
    }
    None
}

/// Returns the problems of plans and of the quotas of models.
fn problems_of_quotas(settings: &Settings) -> Vec<SettingsProblem> {
    let of_plans = problems_of_named("rate_limit.plans", &settings.rate_limit.plans);
    let of_models = problems_of_named("rate_limit.per_model", &settings.rate_limit.per_model);
    of_plans.into_iter().chain(of_models).chain(plans::problems(settings)).collect()
}

/// Returns the problems of entries whose names stand in the keys, which the rules for sections do not know.
fn problems_of_named<N: fmt::Display, E: Validate>(
    section: &str,
    entries: &BTreeMap<N, E>,
) -> Vec<SettingsProblem> {
    let of_entry = |(name, entry): (&N, &E)| {
        let errors = entry.validate().err();
        errors.map(|errors| flatten(&format!("{section}.{name}"), &errors)).unwrap_or_default()
    };
    entries.iter().flat_map(of_entry).collect()
}

fn with_origin(mut problem: SettingsProblem, merged: &Config) -> SettingsProblem {
    if problem.origin.is_none() {
        problem.origin = origin_of(&problem.key, merged);
    }
    problem
}

/// Adds the line of the setting in the file that it comes from.
fn with_excerpt(mut problem: SettingsProblem, excerpts: &[Excerpts]) -> SettingsProblem {
    if let (None, Some(origin)) = (&problem.excerpt, &problem.origin) {
        problem.excerpt = excerpts.iter().find_map(|file| file.find(origin, &problem.key)).map(Box::new);
    }
    problem
}

/// Returns the file or variable that set a key. The library's own look-up by key loses the origin.
fn origin_of(key: &str, merged: &Config) -> Option<String> {
    let mut table = merged.collect().ok()?;
    let mut segments = key.split('.').peekable();
    while let Some(segment) = segments.next() {
        let value = table.remove(segment)?;
        if segments.peek().is_none() {
            return value.origin().map(str::to_owned);
        }
        table = value.into_table().ok()?;
    }
    None
}

fn problem_of(error: ConfigError) -> SettingsProblem {
    match error {
        ConfigError::Type { origin, unexpected, expected, key } => {
            let key = key.unwrap_or_default();
            // The value in the wrong place may be a secret.
            let secret = key.starts_with("auth.");
            let got = if secret { "another type".to_owned() } else { unexpected.to_string() };
            let problem = SettingsProblem::at(key, format!("expected {expected}, got {got}"));
            SettingsProblem { origin, ..problem }
        }
        ConfigError::At { error, origin, key } => {
            let inner = problem_of(*error);
            SettingsProblem { origin: origin.or(inner.origin), key: key.unwrap_or(inner.key), ..inner }
        }
        ConfigError::NotFound(key) => SettingsProblem::at(key, "is missing"),
        other => SettingsProblem::at("", other.to_string()),
    }
}

/// Converts the errors of `validator` into problems with dotted keys.
fn flatten(path: &str, errors: &ValidationErrors) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    for (name, kind) in errors.errors() {
        let key = match (path, name.as_ref()) {
            // A rule for a whole section.
            (path, "__all__") => path.to_owned(),
            ("", name) => name.to_owned(),
            (path, name) => format!("{path}.{name}"),
        };
        match kind {
            ValidationErrorsKind::Struct(inner) => problems.extend(flatten(&key, inner)),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    problems.extend(flatten(&format!("{key}[{index}]"), inner));
                }
            }
            ValidationErrorsKind::Field(found) => problems.extend(found.iter().map(|error| {
                let message = error.message.clone().unwrap_or_else(|| error.code.clone());
                SettingsProblem::at(&key, message)
            })),
        }
    }
    problems.sort_by(|left, right| left.key.cmp(&right.key));
    problems
}
