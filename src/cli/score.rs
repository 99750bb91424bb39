//! `onnx-gateway score`

mod bar;
mod find;
mod same_file;
mod token;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    bar::Bar,
    same_file::{Named, refuse_same},
};
use super::{Exit, Failure, REJECTED, client::TlsOptions, examine::ModelToml, load_settings, output};
use crate::{
    config::Environment,
    model::{ModelName, VersionSelector},
    outbound::Address,
    scoring::{
        self, CsvForm, Endpoint, Format, Gateway, GatewayOptions, Job, Selection, Stream, Summary, Target,
    },
};

/// Connections to a gateway if the command line names no number.
const CONNECTIONS: usize = 4;

/// The end of the name of the file of rejected rows.
const REJECTED_END: &str = ".rejected.jsonl";

#[derive(Debug, Args)]
pub(super) struct ScoreArguments {
    /// The model: an .onnx file, the folder of a model or of its version, or a name in `models.repository`
    #[arg(value_name = "MODEL")]
    model: String,
    /// The rows: a .csv, .tsv, .jsonl, .ndjson or .parquet file, or - for standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The predictions: a file with one of these endings, which is replaced if it exists, or - for standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The format of the input (csv, jsonl, parquet), if its ending does not name it
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<Format>,
    /// The format of the output, if its ending does not name it; that of the input for -
    #[arg(long, value_name = "FORMAT")]
    output_format: Option<Format>,
    /// The file for rows that cannot be scored; the default is OUTPUT.rejected.jsonl
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// The columns that go into the model, in its order, if they do not have its names; comma-separated, or repeated
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Columns to pass through that the model takes, or in spite of --drop; comma-separated, or repeated
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    keep: Vec<String>,
    /// Do not pass through the columns that the model does not take
    #[arg(long)]
    drop: bool,
    /// Begin of the names of the predictions' columns
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// The character between the fields of CSV; the default is a comma, and a tab for .tsv
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// Read the first record of CSV as a row: the columns are those of the model, in its order
    #[arg(long)]
    no_header: bool,
    /// The version or label of a model in a repository; the default is the one that the server would serve
    #[arg(long, value_name = "VERSION")]
    model_version: Option<VersionSelector>,
    #[command(flatten)]
    model_toml: ModelToml,
    /// The runs at the same time, or the connections to a gateway
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Score through a running gateway, which has a model of the name MODEL: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    url: Option<Address>,
    #[command(flatten)]
    tls: TlsOptions,
    /// A token with the scopes predict and read; without one, this machine's own gateway gets one of its own key
    #[arg(long, requires = "url", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token, which is read again for each request
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Print the counts and files as JSON on standard output; not with --output -
    #[arg(long)]
    json: bool,
}

/// Scores a file and says how many rows were scored and rejected.
pub(super) fn score(files: &[PathBuf], arguments: &ScoreArguments) -> Result<(), Failure> {
    let job = arguments.job()?;
    listen_for_signals(Arc::clone(&job.interrupted))?;
    let begin = Instant::now();
    let environment = Environment::of_process();
    let threads = arguments.threads.map(usize::from);
    // The copies of a model in this process are kept as long as its session.
    let (target, _copies) = if let Some(address) = &arguments.url {
        (through_gateway(files, &environment, address, arguments)?, None)
    } else {
        let settings = load_settings::settings(files, &environment)?.settings;
        let found =
            find::find(&arguments.model, arguments.model_version.as_ref(), &arguments.model_toml, &settings)?;
        let (model, copies) = find::load(&found, &settings, &environment, threads)?;
        (Target::Local(Box::new(model)), Some(copies))
    };
    let mut bar = Bar::new();
    let scored =
        scoring::score(&job, target, threads.unwrap_or(CONNECTIONS), &mut |progress| bar.show(progress));
    bar.clear();
    let summary = scored?;
    for name in &summary.nested {
        output::warnings(&format!("the column `{name}` is a list or a structure and was not passed through"));
    }
    if arguments.json {
        output::print(&format!("{}\n", document(&summary, &job, begin)))?;
    } else {
        output::progress(&line(&summary, &job, begin));
    }
    if summary.rejected == 0 {
        return Ok(());
    }
    // What was printed has the reason.
    Err(Exit { status: REJECTED, reason: String::new() }.into())
}

impl ScoreArguments {
    fn job(&self) -> Result<Job, Failure> {
        let input = endpoint("--input", &self.input, self.input_format, None)?;
        let output = endpoint("--output", &self.output, self.output_format, Some(input.format))?;
        let is_tabbed = |file: &Path| file.extension().is_some_and(|ending| ending == "tsv");
        let default = if is_tabbed(&self.input) { '\t' } else { ',' };
        let delimiter = u8::try_from(self.delimiter.unwrap_or(default)).ok().filter(u8::is_ascii);
        let delimiter = delimiter.filter(|byte| !b"\"\r\n".contains(byte));
        let delimiter =
            delimiter.ok_or("--delimiter: expected one ASCII character that is not a quote or line end")?;
        let rejected = match (&self.rejected, &output.stream) {
            (Some(rejected), _) => rejected.clone(),
            (None, Stream::File(path)) => {
                let mut name = path.clone().into_os_string();
                name.push(REJECTED_END);
                name.into()
            }
            (None, Stream::Standard) => {
                return Err(
                    "--rejected: name the file for rows that cannot be scored, as --output is -".into()
                );
            }
        };
        if self.json && output.stream == Stream::Standard {
            return Err("--json: standard output has the predictions; name a file with --output".into());
        }
        self.refuse_same_files(&rejected)?;
        let selection = Selection {
            columns: self.columns.clone(),
            keep: self.keep.clone(),
            drop: self.drop,
            prefix: self.prefix.clone(),
        };
        let csv = CsvForm { delimiter, has_header: !self.no_header };
        Ok(Job { input, output, rejected, selection, csv, interrupted: Arc::new(AtomicBool::new(false)) })
    }

    /// Refuses outputs that would take the place of a file that is read, or of each other.
    fn refuse_same_files(&self, rejected: &Path) -> Result<(), Failure> {
        let mut read = vec![Named { option: "--input", path: &self.input }];
        if self.url.is_none() {
            read.push(Named { option: "MODEL", path: Path::new(&self.model) });
        }
        let model_toml = self.model_toml.file(Path::new(&self.model));
        for (option, path) in [("--model-toml", &model_toml), ("--token-file", &self.token_file)] {
            read.extend(path.as_deref().map(|path| Named { option, path }));
        }
        let output = Named { option: "--output", path: &self.output };
        refuse_same(&read, &[output, Named { option: "--rejected", path: rejected }])
    }
}

/// Returns a file or standard stream with its format. A stream has the format `of_stream` if no option names one.
fn endpoint(
    option: &str,
    file: &Path,
    format: Option<Format>,
    of_stream: Option<Format>,
) -> Result<Endpoint, Failure> {
    let is_stream = file == Path::new("-");
    let stream = if is_stream { Stream::Standard } else { Stream::File(file.to_path_buf()) };
    let unknown = || {
        let file = file.display();
        format!(
            "{option}: the ending of {file} names no format (.csv, .tsv, .jsonl, .ndjson, .parquet): name it with \
             {option}-format csv, jsonl or parquet"
        )
    };
    let format = format.or_else(|| Format::of_file(file)).or(of_stream.filter(|_| is_stream));
    let format = format.ok_or_else(unknown)?;
    Ok(Endpoint { stream, format })
}

/// Describes the model of a gateway.
fn through_gateway(
    files: &[PathBuf],
    environment: &Environment,
    address: &Address,
    arguments: &ScoreArguments,
) -> Result<Target, Failure> {
    if let Some(option) = arguments.model_toml.option() {
        return Err(format!("{option}: with --url, the model has the model.toml of the gateway").into());
    }
    let model: ModelName = arguments
        .model
        .parse::<ModelName>()
        .map_err(|error| format!("{}: with --url, MODEL is a name: {error}", arguments.model))?;
    let token = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => Some(token::given(token)),
        (None, Some(file)) => Some(token::of_file(file)),
        (None, None) => token::of_own_key(files, environment, address, &model),
    };
    let version = arguments.model_version.clone();
    let tls = arguments.tls.prepare(address)?;
    let options = GatewayOptions { address: address.clone(), tls, model, version, token };
    Ok(Target::Gateway(Gateway::connect(options)?))
}

/// Ends the scoring at SIGINT and SIGTERM, so that no temporary file stays. A second signal ends the process.
fn listen_for_signals(interrupted: Arc<AtomicBool>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let work = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(work)?;
    Ok(())
}

fn shown(stream: &Stream) -> String {
    match stream {
        Stream::Standard => "standard output".to_owned(),
        Stream::File(path) => path.display().to_string(),
    }
}

/// Returns the document that ends a scoring.
fn document(summary: &Summary, job: &Job, begin: Instant) -> Value {
    let Summary { rows, rejected, nested } = summary;
    json!({
        "rows": rows,
        "rejected": rejected,
        "seconds": begin.elapsed().as_secs_f64(),
        "output": shown(&job.output.stream),
        "rejected_file": (*rejected > 0).then(|| job.rejected.display().to_string()),
        "columns_left_out": nested,
    })
}

/// Returns the line that ends a scoring.
fn line(summary: &Summary, job: &Job, begin: Instant) -> String {
    let Summary { rows, rejected, .. } = summary;
    let seconds = begin.elapsed().as_secs_f64();
    let output = shown(&job.output.stream);
    let scored = format!("scored {rows} rows in {seconds:.1} s: {output}");
    if *rejected == 0 {
        return scored;
    }
    format!("{scored}; rejected {rejected} rows: {}", job.rejected.display())
}
