//! Place of a model's file in a repository, and of the `model.toml` that belongs to it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::model::{ModelName, ModelVersion};

/// The name of a model's file in a version's folder.
pub(super) const MODEL_FILE: &str = "model.onnx";

/// The name of Triton's configuration of a model in its folder.
pub const TRITON_CONFIG_FILE: &str = "config.pbtxt";

/// The name of a model's configuration in its folder.
pub(super) const CONFIG_FILE: &str = "model.toml";

/// The parts of a path `REPOSITORY/NAME/VERSION/model.onnx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedFile<'p> {
    /// The folder of the repository.
    pub repository: &'p Path,
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
}

impl<'p> VersionedFile<'p> {
    /// Takes a path apart; `None` if it is not of this form.
    #[must_use]
    pub fn of(file: &'p Path) -> Option<Self> {
        let version = file.parent()?;
        let model = version.parent()?;
        let (name, number) = (model.file_name()?.to_str()?, version.file_name()?.to_str()?);
        let is_named = file.file_name().is_some_and(|name| name == MODEL_FILE);
        let parts = || {
            Some(Self {
                repository: model.parent()?,
                name: name.parse().ok()?,
                version: number.parse().ok()?,
            })
        };
        if is_named { parts() } else { None }
    }

    /// Returns the place of the model's configuration.
    #[must_use]
    pub fn model_toml(&self) -> PathBuf {
        self.repository.join(self.name.as_str()).join(CONFIG_FILE)
    }
}

/// Returns the place of the configuration that belongs to a model's file: `NAME/model.toml` for
/// `NAME/VERSION/model.onnx`, and `NAME.toml` for `NAME.onnx`.
#[must_use]
pub fn model_toml_of(file: &Path) -> PathBuf {
    // A path such as `1/model.onnx` shows the model's name only as an absolute one.
    let absolute = std::path::absolute(file).unwrap_or_default();
    let versioned = VersionedFile::of(file).or_else(|| VersionedFile::of(&absolute));
    versioned.map_or_else(|| file.with_extension("toml"), |versioned| versioned.model_toml())
}

/// Returns the configuration that belongs to a model's file: its `model.toml`, or in place of a missing one in a model's
/// folder Triton's `config.pbtxt`.
#[must_use]
pub fn config_of(file: &Path) -> PathBuf {
    or_triton(model_toml_of(file))
}

/// Returns the configuration in a model's folder, as [`config_of`] does.
#[must_use]
pub fn config_in(folder: &Path) -> PathBuf {
    or_triton(folder.join(CONFIG_FILE))
}

fn or_triton(model_toml: PathBuf) -> PathBuf {
    let is_missing =
        |file: &Path| fs::symlink_metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let triton = model_toml.with_file_name(TRITON_CONFIG_FILE);
    let counts = model_toml.ends_with(CONFIG_FILE) && is_missing(&model_toml) && !is_missing(&triton);
    if counts { triton } else { model_toml }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versioned_file_has_the_configuration_of_its_model() {
        for (file, expected) in [
            ("/srv/models/iris/3/model.onnx", "/srv/models/iris/model.toml"),
            ("models/iris/3/model.onnx", "models/iris/model.toml"),
            ("iris/3/model.onnx", "iris/model.toml"),
            ("/srv/iris.onnx", "/srv/iris.toml"),
            ("iris.onnx", "iris.toml"),
            ("/srv/iris/latest/model.onnx", "/srv/iris/latest/model.toml"),
            ("/srv/iris/3/iris.onnx", "/srv/iris/3/iris.toml"),
            ("/model.onnx", "/model.toml"),
        ] {
            assert_eq!(model_toml_of(Path::new(file)), Path::new(expected), "{file}");
        }
        // The model's name is that of the working directory.
        let here = std::path::absolute("model.toml").unwrap();
        assert_eq!(model_toml_of(Path::new("3/model.onnx")), here);
    }
}
