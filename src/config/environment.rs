//! The process environment, read once and passed on as a value, so that tests need not touch the real one.

use std::{env, ffi::OsString, path::PathBuf};

use super::vertex;

/// Prefix of the variables that are settings.
pub(super) const PREFIX: &str = "GATEWAY__";

/// The prefix that is often written by mistake, in any case.
pub(super) const MISTAKEN_PREFIX: &str = "GATEWAY_";

/// The variable that turns off the telemetry of ONNX Runtime; must be set before the process starts.
pub const TELEMETRY_OPT_OUT: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Path of ONNX Runtime that takes precedence; the variable that `ort` documents.
const LIBRARY_PATH: &str = "ORT_DYLIB_PATH";

/// Additional folder in which the C library looks for locales; text operators need `en_US.UTF-8`.
pub const LOCALE_PATH: &str = "LOCPATH";

/// The folder of locales that `tools/setup` fills, in the source tree.
const SETUP_LOCALES: &str = ".onnxruntime/locale";

/// Number of folders above the binary that are searched for it: `target/TARGET/release/deps` is the deepest.
const SETUP_LEVELS: usize = 5;

/// The gateway's view of its environment. Not printable, as settings may be secrets.
#[derive(Clone, Default)]
pub struct Environment {
    /// Variables that start with `GATEWAY__`, in full.
    pub settings: Vec<(String, String)>,
    /// Names of variables with nearly this prefix.
    pub similar: Vec<String>,
    /// The variables that Vertex AI sets; empty elsewhere.
    pub vertex: Vec<(String, String)>,
    /// `ORT_DYLIB_PATH`, if it is set and not empty.
    pub library_path: Option<PathBuf>,
    /// The folder that `config/default.toml` and relative paths are resolved against.
    pub working_directory: PathBuf,
    /// The folders above the binary, innermost first.
    pub binary_directories: Vec<PathBuf>,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let as_text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        let settings =
            env::vars_os().filter_map(as_text).filter(|(name, _)| name.starts_with(PREFIX)).collect();
        let is_similar = |name: &String| {
            let start = name.get(..MISTAKEN_PREFIX.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(MISTAKEN_PREFIX))
                && !name.starts_with(PREFIX)
        };
        let similar = env::vars_os().filter_map(as_text).map(|(name, _)| name).filter(is_similar).collect();
        let is_vertex = env::var_os(vertex::MODE).is_some_and(|mode| mode == vertex::PREDICTION);
        let vertex = env::vars_os()
            .filter_map(as_text)
            .filter(|(name, _)| is_vertex && vertex::VARIABLES.contains(&name.as_str()))
            .collect();
        let binary = env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
        Self {
            settings,
            similar,
            vertex,
            library_path: env::var_os(LIBRARY_PATH).filter(|value| !value.is_empty()).map(PathBuf::from),
            working_directory: env::current_dir().unwrap_or_default(),
            binary_directories: binary.ancestors().skip(1).map(PathBuf::from).collect(),
        }
    }
}

/// Returns the variables that this process lacks and libraries read when they are loaded. A process cannot safely
/// change its own environment, so it has to be restarted with them.
#[must_use]
pub fn missing_variables() -> Vec<(&'static str, OsString)> {
    let (name, value) = TELEMETRY_OPT_OUT;
    let telemetry = (env::var_os(name).is_none_or(|set| set != value)).then(|| (name, value.into()));
    let locales = locale_path().is_none().then(locales_of_setup).flatten();
    telemetry.into_iter().chain(locales.map(|path| (LOCALE_PATH, path.into()))).collect()
}

/// Returns the locale folder of `tools/setup`, for systems without the locale that text operators need.
fn locales_of_setup() -> Option<PathBuf> {
    let binary = env::current_exe().and_then(std::fs::canonicalize).ok()?;
    let of = |folder: &std::path::Path| folder.join(SETUP_LOCALES);
    binary.ancestors().skip(1).take(SETUP_LEVELS).map(of).find(|path| path.is_dir())
}

/// Returns the folder that [`LOCALE_PATH`] names; `None` if it is unset or empty.
#[must_use]
pub fn locale_path() -> Option<PathBuf> {
    env::var_os(LOCALE_PATH).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns this program's file. On Linux it is independent of the path that the program was started with, and stays the
/// same program if that path gets another.
#[must_use]
pub fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { env::current_exe().unwrap_or_default() }
}

/// Returns the arguments of this process, its own name first.
pub fn arguments() -> impl Iterator<Item = OsString> {
    env::args_os()
}

/// Returns the variables whose names begin with a prefix, such as those with credentials of an object store.
#[must_use]
pub fn variables_of(prefix: &str) -> Vec<(String, String)> {
    let as_text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    env::vars_os().filter_map(as_text).filter(|(name, _)| name.starts_with(prefix)).collect()
}

/// Returns the system's folder for temporary files (`TMPDIR`, else `/tmp`).
#[must_use]
pub fn temporary_directory() -> PathBuf {
    env::temp_dir()
}
