//! What models there are.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Action, Caller},
    model::{Schedule, ValueKind, ValueSpec},
    serving::{ModelMetadata, Servable, ServingError, VersionMetadata},
    transport::{ApiError, MayRead, Permit, ProblemDocument, TransportState},
};

/// All models that the caller may look at.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    models: Vec<ModelDocument>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelDocument {
    /// Its name
    #[schema(example = "iris")]
    name: String,
    /// Its versions, by number
    versions: Vec<VersionDocument>,
    /// Files and settings for it that have no effect, with what was expected
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
    /// The first 12 hex digits of the sha256 of the file that serves; with data files, of the list of their digests
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Whether requests without a version get it
    default: bool,
    /// The labels that point to it: each may stand in a path in place of the version
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    /// What is waited for, if the file that lies in the repository now is not in service yet
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "it is being proven")]
    waiting: Option<String>,
    /// Why the file that lies in the repository now is not in service
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalDocument>,
    /// What it takes
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<ValueSpecDocument>,
    /// What it gives
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<ValueSpecDocument>,
    /// What its columns mean and may hold
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<FeatureDocument>,
    /// Whether it takes rows (`features`, `instances`); every version in service takes `inputs`
    #[serde(skip_serializing_if = "Option::is_none")]
    takes_rows: Option<bool>,
    /// The reason for which it takes no rows, not even of tensors, if an input or output stands against them
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "the model does not take rows, as output `h_n` [2, N, 4] does not hold one part for each row"
    )]
    rows_reason: Option<String>,
    /// The names of its classes: those of the contract, else the labels that the graph lists
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    /// How its runs are scheduled, if it is in service
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<SchedulerDocument>,
    /// What was measured before it served
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<CostsDocument>,
}

/// How the runs of a version are scheduled.
#[derive(Serialize, ToSchema)]
pub(super) struct SchedulerDocument {
    /// `request_thread`, or `own_threads` for runs that would hold up others there
    #[schema(example = "request_thread")]
    mode: &'static str,
    /// Whether the rows of several requests are run at once
    batching: bool,
    /// Reason why they are or are not
    #[schema(example = "each row is answered alone: the graph keeps rows apart")]
    batching_reason: String,
    /// Sessions beside each other
    instances: usize,
    /// Threads of each session
    threads: usize,
    /// So many rows are run at once at most
    max_batch_rows: usize,
    /// How long a batch that is not full waits for more rows
    max_delay_ms: u64,
    /// So many requests may wait
    queue_capacity: usize,
    /// Why it runs on these threads
    reason: String,
}

/// What was measured of a version before it served.
#[derive(Serialize, ToSchema)]
pub(super) struct CostsDocument {
    /// Time of a run in microseconds, of one row if it takes rows
    run_us: u64,
    /// Time of a run of 32 rows, if it takes any number of them
    #[serde(skip_serializing_if = "Option::is_none")]
    run_32_rows_us: Option<u64>,
    /// Time of the shorter run with a thread for each CPU, if it is a large model of long runs
    #[serde(skip_serializing_if = "Option::is_none")]
    run_threads_us: Option<u64>,
    /// Memory that a session keeps
    session_bytes: u64,
    /// Whether it answers several rows at once as it answers each alone
    batchable: bool,
}

impl From<&Servable> for SchedulerDocument {
    fn from(servable: &Servable) -> Self {
        let (schedule, proof): (&Schedule, _) = (&servable.schedule, &servable.proof);
        let is_switched_off = proof.batchable && !schedule.batching;
        let batching_reason = if is_switched_off {
            "scheduler.batching in model.toml is false".to_owned()
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

/// Why a file is not in service.
#[derive(Serialize, ToSchema)]
pub(super) struct RefusalDocument {
    /// A stable word for programs
    #[schema(example = "golden_mismatch")]
    reason: &'static str,
    /// A sentence for people
    detail: String,
}

/// An input or output.
#[derive(Serialize, ToSchema)]
pub(super) struct ValueSpecDocument {
    /// Its name in the graph
    #[schema(example = "features")]
    name: String,
    #[serde(flatten)]
    kind: KindDocument,
}

/// What an input takes or an output gives.
#[derive(Serialize, ToSchema)]
#[schema(no_recursion)]
pub(super) struct KindDocument {
    /// `tensor`, `sequence` or `map`
    #[schema(example = "tensor")]
    kind: &'static str,
    /// Whether it may be absent
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// Of a tensor: the type of its elements, as the Open Inference Protocol names it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "FP32")]
    datatype: Option<&'static str>,
    /// Of a tensor: the declared shape; `?` or a symbol for a dimension that may vary. Empty for a scalar and for any
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["?", "4"]))]
    shape: Option<Vec<String>>,
    /// Of a sequence: what it holds
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<KindDocument>>,
    /// Of a map: the type of the keys
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    /// Of a map: the type of the values
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
    /// The name by which a request may give it
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
    /// What is done when it is null or absent: `refuse`, `nan`, or the value that is taken in its place
    #[schema(value_type = Value, example = "refuse")]
    missing: serde_json::Value,
}

/// All models
#[utoipa::path(get, path = "/models", tag = "models", security(("bearer" = ["read"])), responses(
    (status = 200, body = ModelList),
    (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    (status = 403, description = "The token lacks the scope `read`", body = ProblemDocument,
        content_type = "application/problem+json"),
    (status = 429, body = ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<TransportState>,
    caller: Caller,
) -> Result<Json<ModelList>, ApiError> {
    if !caller.may(Action::Read, None) {
        return Err(ApiError::InsufficientScope { action: Action::Read, model: None });
    }
    let models =
        state.serving.models().into_iter().filter(|model| caller.may(Action::Read, Some(&model.name)));
    Ok(Json(ModelList { models: models.map(document).collect() }))
}

/// One model
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
    State(state): State<TransportState>,
    permit: Permit<MayRead>,
) -> Result<Json<ModelDocument>, ApiError> {
    let model = state.serving.models().into_iter().find(|model| model.name == permit.model);
    model.map(|model| Json(document(model))).ok_or(ServingError::ModelNotFound(permit.model).into())
}

fn document(model: ModelMetadata) -> ModelDocument {
    ModelDocument {
        name: model.name.to_string(),
        versions: model.versions.into_iter().map(version_document).collect(),
        problems: model.problems,
    }
}

fn version_document(VersionMetadata { status, servable }: VersionMetadata) -> VersionDocument {
    let servable = servable.as_deref();
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
        takes_rows: servable.map(|servable| servable.layout.is_some()),
        rows_reason: servable
            .and_then(|servable| servable.proof.against_rows())
            .map(|reason| format!("{reason}: {}", reason.advice())),
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
    let document = |feature: &crate::model::Feature| FeatureDocument {
        name: feature.name.clone(),
        unit: feature.unit.clone(),
        minimum: feature.minimum,
        maximum: feature.maximum,
        missing: feature.missing.clone().into(),
    };
    servable.contract.features.iter().map(document).collect()
}
