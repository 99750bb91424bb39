//! What is told of models, whichever transport asks: what they take and give, how they are set up, what they have
//! answered.

use super::{
    error::ApiError,
    permit::{MayRead, Permit},
    state::TransportState,
};
use crate::{
    auth::{Action, Caller},
    serving::{BatchCounts, Servable, Total},
    wire::open_inference::{
        BatchStatistics, DurationStatistics, InferenceStatistics, ModelConfigDocument, ModelMetadataDocument,
        ModelStatistics,
    },
};

/// What a model, or a version of it, takes and gives.
pub(crate) fn metadata(
    state: &TransportState,
    permit: &Permit<MayRead>,
) -> Result<ModelMetadataDocument, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let versions = match permit.version {
        Some(_) => vec![servable.version],
        None => state.serving.versions_in_service(&permit.model),
    };
    Ok(ModelMetadataDocument::new(servable.name.to_string(), versions, &servable.signature))
}

/// How a model, or a version of it, is set up.
pub(crate) fn config(
    state: &TransportState,
    permit: &Permit<MayRead>,
) -> Result<ModelConfigDocument, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let Servable { name, signature, scheduler, .. } = &*servable;
    Ok(ModelConfigDocument::new(name.as_str(), signature, scheduler.instances()))
}

/// What every version that the caller may look at has answered since it was loaded.
pub(crate) fn all_statistics(
    state: &TransportState,
    caller: &Caller,
) -> Result<Vec<ModelStatistics>, ApiError> {
    Permit::<MayRead>::check_any(caller)?;
    let models = state.serving.servables().into_iter();
    let readable = models.filter(|servable| caller.may(Action::Read, Some(&servable.name)));
    Ok(readable.map(|servable| statistics_of(&servable)).collect())
}

/// What a version has answered since it was loaded, or each version of a model.
pub(crate) fn statistics(
    state: &TransportState,
    permit: &Permit<MayRead>,
) -> Result<Vec<ModelStatistics>, ApiError> {
    // Says what is wrong if nothing serves.
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    if permit.version.is_some() {
        return Ok(vec![statistics_of(&servable)]);
    }
    let models = state.serving.servables().into_iter();
    let versions = models.filter(|servable| servable.name == permit.model);
    Ok(versions.map(|servable| statistics_of(&servable)).collect())
}

fn statistics_of(servable: &Servable) -> ModelStatistics {
    let counts = servable.statistics.counts();
    let batch = |(&batch_size, batch): (&usize, &BatchCounts)| BatchStatistics {
        batch_size,
        compute_input: total(&batch.input),
        compute_infer: total(&batch.infer),
        compute_output: total(&batch.output),
    };
    ModelStatistics {
        name: servable.name.to_string(),
        version: servable.version.to_string(),
        last_inference: counts.last_milliseconds(),
        inference_count: counts.inferences,
        execution_count: counts.executions,
        inference_stats: InferenceStatistics {
            success: total(&counts.success),
            fail: total(&counts.fail),
            queue: total(&counts.queue),
            compute_input: total(&counts.input),
            compute_infer: total(&counts.infer),
            compute_output: total(&counts.output),
            ..InferenceStatistics::default()
        },
        batch_stats: counts.batches.iter().map(batch).collect(),
        response_stats: serde_json::Map::new(),
        memory_usage: Vec::new(),
    }
}

fn total(total: &Total) -> DurationStatistics {
    DurationStatistics { count: total.count, ns: total.nanoseconds() }
}
