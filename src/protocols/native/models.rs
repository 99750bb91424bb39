//! The list of models.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Action, Caller},
    edge::{ApiError, EdgeState, MayRead, Permit, ProblemDocument},
    model::{ElementType, Elements, Feature, GoldenDocument, Schedule, ValueKind, ValueSpec},
    serving::{ModelMetadata, Servable, VersionMetadata},
};

/// Most categories of a feature that are listed.
const MAX_CATEGORIES: usize = 256;

/// Columns that are looked at for `nullable`.
const MAX_NULLABLE: usize = 256;

/// All models that the caller may read.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    models: Vec<ModelDocument>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelDocument {
    /// The name of the model
    #[schema(example = "iris")]
    name: String,
    /// The versions of the model, by number
    versions: Vec<VersionDocument>,
    /// Files and settings of the model that have no effect, with what was expected
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["model.toml asks for version 9, which is not there"]))]
    problems: Vec<String>,
}

/// A version of a model.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionDocument {
    /// The number of its folder
    #[schema(example = "1")]
    version: String,
    /// `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`
    #[schema(example = "READY")]
    state: String,
    /// The first 12 hex digits of the SHA-256 of the file in service; with data files, of the list of their digests
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// True if requests without a version get this one
    default: bool,
    /// The labels that point to this version: each may replace the version in a path
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    /// The step that the file in the repository waits for before it is in service
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "it is being proven")]
    waiting: Option<String>,
    /// The reason why the file in the repository is not in service
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalDocument>,
    /// The inputs of the model
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<ValueSpecDocument>,
    /// The outputs of the model
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<ValueSpecDocument>,
    /// The columns of the input, with their meaning and limits
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<FeatureDocument>,
    /// The columns of a row, from 0, whose value may be null or absent: of the first 256. Not in the list of models
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!([1, 3]))]
    nullable: Vec<usize>,
    /// True if the version takes rows (`features`, `instances`); every version in service takes `inputs`
    #[serde(skip_serializing_if = "Option::is_none")]
    takes_rows: Option<bool>,
    /// The reason why the version takes no rows, not even as tensors, if an input or output rules them out
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "the model does not take rows, as output `h_n` [2, N, 4] does not hold one part for each row"
    )]
    rows_reason: Option<String>,
    /// Golden cases of the contract, for people to try: at most 8, and 16 KiB together. Not in the list of models
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<ExampleDocument>)]
    examples: Vec<GoldenDocument>,
    /// The names of the classes: those of the contract, else the labels that the graph lists
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    /// The scheduling of runs, if the version is in service
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<SchedulerDocument>,
    /// The costs measured before the version was in service
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<CostsDocument>,
}

/// A golden case of the contract.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the form")]
struct ExampleDocument {
    /// Tensors by input name, in the form of `inputs` in a prediction
    #[schema(value_type = Object, example = json!({"features": [[5.1, 3.5, 1.4, 0.2]]}))]
    inputs: (),
    /// Tensors by output name, which the model gives for them
    #[schema(value_type = Object, example = json!({"label": [0]}))]
    outputs: (),
}

/// The scheduling of a version's runs.
#[derive(Serialize, ToSchema)]
pub(super) struct SchedulerDocument {
    /// `request_thread`, or `own_threads` for runs that would delay others there
    #[schema(example = "request_thread")]
    mode: &'static str,
    /// True if the rows of several requests are run together
    batching: bool,
    /// The reason for `batching`
    #[schema(example = "rows are independent: the graph keeps rows apart")]
    batching_reason: String,
    /// Number of runs at the same time
    instances: usize,
    /// Threads of each instance
    threads: usize,
    /// Maximum number of rows that are run together
    max_batch_rows: usize,
    /// Time that a batch waits for more rows before it runs
    max_delay_ms: u64,
    /// Maximum number of requests that may wait
    queue_capacity: usize,
    /// The reason for `mode`
    reason: String,
}

/// The costs of a version, measured before it was in service.
#[derive(Serialize, ToSchema)]
pub(super) struct CostsDocument {
    /// Time of a run in microseconds; of one row, if the version takes rows
    run_us: u64,
    /// Time of a run of 32 rows, if the version takes any number of rows
    #[serde(skip_serializing_if = "Option::is_none")]
    run_32_rows_us: Option<u64>,
    /// Time of the shorter run with a thread for each CPU, if the model is large and its runs are long
    #[serde(skip_serializing_if = "Option::is_none")]
    run_threads_us: Option<u64>,
    /// Memory of a session
    session_bytes: u64,
    /// True if several rows in one run give the same results as each row alone
    batchable: bool,
}

impl From<&Servable> for SchedulerDocument {
    fn from(servable: &Servable) -> Self {
        let (schedule, proof): (&Schedule, _) = (&servable.schedule, &servable.proof);
        let is_switched_off = proof.batchable && !schedule.batching;
        let batching_reason = if is_switched_off {
            "scheduler.batching in model.toml, or max_batch_size in config.pbtxt, switches it off".to_owned()
        } else {
            proof.batching_reason.clone()
        };
        Self {
            mode: schedule.mode.name(),
            batching: schedule.batching,
            batching_reason,
            instances: schedule.instances,
            threads: schedule.threads,
            max_batch_rows: schedule.max_batch_rows,
            max_delay_ms: schedule.max_delay_ms(),
            queue_capacity: schedule.queue_capacity,
            reason: schedule.reason.clone(),
        }
    }
}

impl From<&Servable> for CostsDocument {
    fn from(servable: &Servable) -> Self {
        let (proof, costs) = (&servable.proof, &servable.proof.costs);
        Self {
            run_us: costs.run_us,
            run_32_rows_us: costs.run_32_rows_us,
            run_threads_us: costs.run_threads_us,
            session_bytes: costs.session_bytes,
            batchable: proof.batchable,
        }
    }
}

/// A refusal: the reason why a file is not in service.
#[derive(Serialize, ToSchema)]
pub(super) struct RefusalDocument {
    /// A stable code for programs
    #[schema(example = "golden_mismatch")]
    reason: &'static str,
    /// A sentence for people
    detail: String,
}

/// An input or output.
#[derive(Serialize, ToSchema)]
pub(super) struct ValueSpecDocument {
    /// The name in the graph
    #[schema(example = "features")]
    name: String,
    #[serde(flatten)]
    kind: KindDocument,
}

/// The kind of an input or output.
#[derive(Serialize, ToSchema)]
#[schema(no_recursion)]
pub(super) struct KindDocument {
    /// `tensor`, `sequence` or `map`
    #[schema(example = "tensor")]
    kind: &'static str,
    /// True if it may be absent
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// The element type of a tensor, as the Open Inference Protocol names it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "FP32")]
    datatype: Option<&'static str>,
    /// The declared shape of a tensor, with `?` or a symbol for a dimension that may vary. Empty for a scalar, and if
    /// any shape is allowed
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["?", "4"]))]
    shape: Option<Vec<String>>,
    /// The kind of a sequence's items
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<KindDocument>>,
    /// The type of a map's keys
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    /// The type of a map's values
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'static str>,
}

impl From<&ValueKind> for KindDocument {
    fn from(kind: &ValueKind) -> Self {
        let none = |kind| Self {
            kind,
            optional: false,
            datatype: None,
            shape: None,
            items: None,
            key: None,
            value: None,
        };
        match kind {
            ValueKind::Tensor { element_type, shape } => Self {
                datatype: Some(element_type.name()),
                shape: Some(shape.iter().map(ToString::to_string).collect()),
                ..none("tensor")
            },
            ValueKind::Sequence(items) => {
                Self { items: Some(Box::new(Self::from(&**items))), ..none("sequence") }
            }
            ValueKind::Map { key, value } => {
                Self { key: Some(key.name()), value: Some(value.name()), ..none("map") }
            }
            ValueKind::Optional(inner) => Self { optional: true, ..Self::from(&**inner) },
        }
    }
}

/// A column of the input.
#[derive(Serialize, ToSchema)]
pub(super) struct FeatureDocument {
    /// The name of the feature in a request
    #[schema(example = "sepal_length")]
    name: String,
    /// The unit
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "cm")]
    unit: Option<String>,
    /// The least value that is accepted
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    /// The greatest value that is accepted
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
    /// Handling of a null or absent value: `refuse`, `nan`, or the value that replaces it
    #[schema(value_type = Value, example = "refuse")]
    missing: serde_json::Value,
    /// The element type of its column, as the Open Inference Protocol names it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "FP32")]
    datatype: Option<&'static str>,
    /// The values that the model's encoder lists, at most 256 of them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Value>)]
    categories: Vec<serde_json::Value>,
}

/// List the models
#[utoipa::path(get, path = "/models", tag = "models", security(("bearer" = ["read"])), responses(
    (status = 200, body = ModelList),
    (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
        content_type = "application/problem+json"),
    (status = 429, body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<EdgeState>,
    caller: Caller,
) -> Result<Json<ModelList>, ApiError> {
    if !caller.may(Action::Read, None) {
        return Err(ApiError::InsufficientScope { action: Action::Read, model: None });
    }
    let models =
        state.serving.models().into_iter().filter(|model| caller.may(Action::Read, Some(&model.name)));
    // Examples take more room than all the rest, and the list may be long.
    Ok(Json(ModelList { models: models.map(|model| document(model, false)).collect() }))
}

/// Get one model
#[utoipa::path(get, path = "/models/{model}", tag = "models", security(("bearer" = ["read"])),
    params(("model" = String, Path, description = "The model's name", example = "iris")),
    responses(
        (status = 200, body = ModelDocument),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn one(
    State(state): State<EdgeState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelDocument>, ApiError> {
    let model = state.serving.models().into_iter().find(|model| model.name == *permit.model);
    model
        .map(|model| Json(document(model, true)))
        .ok_or_else(|| state.serving.model_not_found(&permit.model).into())
}

fn document(model: ModelMetadata, with_examples: bool) -> ModelDocument {
    let versions = model.versions.into_iter().map(|version| version_document(version, with_examples));
    ModelDocument { name: model.name.to_string(), versions: versions.collect(), problems: model.problems }
}

fn version_document(version: VersionMetadata, with_examples: bool) -> VersionDocument {
    let VersionMetadata { status, servable } = version;
    let servable = servable.as_deref();
    let examples = servable.filter(|_| with_examples).map(|servable| servable.contract.examples.clone());
    VersionDocument {
        version: status.version.to_string(),
        state: status.state.to_string(),
        digest: status.digest.map(|digest| digest.short()),
        default: status.is_default,
        labels: status.labels.iter().map(ToString::to_string).collect(),
        waiting: status.waiting,
        refusal: status
            .refusal
            .map(|refusal| RefusalDocument { reason: refusal.reason.code(), detail: refusal.detail }),
        inputs: servable.map(|servable| values(&servable.signature.inputs)).unwrap_or_default(),
        outputs: servable.map(|servable| values(&servable.signature.outputs)).unwrap_or_default(),
        features: servable.filter(|servable| servable.layout.is_some()).map(features).unwrap_or_default(),
        nullable: servable.filter(|_| with_examples).map(nullable).unwrap_or_default(),
        takes_rows: servable.map(|servable| servable.layout.is_some()),
        rows_reason: servable
            .and_then(|servable| servable.proof.against_rows())
            .map(|reason| format!("{reason}: {}", reason.advice())),
        examples: examples.unwrap_or_default(),
        classes: servable.map(|servable| servable.contract.all_class_names()).unwrap_or_default(),
        scheduler: servable.map(Into::into),
        costs: servable.map(Into::into),
    }
}

fn values(specs: &[ValueSpec]) -> Vec<ValueSpecDocument> {
    specs
        .iter()
        .map(|spec| ValueSpecDocument { name: spec.name.clone(), kind: (&spec.kind).into() })
        .collect()
}

fn features(servable: &Servable) -> Vec<FeatureDocument> {
    let contract = &servable.contract;
    let document = |(column, feature): (usize, &Feature)| {
        let layout = servable.layout.as_ref();
        let place = layout.and_then(|layout| layout.place(column));
        let facts = place.and_then(|(input, place)| contract.graph.columns.get(input, place));
        FeatureDocument {
            name: feature.name.clone(),
            unit: feature.unit.clone(),
            minimum: feature.minimum,
            maximum: feature.maximum,
            missing: feature.missing.clone().into(),
            datatype: layout.and_then(|layout| layout.element_type(column)).map(ElementType::name),
            categories: facts.and_then(|facts| facts.categories.as_ref()).map(listed).unwrap_or_default(),
        }
    };
    contract.features.iter().enumerate().map(document).collect()
}

/// Returns the first columns for whose missing values something stands in.
fn nullable(servable: &Servable) -> Vec<usize> {
    let Some(layout) = &servable.layout else { return Vec::new() };
    (0..layout.columns().min(MAX_NULLABLE)).filter(|column| layout.fill(*column).is_some()).collect()
}

/// Returns the first categories of a column.
fn listed(categories: &Elements) -> Vec<serde_json::Value> {
    match categories {
        Elements::Integers(values) => values.iter().copied().take(MAX_CATEGORIES).map(Into::into).collect(),
        Elements::Numbers(values) => values.iter().copied().take(MAX_CATEGORIES).map(Into::into).collect(),
        Elements::Texts(values) => values.iter().take(MAX_CATEGORIES).cloned().map(Into::into).collect(),
    }
}
