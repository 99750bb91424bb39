//! Configuration of a model in the repository: `NAME/model.toml`, or `NAME.toml` beside a flat file.
//!
//! ```toml
//! versions = "latest"              # or one number, or a list of numbers
//! allow_breaking_changes = false   # true if a file may break the callers of the one it replaces
//!
//! [labels]                         # /models/iris/versions/canary/predict
//! stable = 1
//! canary = 2
//!
//! [pin]                            # files that may serve at all
//! sha256 = ["0123…"]               # of the model's file and of each file that it needs
//! minisign_public_key = "RWQ…"     # each file has its signature beside it: model.onnx.minisig
//!
//! [contract]                       # overrides the contract in the model's metadata, key by key
//! tolerance = 0.001
//! golden_file = "golden.json"
//!
//! [scheduler]                      # overrides the gateway's settings for this model
//! mode = "own_threads"
//! max_delay_ms = 2
//! ```
//!
//! Without a `NAME/model.toml`, Triton's `NAME/config.pbtxt` counts, as far as it means something here.

mod mistake;
mod place;
mod scheduler;
mod schema;
mod triton;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use place::{TRITON_CONFIG_FILE, VersionedFile, config_in, config_of, model_toml_of};
pub use scheduler::SchedulerConfig;
pub use schema::schema as model_config_schema;

use super::confined_file;
use crate::model::{Digest, ModelVersion, VersionLabel};

/// A larger file beside a model was put there by mistake.
const MAX_BYTES: u64 = 8 << 20;

/// The key under `contract` that names a file with golden cases.
const GOLDEN_FILE: &str = "golden_file";

/// An operator's configuration of one model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Versions that serve: `"latest"`, a number, or a list of numbers.
    #[schemars(schema_with = "schema::versions")]
    pub versions: Versions,
    /// Labels of versions; each of these versions serves in addition.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub labels: BTreeMap<VersionLabel, VersionNumber>,
    /// True if a file may break the callers of the one that it replaces.
    pub allow_breaking_changes: bool,
    /// Files that may serve at all.
    pub pin: Pin,
    /// Overrides of the contract in the model's metadata, with the golden cases of the file included.
    #[schemars(schema_with = "schema::contract")]
    pub contract: Option<Value>,
    /// Overrides of the scheduler settings.
    pub scheduler: SchedulerConfig,
    /// The kind of the file.
    #[serde(skip)]
    pub file: ConfigFile,
    /// Sentences about settings of Triton that have no effect.
    #[serde(skip)]
    pub not_applied: BTreeSet<String>,
}

/// The kind of a model's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigFile {
    /// The gateway's own.
    #[default]
    ModelToml,
    /// Triton's.
    Triton,
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ModelToml => place::CONFIG_FILE,
            Self::Triton => TRITON_CONFIG_FILE,
        })
    }
}

/// Selection of the versions that serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Versions {
    /// The newest that is admitted.
    #[default]
    Latest,
    /// Exactly these.
    Exactly(BTreeSet<ModelVersion>),
}

/// A version as a number in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct VersionNumber(pub ModelVersion);

impl TryFrom<Value> for VersionNumber {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number =
            value.as_u64().ok_or_else(|| format!("expected the number of a version, got {value}"))?;
        Ok(Self(ModelVersion::new(number)))
    }
}

impl TryFrom<Value> for Versions {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let numbers = match &value {
            Value::String(word) if word == "latest" => return Ok(Self::Latest),
            Value::Array(numbers) => numbers.iter().map(Value::as_u64).collect(),
            one => one.as_u64().map(|number| vec![number]),
        };
        let listed = numbers.filter(|numbers: &Vec<u64>| !numbers.is_empty());
        let expected =
            || format!("versions: expected \"latest\", a number, or a list of numbers, got {value}");
        Ok(Self::Exactly(listed.ok_or_else(expected)?.into_iter().map(ModelVersion::new).collect()))
    }
}

/// Restriction of the files that may serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pin {
    /// The digests that files may have; empty for any.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "schema::digests")]
    pub sha256: Vec<Digest>,
    /// The key that every file must be signed with.
    pub minisign_public_key: Option<String>,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let texts: Option<Vec<&str>> = match &value {
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        one => one.as_str().map(|text| vec![text]),
    };
    let expected =
        || serde::de::Error::custom(format!("pin.sha256: expected a text or a list of texts, got {value}"));
    let texts = texts.ok_or_else(expected)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

impl ModelConfig {
    /// Reads the file, and the file with golden cases that it may name, whose path is returned.
    ///
    /// # Errors
    ///
    /// If either is invalid: a sentence that begins with the file's name.
    pub fn read(root: &Path, file: &Path) -> Result<(Self, Option<PathBuf>), String> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = read_text(root, file)?;
        if name == TRITON_CONFIG_FILE {
            let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            let config = triton::read(&text, &folder).map_err(|error| format!("{name}: {error}"))?;
            return Ok((config, None));
        }
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| format!("{name}: {}", mistake::described(&error, &text)))?;
        let Some(Value::Object(contract)) = &mut config.contract else { return Ok((config, None)) };
        let Some(golden) = contract.remove(GOLDEN_FILE) else { return Ok((config, None)) };
        let golden_name = golden.as_str().unwrap_or_default();
        let golden_file = confined_file::relative(file, golden_name).ok_or_else(|| {
            format!("{name}: contract.{GOLDEN_FILE} is not the name of a file in the model's folder")
        })?;
        let cases: Value = serde_json::from_str(&read_text(root, &golden_file)?)
            .map_err(|error| format!("{golden_name}: {error}"))?;
        contract.insert("golden".to_owned(), cases);
        Ok((config, Some(golden_file)))
    }

    /// Returns the configuration for a file that is the only version of its model.
    #[must_use]
    pub fn of_one_version(&self) -> Self {
        Self { versions: Versions::Latest, labels: BTreeMap::new(), ..self.clone() }
    }
}

fn read_text(root: &Path, file: &Path) -> Result<String, String> {
    let opened = confined_file::open(root, file).map_err(|error| error.to_string())?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut text = String::new();
    let read =
        opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("{name}: {error}"))?;
    if read as u64 > MAX_BYTES {
        return Err(format!("{name} is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WantedMode;

    fn read(files: &[(&str, &str)]) -> Result<ModelConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, text) in files {
            std::fs::write(root.join(name), text).unwrap();
        }
        ModelConfig::read(&root, &root.join("model.toml")).map(|(config, _)| config)
    }

    #[test]
    fn reads_versions_labels_pins_and_golden_cases() {
        let digest = "a".repeat(64);
        let text = format!(
            "versions = [1, 2]\nallow_breaking_changes = true\n[labels]\nstable = 1\n[pin]\nsha256 = \"{digest}\"\n\
             [contract]\ntolerance = 0.5\ngolden_file = \"golden.json\"\n\
             [scheduler]\nmode = \"own_threads\"\nbatching = false\nmax_delay_ms = 2\n"
        );
        let config = read(&[("model.toml", &text), ("golden.json", "[{\"inputs\": {}}]")]).unwrap();
        assert_eq!(config.versions, Versions::Exactly([1, 2].map(ModelVersion::new).into()));
        assert_eq!(config.labels[&"stable".parse().unwrap()].0, ModelVersion::new(1));
        assert_eq!(config.pin.sha256, [digest.parse().unwrap()]);
        let scheduler = SchedulerConfig {
            mode: Some(WantedMode::OwnThreads),
            batching: Some(false),
            max_delay_ms: Some(2),
            ..SchedulerConfig::default()
        };
        assert_eq!(config.scheduler, scheduler);
        assert_eq!(
            config.contract.unwrap(),
            serde_json::json!({"tolerance": 0.5, "golden": [{"inputs": {}}]})
        );
        assert_eq!(
            read(&[("model.toml", "versions = 3")]).unwrap().versions,
            Versions::Exactly([ModelVersion::new(3)].into())
        );
        assert_eq!(read(&[("model.toml", "")]).unwrap(), ModelConfig::default());
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("version = 1", "unknown field `version`"),
            ("[pin]\nsha526 = []", "did you mean `sha256`? (line 2: `sha526 = []`)"),
            ("\n\nversions = \"newest\"", "(line 3: `versions = \"newest\"`)"),
            ("versions = \"newest\"", "expected \"latest\", a number, or a list"),
            ("versions = []", "expected \"latest\""),
            ("versions = [\"1\"]", "or a list of numbers, got [\"1\"]"),
            ("versions = -1", "or a list of numbers, got -1"),
            ("versions = [1.5]", "or a list of numbers, got [1.5]"),
            ("[labels]\n1st = 1", "a label has"),
            ("[labels]\nstable = \"1\"", "expected the number of a version, got \"1\""),
            ("[pin]\nsha256 = 5", "pin.sha256: expected a text or a list of texts, got 5"),
            ("[pin]\nsha256 = \"abc\"", "a sha256 has 64"),
            (
                "[contract]\ngolden_file = \"../../golden.json\"",
                "not the name of a file in the model's folder",
            ),
            ("[contract]\ngolden_file = \"gone.json\"", "gone.json"),
            ("[scheduler]\nmod = \"auto\"", "unknown field `mod`"),
            (
                "[scheduler]\nmode = \"fast\"",
                "scheduler.mode: expected \"auto\", \"request_thread\" or \"own_threads\", got \"fast\"",
            ),
            ("[scheduler]\nbatching = 1", "scheduler.batching: expected true or false, got 1"),
            (
                "[scheduler]\nmax_batch_rows = 0",
                "model.toml: scheduler.max_batch_rows: expected a whole number from 1 to 1000000, got 0",
            ),
            (
                "[scheduler]\nmax_delay_ms = 1001",
                "scheduler.max_delay_ms: expected a whole number from 0 to 1000",
            ),
            (
                "[scheduler]\nthreads = -1",
                "scheduler.threads: expected a whole number from 0 to 1024, got -1",
            ),
            ("versions", "model.toml: "),
        ] {
            let message = read(&[("model.toml", text)]).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
