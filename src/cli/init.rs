//! `onnx-gateway init`

mod model_toml;

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use self::model_toml::Described;
use super::{Failure, output};
use crate::{
    auth::{generate_secret, hash_secret},
    config::{ModelsSettings, Secret},
    lifecycle::{VersionedFile, model_toml_of},
    model::ModelName,
};

/// The settings file, with marks in place of what differs.
const TEMPLATE: &str = include_str!("init/gateway.toml");

/// The name of the settings file.
const SETTINGS: &str = "gateway.toml";

/// The folder of the secrets, beside the settings file.
const SECRETS: &str = "secrets";

/// The id of the client.
const CLIENT: &str = "app";

/// Permissions of secrets: for their owner alone.
const SECRET_MODE: u32 = 0o600;

/// Permissions of the folder of secrets.
const FOLDER_MODE: u32 = 0o700;

/// Permissions of other files, before the process's mask.
const FILE_MODE: u32 = 0o666;

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The model to serve, an .onnx file: NAME.onnx, or NAME/VERSION/model.onnx in a repository. Its model.toml is
    /// written, too
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The folder to write gateway.toml and secrets/ to
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    directory: PathBuf,
    /// Overwrite files that exist: the settings, the secrets and the model's model.toml with all that was added to it
    #[arg(long)]
    force: bool,
    /// Print the written files and the client's secret as JSON
    #[arg(long)]
    json: bool,
}

/// A file to write.
struct NewFile {
    path: PathBuf,
    content: String,
    mode: u32,
}

/// The place of the models.
struct Models {
    /// The lines of section `models` that name them.
    setting: String,
    /// The only model that the client may use; `None` for all.
    name: Option<ModelName>,
    /// The file for the model's own settings.
    model_toml: Option<PathBuf>,
}

/// Writes settings with fresh secrets, and says what to do next.
pub(super) fn init(files: &[PathBuf], arguments: &InitArguments) -> Result<(), Failure> {
    let folder = std::path::absolute(&arguments.directory)?;
    let models = Models::of(arguments.model.as_deref(), &folder)?;
    let client_secret = generate_secret();
    let mut new = secrets(&folder, &client_secret)?;
    new.insert(0, settings(&folder, &models));
    let mut example = None;
    if let (Some(model), Some(path)) = (&arguments.model, &models.model_toml) {
        let Described { text: content, example: found } = model_toml::describe(files, model)?;
        new.push(NewFile { path: path.clone(), content, mode: FILE_MODE });
        example = found;
    }
    refuse_existing(&new, arguments.force)?;
    for file in &new {
        write(file).map_err(|error| format!("{} cannot be written: {error}", file.path.display()))?;
    }
    let written: Vec<&PathBuf> = new.iter().map(|file| &file.path).collect();
    if arguments.json {
        let document =
            json!({"written": written, "client_id": CLIENT, "client_secret": client_secret.expose()});
        return Ok(output::print(&format!("{document}\n"))?);
    }
    let client = (&client_secret, example.as_deref());
    Ok(output::print(&next_steps(&written, &folder, &models, client))?)
}

impl Models {
    /// Finds out how a model is named in the settings. Without one, the repository is a folder beside them.
    fn of(model: Option<&Path>, folder: &Path) -> Result<Self, Failure> {
        let Some(model) = model else {
            let repository = folder.join("models");
            let setting = format!(
                "# The folder of the models: NAME/1/model.onnx, or NAME.onnx.\nrepository = {}",
                quoted(&repository)
            );
            return Ok(Self { setting, name: None, model_toml: None });
        };
        fs::metadata(model).map_err(|error| format!("{}: {error}", model.display()))?;
        let file = std::path::absolute(model)?;
        if let Some(versioned) = VersionedFile::of(&file) {
            let model_toml = Some(versioned.model_toml());
            let VersionedFile { repository, name, .. } = versioned;
            let setting = format!(
                "# The folder of the models, in which this one is {name}/1/model.onnx or another version.\n\
                 repository = {}",
                quoted(repository)
            );
            return Ok(Self { setting, name: Some(name), model_toml });
        }
        let name = ModelsSettings::model_of(&file)?;
        let setting = format!(
            "# The files that are served, each as the model that its name says. A retrained file that is written over\n\
             # one is proven and takes its place. For a folder of models, set `repository` instead.\nfiles = [{}]",
            quoted(&file)
        );
        Ok(Self { setting, name: Some(name), model_toml: Some(model_toml_of(&file)) })
    }
}

fn secrets(folder: &Path, client_secret: &Secret) -> Result<Vec<NewFile>, Failure> {
    let hash = hash_secret(client_secret.expose())
        .map_err(|error| format!("the client's secret cannot be hashed: {error}"))?;
    let file = |name: &str, content: &str| NewFile {
        path: folder.join(SECRETS).join(name),
        content: format!("{content}\n"),
        mode: SECRET_MODE,
    };
    Ok(vec![
        file("signing-secret", generate_secret().expose()),
        file(&format!("{CLIENT}-secret-hash"), &hash),
    ])
}

fn settings(folder: &Path, models: &Models) -> NewFile {
    let scopes = match &models.name {
        Some(name) => format!("\"predict:{name}\", \"read:{name}\""),
        None => "\"predict\", \"read\"".to_owned(),
    };
    let content = TEMPLATE
        .replace("{models}", &models.setting)
        .replace("{state}", &quoted(&folder.join("state")))
        .replace("{scopes}", &scopes);
    NewFile { path: folder.join(SETTINGS), content, mode: FILE_MODE }
}

/// Quotes a path as TOML does.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.to_string_lossy().into_owned()).to_string()
}

fn refuse_existing(new: &[NewFile], force: bool) -> Result<(), Failure> {
    let exists = |file: &&NewFile| fs::symlink_metadata(&file.path).is_ok();
    let existing: Vec<String> =
        new.iter().filter(exists).map(|file| file.path.display().to_string()).collect();
    if force || existing.is_empty() {
        return Ok(());
    }
    let verb = if existing.len() == 1 { "exists" } else { "exist" };
    Err(format!("{} {verb}: nothing was written. --force overwrites", existing.join(", ")).into())
}

/// Writes a file with its permissions from the start. An existing one is replaced, so that it does not keep others.
fn write(file: &NewFile) -> io::Result<()> {
    if let Some(folder) = file.path.parent() {
        let mode = if file.mode == SECRET_MODE { FOLDER_MODE } else { 0o777 };
        DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    }
    match fs::remove_file(&file.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&file.path)?;
    opened.write_all(file.content.as_bytes())
}

/// Says what to do next, up to a prediction by the client, whose secret is followed by the body of a request.
fn next_steps(
    written: &[&PathBuf],
    folder: &Path,
    models: &Models,
    (client_secret, example): (&Secret, Option<&str>),
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for path in written {
        let _ = writeln!(text, "wrote {}", path.display());
    }
    let config = folder.join(SETTINGS);
    let config = config.display();
    let secret = client_secret.expose();
    let first = match &models.name {
        Some(_) => String::new(),
        None => format!("  put a model into {}/, as NAME.onnx\n", folder.join("models").display()),
    };
    let name = models.name.as_ref().map(ToString::to_string);
    let (of, model) = (name.as_ref().map(|name| format!(":{name}")).unwrap_or_default(), name.as_deref());
    let route = model.unwrap_or("NAME");
    let request = match example {
        Some(body) => {
            format!("models/{route}/predict -H 'Content-Type: application/json' -d {}", output::quoted(body))
        }
        // It shows a request to paste.
        None => format!("models/{route}/schema"),
    };
    let _ = write!(
        text,
        "\nThe client `{CLIENT}` has the scopes predict{of} and read{of}; for load, unload and rollback it needs \
         manage{of}.\nIts secret is shown only now:\n\n  CLIENT_SECRET={secret}\n\nNext:\n\n\
         {first}  onnx-gateway check --config {config}\n  onnx-gateway serve --config {config}\n\n\
         Then, in another terminal:\n\n  TOKEN=$(curl -s http://127.0.0.1:8000/token -d grant_type=client_credentials \
         -d client_id={CLIENT} -d client_secret=$CLIENT_SECRET | python3 -c 'import json, sys; \
         print(json.load(sys.stdin)[\"access_token\"])')\n  curl -s http://127.0.0.1:8000/{request} \
         -H \"Authorization: Bearer $TOKEN\"\n"
    );
    text
}
