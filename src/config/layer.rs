//! One layer of settings: a file or the environment, checked key by key before the layers are merged.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use config::{Map, Source, Value, ValueKind};

use super::{
    environment::PREFIX,
    excerpt::{self, Excerpts},
    known_keys::{Kind, KnownKeys},
    problem::SettingsProblem,
    sections::TLS_FILES,
    vertex::{self, VertexSetting},
    watch::SourceFile,
};

/// Largest file of a secret; a larger one is a mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Keys whose files are read as bytes, text or not.
const TAKES_BYTES: &[&str] = &[".secret_file", ".signing_secret_file"];

/// Settings from one origin.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    values: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.values.clone())
    }
}

/// Findings from reading a layer, besides its settings.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<SettingsProblem>,
    pub(super) warnings: Vec<String>,
    /// Every file that was read or looked for.
    pub(super) files: Vec<SourceFile>,
    /// The lines of the settings in each file.
    pub(super) excerpts: Vec<Excerpts>,
}

impl Findings {
    /// Records the content of a file. Call this before reading it, so that a change in between is noticed later.
    pub(super) fn note(&mut self, path: &Path) {
        if self.files.iter().all(|file| file.path() != path) {
            self.files.push(SourceFile::look(path));
        }
    }
}

/// Reads a TOML file; the paths of secrets are relative to its folder.
pub(super) fn from_file(path: &Path, keys: &KnownKeys, findings: &mut Findings) -> Option<Layer> {
    findings.note(path);
    let origin = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            findings.problems.push(SettingsProblem::in_origin(
                &origin,
                "",
                format!("cannot be read: {}", describe_read_error(&error)),
            ));
            return None;
        }
    };
    let table: toml::Table = match toml::from_str(&text) {
        Ok(table) => table,
        Err(error) => {
            let excerpt = error.span().map(|span| Box::new(excerpt::of_syntax_error(&origin, &text, span)));
            let line = excerpt.as_ref().map_or(0, |excerpt| excerpt.line);
            let message = format!("line {line}: {}", error.message());
            let problem = SettingsProblem::in_origin(&origin, "", message);
            findings.problems.push(SettingsProblem { excerpt, ..problem });
            return None;
        }
    };
    findings.excerpts.push(Excerpts::of(&origin, &text));
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let values = from_table(table, &mut Reader { origin: &origin, base, keys, findings }, &[]);
    Some(Layer { values })
}

/// Reads the variables that Vertex AI sets, one layer per variable.
pub(super) fn from_vertex(
    variables: &[(String, String)],
    keys: &KnownKeys,
    findings: &mut Findings,
) -> Vec<Layer> {
    let mut layers = Vec::new();
    for VertexSetting { section, name, value, variable } in vertex::settings(variables) {
        let setting = toml::Table::from_iter([(name.to_owned(), toml::Value::String(value))]);
        let table = toml::Table::from_iter([(section.to_owned(), toml::Value::Table(setting))]);
        let origin = format!("environment variable {variable}");
        let mut reader = Reader { origin: &origin, base: PathBuf::new(), keys, findings };
        layers.push(Layer { values: from_table(table, &mut reader, &[]) });
    }
    layers
}

/// Reads the variables `GATEWAY__SECTION__KEY`, one layer per variable so that each is its own origin.
pub(super) fn from_environment(
    variables: &[(String, String)],
    working_directory: &Path,
    keys: &KnownKeys,
    findings: &mut Findings,
) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (name, value) in variables {
        let lower = name[PREFIX.len()..].to_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let file_path = format!("{lower}_file");
        let twice = variables.iter().any(|(other, _)| other.eq_ignore_ascii_case(&format!("{name}_FILE")));
        if twice && matches!(keys.kind(&file_path.split("__").collect::<Vec<_>>()), Kind::FileOf(_)) {
            let message = format!("{name} and {name}_FILE are both set; unset one");
            findings.problems.push(SettingsProblem::in_origin(
                &format!("environment variable {name}"),
                path.join("."),
                message,
            ));
            continue;
        }
        let origin = format!("environment variable {name}");
        let value = toml::Value::String(value.clone());
        let nested = path.iter().rev().fold(value, |inner, segment| {
            toml::Value::Table([((*segment).to_owned(), inner)].into_iter().collect())
        });
        let toml::Value::Table(table) = nested else {
            continue;
        };
        let mut reader = Reader { origin: &origin, base: working_directory.to_path_buf(), keys, findings };
        layers.push(Layer { values: from_table(table, &mut reader, &[]) });
    }
    layers
}

/// Warns of variables that are not settings, and suggests the setting most likely meant.
pub(super) fn warn_of_similar(variables: &[String], keys: &KnownKeys, findings: &mut Findings) {
    for name in variables {
        if let Some(key) = keys.meant_by(name) {
            let meant = key.replace('.', "__").to_uppercase();
            let warning = format!("environment variable {name} has no effect: did you mean {PREFIX}{meant}?");
            findings.warnings.push(warning);
        }
    }
}

struct Reader<'r> {
    origin: &'r str,
    base: PathBuf,
    keys: &'r KnownKeys,
    findings: &'r mut Findings,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, message: String) {
        self.findings.problems.push(SettingsProblem::in_origin(self.origin, key, message));
    }

    /// Records a key that does not exist, with the nearest that does.
    fn unknown(&mut self, key: &str, nearest: Option<&str>) {
        let meant = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
        let problem =
            SettingsProblem::in_origin(self.origin, key, format!("there is no such setting{meant}"));
        let excerpt = self.findings.excerpts.iter().find_map(|file| file.find(self.origin, key));
        let excerpt = excerpt.map(|excerpt| {
            let hint = nearest.map(|nearest| format!("did you mean `{}`?", within_section(key, nearest)));
            Box::new(excerpt.with_hint(hint))
        });
        self.findings.problems.push(SettingsProblem { excerpt, ..problem });
    }
}

/// Returns the last part of a key if the rest is the section that is written already.
fn within_section<'n>(key: &str, nearest: &'n str) -> &'n str {
    match (key.rsplit_once('.'), nearest.rsplit_once('.')) {
        (Some((section, _)), Some((other, name))) if section == other => name,
        _ => nearest,
    }
}

fn from_table(table: toml::Table, reader: &mut Reader<'_>, section: &[&str]) -> Map<String, Value> {
    let mut values = Map::new();
    let names: Vec<String> = table.keys().cloned().collect();
    for (name, value) in table {
        let path: Vec<&str> = section.iter().copied().chain([name.as_str()]).collect();
        let key = path.join(".");
        match (reader.keys.kind(&path), value) {
            (Kind::Table, toml::Value::Table(inner)) => {
                let inner = from_table(inner, reader, &path);
                values.insert(name.clone(), Value::new(Some(&reader.origin.to_owned()), inner));
            }
            (Kind::Table, _) => reader.problem(&key, "is a section, not a setting".to_owned()),
            (Kind::Setting, value) => {
                if let Some(kind) = plain(within_folder(value, &path, &reader.base), reader.origin) {
                    values.insert(name.clone(), Value::new(Some(&reader.origin.to_owned()), kind));
                } else {
                    reader.problem(&key, "is a setting, not a section".to_owned());
                }
            }
            (Kind::FileOf(setting), toml::Value::String(file)) => {
                let base64 = format!("{setting}_base64");
                if let Some(other) = [&setting, &base64].into_iter().find(|other| names.contains(other)) {
                    reader.problem(&key, format!("`{other}` and `{name}` are both set; remove one"));
                } else {
                    let origin = reader.origin.to_owned();
                    match read_secret(&reader.base.join(file), &key, reader) {
                        Some(Content::Text(text)) => {
                            values.insert(setting, Value::new(Some(&origin), text));
                        }
                        // Stored under the sibling setting that can hold bytes.
                        Some(Content::Bytes(bytes)) => {
                            values.insert(base64, Value::new(Some(&origin), STANDARD.encode(bytes)));
                        }
                        None => {}
                    }
                }
            }
            (Kind::FileOf(_), _) => reader.problem(&key, "must be the path of a file".to_owned()),
            (Kind::Unknown { nearest }, _) => {
                reader.unknown(&key, nearest.as_deref());
            }
        }
    }
    values
}

/// Returns the path of a certificate or its key from the folder of the settings file; other values are unchanged.
fn within_folder(value: toml::Value, path: &[&str], base: &Path) -> toml::Value {
    match (path, value) {
        ([_, "tls", name], toml::Value::String(file)) if TLS_FILES.contains(name) => {
            toml::Value::String(base.join(file).display().to_string())
        }
        (_, value) => value,
    }
}

/// Returns a value that is not a table; `None` if it is one.
fn plain(value: toml::Value, origin: &str) -> Option<ValueKind> {
    Some(match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(integer) => ValueKind::I64(integer),
        toml::Value::Float(float) => ValueKind::Float(float),
        toml::Value::Boolean(truth) => ValueKind::Boolean(truth),
        toml::Value::Datetime(datetime) => ValueKind::String(datetime.to_string()),
        toml::Value::Array(items) => {
            let item = |item| plain(item, origin).map(|kind| Value::new(Some(&origin.to_owned()), kind));
            ValueKind::Array(items.into_iter().map(item).collect::<Option<_>>()?)
        }
        toml::Value::Table(_) => return None,
    })
}

/// The content of a secret's file.
enum Content {
    /// Text, without the final newline that editors add.
    Text(String),
    /// Bytes that are not text, unchanged.
    Bytes(Vec<u8>),
}

/// Describes an error of reading a file, with the user who may not read it.
pub(crate) fn describe_read_error(error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let user = rustix::process::geteuid().as_raw();
    format!(
        "{error}: onnx-gateway runs as user id {user}; let that user own the file (chown {user}), or start it as the \
         owner (in a container, --user)"
    )
}

fn read_secret(path: &Path, key: &str, reader: &mut Reader<'_>) -> Option<Content> {
    reader.findings.note(path);
    let shown = path.display();
    let metadata = fs::metadata(path);
    if metadata.as_ref().is_ok_and(|metadata| metadata.len() > MAX_SECRET_BYTES) {
        reader.problem(key, format!("{shown} is larger than a secret may be ({MAX_SECRET_BYTES} bytes)"));
        return None;
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            reader.problem(key, format!("{shown} cannot be read: {}", describe_read_error(&error)));
            return None;
        }
    };
    if let Ok(metadata) = metadata {
        use std::os::unix::fs::PermissionsExt;
        if !key.contains("public_key") && !key.contains("jwk") && metadata.permissions().mode() & 0o077 != 0 {
            let warning = format!("{shown} holds a secret and other users may read it: chmod 600 it");
            reader.findings.warnings.push(warning);
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text =
                text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            Some(Content::Text(text.to_owned()))
        }
        Err(bytes) if TAKES_BYTES.iter().any(|name| key.ends_with(name)) => {
            Some(Content::Bytes(bytes.into_bytes()))
        }
        Err(_) => {
            reader.problem(key, format!("{shown} is not text"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_told_of_with_this_user() {
        let user = rustix::process::geteuid().as_raw();
        let said = describe_read_error(&io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(said.contains(&format!("runs as user id {user}; let that user own the file")), "{said}");
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(describe_read_error(&other), other.to_string());
    }
}
