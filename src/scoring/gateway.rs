//! Scoring through a running gateway, which checks the rows and is the judge of each.

mod answer;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use self::answer::{AnswerPlan, Answers};
use super::{
    block::Scored,
    column::{Column, Texts},
    error::ScoringError,
    file_columns::{ModelColumn, ModelColumns},
    http::{Connection, Response},
    outputs::OutputPath,
    row_error::RowError,
};
use crate::{
    model::{ElementType, ModelName, VersionSelector},
    outbound::Address,
    tls::ClientTls,
};

/// The longest time for which one request is sent again.
const PATIENCE: Duration = Duration::from_mins(5);

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The model of a gateway, and how to reach it.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The gateway.
    pub address: Address,
    /// TLS of the connections; `None` without.
    pub tls: Option<ClientTls>,
    /// The model.
    pub model: ModelName,
    /// The version; `None` for the one that requests without a version get.
    pub version: Option<VersionSelector>,
    /// The source of tokens; `None` if the gateway asks for none.
    pub token: Option<Token>,
}

/// A source of bearer tokens.
#[derive(Clone)]
pub struct Token(Arc<dyn Fn() -> Result<String, String> + Send + Sync>);

impl Token {
    /// Creates a source from a function, which is called for each request.
    pub fn new(token: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

/// A model of a running gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    options: Arc<GatewayOptions>,
    columns: ModelColumns,
    /// The columns of the predictions, once the first response has shown them.
    plan: Arc<OnceLock<AnswerPlan>>,
}

impl Gateway {
    /// Asks the gateway which columns the model takes.
    ///
    /// # Errors
    ///
    /// If the gateway cannot be reached, has no such model, or the model does not take rows.
    pub fn connect(options: GatewayOptions) -> Result<Self, ScoringError> {
        let mut scorer = GatewayScorer::open(&Arc::new(options), &Arc::default())?;
        let path = format!("/models/{}", scorer.options.model);
        let response = scorer.request(&path, None)?;
        if response.status != StatusCode::OK {
            return Err(ScoringError::Gateway(refusal(&response, "the scopes predict and read")));
        }
        let document: ModelDocument = serde_json::from_slice(&response.body).map_err(|error| {
            ScoringError::Gateway(format!("the gateway's description of the model: {error}"))
        })?;
        let columns = document.columns(scorer.options.version.as_ref())?;
        Ok(Self { options: scorer.options, columns, plan: scorer.plan })
    }

    pub(super) fn columns(&self) -> ModelColumns {
        self.columns.clone()
    }

    /// Opens another connection.
    pub(super) fn scorer(&self) -> Result<GatewayScorer, ScoringError> {
        GatewayScorer::open(&self.options, &self.plan)
    }

    /// Returns the columns of the predictions without rows; those of a number if there was no prediction.
    pub(super) fn outputs(&self) -> (Vec<OutputPath>, Vec<Column>) {
        self.plan.get().map_or_else(
            || (vec![OutputPath::new("prediction", None)], vec![Column::Json(Texts::default())]),
            AnswerPlan::columns,
        )
    }

    /// Returns true if a response has shown the columns of the predictions.
    pub(super) fn is_planned(&self) -> bool {
        self.plan.get().is_some()
    }
}

/// The part of the gateway's description of a model that is needed.
#[derive(Deserialize)]
struct ModelDocument {
    versions: Vec<VersionDocument>,
}

#[derive(Deserialize)]
struct VersionDocument {
    version: String,
    default: bool,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    inputs: Vec<InputDocument>,
    #[serde(default)]
    features: Vec<FeatureDocument>,
    #[serde(default)]
    takes_rows: Option<bool>,
    #[serde(default)]
    rows_reason: Option<String>,
}

#[derive(Deserialize)]
struct InputDocument {
    name: String,
    #[serde(default)]
    datatype: Option<String>,
    #[serde(default)]
    shape: Vec<String>,
}

#[derive(Deserialize)]
struct FeatureDocument {
    name: String,
    missing: serde_json::Value,
}

impl ModelDocument {
    /// Returns the columns that a version takes.
    fn columns(&self, selector: Option<&VersionSelector>) -> Result<ModelColumns, ScoringError> {
        let is_meant = |version: &&VersionDocument| match selector.map(ToString::to_string) {
            Some(named) => version.version == named || version.labels.contains(&named),
            None => version.default,
        };
        let version = self.versions.iter().find(is_meant);
        let version =
            version.ok_or_else(|| ScoringError::Gateway("no such version is in service".to_owned()))?;
        match version.takes_rows {
            Some(true) => Ok(version.columns()),
            Some(false) => {
                let reason = version.rows_reason.clone();
                let reason = reason.unwrap_or_else(|| "the model does not take rows".to_owned());
                Err(ScoringError::Model(reason))
            }
            None => Err(ScoringError::Gateway("the version is not in service".to_owned())),
        }
    }
}

impl VersionDocument {
    fn columns(&self) -> ModelColumns {
        let element_type = |input: &InputDocument| {
            input.datatype.as_deref().and_then(ElementType::of_name).unwrap_or(ElementType::String)
        };
        let of_feature = |feature: &FeatureDocument| {
            let by_name = self.inputs.iter().find(|input| input.name == feature.name);
            let input = if self.inputs.len() == 1 { self.inputs.first() } else { by_name };
            ModelColumn {
                name: feature.name.clone(),
                element_type: input.map_or(ElementType::String, element_type),
                may_miss: feature.missing != "refuse",
            }
        };
        if !self.features.is_empty() {
            return ModelColumns { columns: self.features.iter().map(of_feature).collect(), are_named: true };
        }
        let Some(input) = self.inputs.first() else {
            return ModelColumns { columns: Vec::new(), are_named: false };
        };
        let count = input.shape.get(1).map_or(1, |columns| columns.parse().unwrap_or_default());
        let name = |index: usize| if count == 1 { input.name.clone() } else { (index + 1).to_string() };
        let column =
            |index| ModelColumn { name: name(index), element_type: element_type(input), may_miss: false };
        ModelColumns { columns: (0..count).map(column).collect(), are_named: count == 1 }
    }
}

/// A connection that scores.
pub(super) struct GatewayScorer {
    options: Arc<GatewayOptions>,
    plan: Arc<OnceLock<AnswerPlan>>,
    connection: Connection,
    path: String,
}

/// The part of an error response that is needed.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    pointer: String,
    code: String,
    message: String,
}

impl GatewayScorer {
    fn open(options: &Arc<GatewayOptions>, plan: &Arc<OnceLock<AnswerPlan>>) -> Result<Self, ScoringError> {
        let connection = Connection::new(options.address.clone(), options.tls.clone());
        let connection = connection.map_err(|error| ScoringError::Gateway(error.to_string()))?;
        let version =
            options.version.as_ref().map(|version| format!("/versions/{version}")).unwrap_or_default();
        let path = format!("/models/{}{version}/predict", options.model);
        Ok(Self { options: Arc::clone(options), plan: Arc::clone(plan), connection, path })
    }

    /// Scores rows, each a list of JSON values.
    pub(super) fn score(&mut self, rows: &Texts, names: &[String]) -> Result<Scored, ScoringError> {
        let mut answers = Answers::default();
        let mut failed = Vec::new();
        self.predict(rows, &(0..rows.len()).collect::<Vec<_>>(), names, &mut answers, &mut failed)?;
        failed.sort_by_key(|(row, _)| *row);
        let outputs = match self.plan.get() {
            None if answers.is_empty() => Vec::new(),
            _ => {
                let parsed = answers.parse().map_err(ScoringError::Gateway)?;
                let plan = self.plan.get_or_init(|| AnswerPlan::of(&parsed));
                plan.fill(&parsed).map_err(ScoringError::Gateway)?
            }
        };
        Ok(Scored { outputs, failed })
    }

    /// Asks for some rows. Rows with faults are left out and the others are sent again; where the response does not
    /// name the row, each half is sent alone.
    fn predict(
        &mut self,
        rows: &Texts,
        part: &[usize],
        names: &[String],
        answers: &mut Answers,
        failed: &mut Vec<(usize, Vec<RowError>)>,
    ) -> Result<(), ScoringError> {
        if part.is_empty() {
            return Ok(());
        }
        let list: Vec<&[u8]> = part.iter().map(|row| rows.get(*row)).collect();
        let body = [br#"{"instances":["#.as_slice(), &list.join(&b','), b"]}"].concat();
        let path = self.path.clone();
        let response = self.request(&path, Some(&body.into()))?;
        let status = response.status;
        if status == StatusCode::OK {
            answers.push(response.body, part.len());
            return Ok(());
        }
        let is_about_rows = matches!(status.as_u16(), 400 | 413 | 422 | 500 | 504);
        let problem = serde_json::from_slice::<Problem>(&response.body).ok().filter(|_| is_about_rows);
        let Some(problem) = problem else {
            return Err(ScoringError::Gateway(refusal(&response, "the scope predict")));
        };
        let faults = faults_by_row(&problem.errors, part.len(), names);
        if !faults.is_empty() {
            let rest: Vec<usize> = (0..)
                .zip(part)
                .filter(|(place, _)| !faults.contains_key(place))
                .map(|(_, row)| *row)
                .collect();
            failed.extend(faults.into_iter().filter_map(|(place, errors)| Some((*part.get(place)?, errors))));
            return self.predict(rows, &rest, names, answers, failed);
        }
        if let [row] = part {
            let code = problem.code.map_or(status.as_str().to_owned().into(), Into::into);
            failed.push((*row, vec![RowError { column: None, code, message: problem.detail }]));
            return Ok(());
        }
        let (first, second) = part.split_at(part.len() / 2);
        self.predict(rows, first, names, answers, failed)?;
        self.predict(rows, second, names, answers, failed)
    }

    /// Sends a request until the gateway takes it.
    fn request(&mut self, path: &str, body: Option<&Bytes>) -> Result<Response, ScoringError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let token = self.options.token.as_ref().map(|token| (token.0)()).transpose();
            let token = token.map_err(ScoringError::Gateway)?;
            let sent = self.connection.send(path, token.as_deref(), body.cloned());
            let wait = match &sent {
                Ok(Response { status, retry_after, .. })
                    if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(status) =>
                {
                    retry_after.unwrap_or(pause).min(MAX_WAIT)
                }
                Ok(_) => return sent.map_err(ScoringError::Gateway),
                // A gateway that restarts is back soon; one that was never there is not waited for.
                Err(_) if body.is_some() => pause,
                Err(error) => return Err(ScoringError::Gateway(error.clone())),
            };
            if begin.elapsed() + wait > PATIENCE {
                return Err(ScoringError::Gateway(match sent {
                    Ok(response) => refusal(&response, "the scope predict"),
                    Err(error) => error,
                }));
            }
            self.connection.wait(wait);
            pause = (pause * 2).min(MAX_WAIT);
        }
    }
}

/// Describes an error response.
fn refusal(response: &Response, needed: &str) -> String {
    let status = response.status;
    let detail =
        serde_json::from_slice::<Problem>(&response.body).map(|problem| format!(": {}", problem.detail));
    let detail = detail.unwrap_or_default();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the gateway responded with {status}{detail}: give a token with {needed} (--token-file)")
        }
        _ => format!("the gateway responded with {status}{detail}"),
    }
}

/// Groups faults by row, from pointers such as `/instances/3/1`.
fn faults_by_row(faults: &[Fault], rows: usize, names: &[String]) -> BTreeMap<usize, Vec<RowError>> {
    let mut by_row: BTreeMap<usize, Vec<RowError>> = BTreeMap::new();
    for fault in faults {
        let mut place = fault.pointer.strip_prefix("/instances/").unwrap_or_default().split('/');
        let Some(row) = place.next().and_then(|row| row.parse().ok()).filter(|row| *row < rows) else {
            continue;
        };
        let column = place.next().and_then(|column| names.get(column.parse::<usize>().ok()?).cloned());
        let error = RowError { column, code: fault.code.clone().into(), message: fault.message.clone() };
        by_row.entry(row).or_default().push(error);
    }
    by_row
}
