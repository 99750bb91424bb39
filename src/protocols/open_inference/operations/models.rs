//! Model metadata, configuration and statistics, shared by REST and gRPC.

use crate::{
    auth::{Action, Caller, MayRead},
    edge::{ApiError, EdgeState, Permit},
    protocols::open_inference::wire::{
        BatchStatistics, DurationStatistics, InferenceStatistics, ModelConfigDocument, ModelMetadataDocument,
        ModelStatistics,
    },
    serving::{BatchCounts, Servable, Total},
};

/// Returns the metadata of a model or version.
pub(in crate::protocols::open_inference) fn metadata(
    state: &EdgeState,
    permit: &Permit<MayRead>,
) -> Result<ModelMetadataDocument, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let versions = match permit.version {
        Some(_) => vec![servable.version],
        None => state.serving.versions_in_service(&permit.model),
    };
    Ok(ModelMetadataDocument::new(servable.name.to_string(), versions, &servable.signature))
}

/// Returns the configuration of a model or version.
pub(in crate::protocols::open_inference) fn config(
    state: &EdgeState,
    permit: &Permit<MayRead>,
) -> Result<ModelConfigDocument, ApiError> {
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    let Servable { name, signature, scheduler, .. } = &*servable;
    Ok(ModelConfigDocument::new(name.as_str(), signature, scheduler.instances()))
}

/// Returns the statistics of every version that the caller may read, since it was loaded.
pub(in crate::protocols::open_inference) fn all_statistics(
    state: &EdgeState,
    caller: &Caller,
) -> Result<Vec<ModelStatistics>, ApiError> {
    Permit::<MayRead>::check_any(caller)?;
    let models = state.serving.servables().into_iter();
    let readable = models.filter(|servable| caller.may(Action::Read, Some(&servable.name)));
    Ok(readable.map(|servable| statistics_of(&servable)).collect())
}

/// Returns the statistics of a version, or of each version of a model, since it was loaded.
pub(in crate::protocols::open_inference) fn statistics(
    state: &EdgeState,
    permit: &Permit<MayRead>,
) -> Result<Vec<ModelStatistics>, ApiError> {
    // Fails with the reason if no version is in service.
    let servable = state.serving.servable(&permit.model, permit.version.as_ref())?;
    if permit.version.is_some() {
        return Ok(vec![statistics_of(&servable)]);
    }
    let models = state.serving.servables().into_iter();
    let versions = models.filter(|servable| servable.name == *permit.model);
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
