//! `onnx-gateway predict`

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use clap::Args;

use super::{Failure, examine::ModelToml, load_settings, output};
use crate::{
    auth::RunPermit,
    codec::{BodyError, FieldError, RowBase, TensorsResponse, input_errors, parse_valid, row_errors},
    config::Environment,
    lifecycle::{ModelConfig, VersionedFile, contract_of, find_outputs},
    model::{
        Contract, Graph, GraphFacts, Layout, ModelName, ModelVersion, NoRows, RowOutputs, Tensor, Value,
        documents_to_tensors, rows_to_tensors,
    },
    protocols::native::json::{PredictRequest, RequestInputs, ResponseTemplate},
    runtime::{Instance, RunOptions, Runtime, SessionOptions},
    serving::{ResponseParts, RowsWriter as _, ServingError},
};

#[derive(Debug, Args)]
pub(super) struct PredictArguments {
    /// The model, an .onnx file
    #[arg(value_name = "FILE")]
    model: PathBuf,
    /// The body of a request to /predict: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    input: String,
    #[command(flatten)]
    model_toml: ModelToml,
    /// Print the response as the server writes it, in one line
    #[arg(long)]
    json: bool,
    /// The time limit of loading and running together
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_seconds: u64,
}

/// Version number of a model that is a single file outside a version folder.
const FLAT_VERSION: u64 = 1;

/// Model name used if the file's name is not a valid one.
const UNNAMED: &str = "model";

/// Time that a cancelled run has to end.
const GRACE: Duration = Duration::from_secs(2);

/// Loads a model in this process, predicts once, and prints the response that the server would send.
pub(super) fn predict(files: &[PathBuf], arguments: PredictArguments) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let settings = load_settings::settings(files, &environment)?.settings;
    let request = read_input(&arguments.input)?;
    if let Err(error @ BodyError::Malformed(_)) = parse_valid::<PredictRequest<'_>>(&request) {
        return Err(described(error).into());
    }
    let config = arguments.model_toml.read(&arguments.model)?;
    let runtime = Runtime::load(&settings.runtime, &environment)?;
    let options = Arc::new(RunOptions::new()?);
    let progress = output::Progress::on_terminal(&format!("running {}", arguments.model.display()));
    let (send, answered) = mpsc::channel();
    let worker_options = Arc::clone(&options);
    thread::spawn(move || {
        let PredictArguments { model, json, .. } = arguments;
        // After a timeout the receiver is gone.
        let _ = send.send(answer(runtime, (&model, &config), &request, json, &worker_options));
    });
    let answer = match answered.recv_timeout(Duration::from_secs(arguments.timeout_seconds)) {
        Ok(answer) => answer?,
        Err(mpsc::RecvTimeoutError::Disconnected) => return Err("the prediction panicked".into()),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            options.terminate()?;
            // A run that ends in time frees everything; any other ends with the process.
            let _ = answered.recv_timeout(GRACE);
            return Err(format!("there was no result within {} s", arguments.timeout_seconds).into());
        }
    };
    drop(progress);
    Ok(output::print(&answer)?)
}

/// Lists what is wrong with a body.
fn described(error: BodyError) -> String {
    match error {
        BodyError::Malformed(error) => listed(&[error]),
        BodyError::Invalid(errors) => listed(&errors),
    }
}

fn read_input(input: &str) -> Result<Vec<u8>, Failure> {
    match input.strip_prefix('@') {
        Some(file) => Ok(fs::read(file).map_err(|error| format!("--input: {file} cannot be read: {error}"))?),
        None if input == "-" => {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin(), &mut bytes)?;
            Ok(bytes)
        }
        None => Ok(input.as_bytes().to_vec()),
    }
}

/// Returns the response as text; the error says why there is none.
fn answer(
    runtime: Runtime,
    (file, config): (&Path, &ModelConfig),
    request: &[u8],
    json: bool,
    options: &RunOptions,
) -> Result<String, String> {
    let in_model = |error: String| format!("{}: {error}", file.display());
    let mut instance = Instance::load(runtime, file, &SessionOptions::default())
        .map_err(|error| in_model(error.to_string()))?;
    let signature = instance.signature().clone();
    let contract = contract(file, &instance, config).map_err(in_model)?;
    let (model, version) = &identity(file);
    let (model, version) = (model.as_str(), *version);
    let layout = Layout::of(&signature, &contract).map_err(|error| in_model(error.to_string()))?;
    let request: PredictRequest<'_> = parse_valid(request)
        .map_err(|error| described(error.with_outline(&signature, layout.as_ref(), &contract)))?;
    match request.asked() {
        RequestInputs::Rows(rows, base) => {
            let not_supported = |reason| in_model(ServingError::RowsNotSupported(reason).to_string());
            let layout = layout.ok_or_else(|| not_supported(NoRows::Inputs))?;
            let inputs = rows_to_tensors(&rows, &layout, &contract)
                .map_err(|violations| listed(&row_errors(&violations, base)))?;
            let outputs = run(&mut instance, &inputs, options).map_err(in_model)?;
            let graph = File::open(file).ok().and_then(|file| Graph::read(file).ok());
            let found = find_outputs(&mut instance, &contract, &inputs, graph.as_ref());
            if let Some(output) = found.forms.whole_output(&found.signature) {
                return Err(not_supported(NoRows::Output(output)));
            }
            let layout = &layout.with_forms(&signature, &contract, &found.forms);
            let outputs = &RowOutputs::new(rows.len(), outputs, &signature, &layout.outputs)
                .map_err(|error| in_model(error.to_string()))?;
            let (signature, contract, many) = (&signature, &contract, base == RowBase::Instances);
            let writer =
                ResponseTemplate::new(ResponseParts { name: model, version, signature, contract, layout });
            let (rows, mut body) = (outputs.rows(), Vec::new());
            if !writer.write(&mut body, outputs.values(), 0..rows, rows, many) {
                return Err(in_model("its outputs cannot be written".to_owned()));
            }
            written(body, json)
        }
        RequestInputs::Inputs(documents) => {
            let inputs = documents_to_tensors(&documents, &signature)
                .map_err(|violations| listed(&input_errors(&violations)))?;
            let outputs = &run(&mut instance, &inputs, options).map_err(in_model)?;
            let answer = TensorsResponse { model, version, signature: &signature, outputs };
            written(serde_json::to_vec(&answer).map_err(|error| error.to_string())?, json)
        }
    }
}

fn contract(file: &Path, instance: &Instance, config: &ModelConfig) -> Result<Contract, String> {
    let graph = GraphFacts::read(file, instance.signature()).map_err(|error| error.to_string())?;
    contract_of(instance, config.contract.as_ref(), graph).map_err(|refusal| refusal.detail)
}

fn run(
    instance: &mut Instance,
    inputs: &[(String, Tensor)],
    options: &RunOptions,
) -> Result<Vec<Value>, String> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    instance.run(&inputs, options, RunPermit::of_command_line()).map_err(|error| error.to_string())
}

/// Returns a response as the text that is printed: as it is, or with a line for each member.
fn written(body: Vec<u8>, json: bool) -> Result<String, String> {
    let mut text = Vec::new();
    if json {
        text = body;
    } else {
        let mut pretty = serde_json::Serializer::pretty(&mut text);
        serde_transcode::transcode(&mut serde_json::Deserializer::from_slice(&body), &mut pretty)
            .map_err(|error| error.to_string())?;
    }
    text.push(b'\n');
    String::from_utf8(text).map_err(|error| error.to_string())
}

fn listed(errors: &[FieldError]) -> String {
    let line = |error: &FieldError| match error.pointer.as_str() {
        "" => format!("--input: {}", error.message),
        pointer => format!("--input: {pointer}: {}", error.message),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the name and version that a file would have in a repository: `NAME/VERSION/model.onnx`, or `NAME.onnx`.
fn identity(file: &Path) -> (String, ModelVersion) {
    if let Some(VersionedFile { name, version, .. }) = VersionedFile::of(file) {
        return (name.to_string(), version);
    }
    let name = file.file_stem().and_then(|stem| stem.to_str()?.parse::<ModelName>().ok());
    (name.map_or_else(|| UNNAMED.to_owned(), |name| name.to_string()), ModelVersion::new(FLAT_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_in_a_repository() {
        for (file, expected) in [
            ("models/iris/3/model.onnx", "iris 3"),
            ("/models/wine.onnx", "wine 1"),
            ("wine.onnx", "wine 1"),
            ("models/latest/model.onnx", "model 1"),
            ("a b.onnx", "model 1"),
        ] {
            let (name, version) = identity(Path::new(file));
            assert_eq!(format!("{name} {version}"), expected, "{file}");
        }
    }
}
