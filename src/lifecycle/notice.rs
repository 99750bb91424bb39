//! Notices of files and settings that have no effect, with what was expected.

use std::fmt;

use super::model_config::{ConfigFile, ModelConfig, Versions};
use crate::model::{ModelName, ModelVersion};

/// A file or a setting that has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notice {
    /// The model concerned. `None` if there is none.
    pub model: Option<ModelName>,
    /// The version as written; empty if no version is concerned.
    pub version: String,
    /// The path or the setting concerned.
    pub subject: String,
    /// The reason, and what was expected.
    pub text: String,
    /// Grace period before it is reported.
    pub grace: Grace,
}

/// Time that a file or a setting gets to be completed before a notice is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grace {
    /// Reported at once.
    None,
    /// The rest may be written in the next moment.
    Settling,
    /// A part of a copy that may be in progress.
    Copying,
}

impl Notice {
    /// Words the reason for the status of the model's version.
    #[must_use]
    pub fn reason(&self) -> String {
        let is_version = |name: &ModelName| self.subject == format!("{name}/{}", self.version);
        let is_known = |name: &ModelName| self.subject == name.as_str() || is_version(name);
        if self.model.as_ref().is_some_and(is_known) { self.text.clone() } else { self.to_string() }
    }

    /// Reports that the configured default model is missing.
    #[must_use]
    pub fn of_default(name: &ModelName) -> Self {
        Self {
            model: Some(name.clone()),
            version: String::new(),
            subject: "models.default".to_owned(),
            text: format!("there is no model `{name}`: /predict responds with 404 until there is one"),
            grace: Grace::None,
        }
    }

    /// Reports that the repository is empty, with the source's advice.
    #[must_use]
    pub fn of_empty_repository(repository: &str, advice: Option<&str>) -> Self {
        let advice = advice.unwrap_or("holds no model (NAME/1/model.onnx or NAME.onnx)");
        Self {
            model: None,
            version: String::new(),
            subject: "models.repository".to_owned(),
            text: format!("{repository} {advice}"),
            grace: Grace::Copying,
        }
    }

    /// Reports that all models vanished at once.
    #[must_use]
    pub fn of_emptied_repository(repository: &str) -> Self {
        Self {
            model: None,
            version: String::new(),
            subject: "models.repository".to_owned(),
            text: format!(
                "{repository} lost all its models at once, as a mount that fails does; models keep serving. Restore \
                 the files. To take the last model out of service, unload it by request or set models.when_emptied = \"unload\""
            ),
            grace: Grace::None,
        }
    }

    /// Reports that the repository cannot be read now, although its files of an earlier time are here.
    #[must_use]
    pub fn of_away(repository: &str, reason: &str) -> Self {
        Self {
            model: None,
            version: String::new(),
            subject: "models.repository".to_owned(),
            text: format!(
                "{repository} cannot be read: {reason}; models keep serving, and nothing changes until it can be read"
            ),
            grace: Grace::None,
        }
    }

    /// Reports every version that a `model.toml` names and that is missing.
    pub fn of_config(
        name: &ModelName,
        config: &ModelConfig,
        is_there: impl Fn(ModelVersion) -> bool,
    ) -> Vec<Self> {
        let notice = |version: ModelVersion, text| Self {
            model: Some(name.clone()),
            version: version.to_string(),
            subject: name.to_string(),
            text,
            grace: Grace::Settling,
        };
        let missing = config.versions.missing(&is_there);
        let asked =
            missing.iter().map(|version| notice(*version, wanted_but_missing(config.file, &[*version])));
        let labels =
            config.labels.iter().filter(|(_, version)| !is_there(version.0)).map(|(label, version)| {
                let version = version.0;
                let text = format!(
                    "the label `{label}` of {} names version {version}, which is not there",
                    config.file
                );
                notice(version, text)
            });
        asked.chain(labels).collect()
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.subject, self.text)
    }
}

impl Versions {
    /// Lists the versions that are configured by number and missing.
    pub(super) fn missing(&self, is_there: impl Fn(ModelVersion) -> bool) -> Vec<ModelVersion> {
        match self {
            Self::Latest => Vec::new(),
            Self::Exactly(versions) => {
                versions.iter().copied().filter(|version| !is_there(*version)).collect()
            }
        }
    }
}

/// Forms the sentence for configured versions that are missing.
pub(super) fn wanted_but_missing(file: ConfigFile, versions: &[ModelVersion]) -> String {
    let numbers: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let (plural, are) = if numbers.len() == 1 { ("", "is") } else { ("s", "are") };
    format!("{file} asks for version{plural} {}, which {are} not there", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_labels_that_are_not_there_are_named_one_by_one() {
        let config = ModelConfig {
            versions: Versions::Exactly([1, 8, 9].map(ModelVersion::new).into()),
            labels: toml::from_str("canary = 7\nstable = 1").unwrap(),
            ..ModelConfig::default()
        };
        let name = "iris".parse().unwrap();
        let notices = Notice::of_config(&name, &config, |version| version == ModelVersion::new(1));
        let said: Vec<String> = notices.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "iris: model.toml asks for version 8, which is not there",
                "iris: model.toml asks for version 9, which is not there",
                "iris: the label `canary` of model.toml names version 7, which is not there",
            ]
        );
        assert_eq!(notices[0].reason(), "model.toml asks for version 8, which is not there");
        assert!(Notice::of_config(&name, &ModelConfig::default(), |_| false).is_empty());
        assert!(Notice::of_default(&name).reason().starts_with("models.default: there is no model `iris`"));
    }
}
