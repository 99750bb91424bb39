//! Model metadata, configuration and statistics as messages.

use super::proto::{
    DataType, InferBatchStatistics, InferStatistics, ModelConfig, ModelInput, ModelInstanceGroup,
    ModelMetadataResponse, ModelOutput, ModelStatistics, StatisticDuration, model_instance_group::Kind,
    model_metadata_response::TensorMetadata, repository_index_response::ModelIndex,
};
use crate::protocols::open_inference::{
    operations::Indexed,
    wire::{
        self as documents, ConfiguredTensor, DeclaredTensor, DurationStatistics, ModelConfigDocument,
        ModelMetadataDocument,
    },
};

impl From<ModelMetadataDocument> for ModelMetadataResponse {
    fn from(document: ModelMetadataDocument) -> Self {
        let tensor = |DeclaredTensor { name, datatype, shape }| TensorMetadata {
            name,
            datatype: str::to_owned(datatype),
            shape,
        };
        Self {
            name: document.name,
            versions: document.versions.iter().map(ToString::to_string).collect(),
            platform: document.platform.to_owned(),
            inputs: document.inputs.into_iter().map(tensor).collect(),
            outputs: document.outputs.into_iter().map(tensor).collect(),
        }
    }
}

impl From<ModelConfigDocument> for ModelConfig {
    fn from(document: ModelConfigDocument) -> Self {
        let data_type = |tensor: &ConfiguredTensor| {
            DataType::from_str_name(&tensor.data_type).unwrap_or(DataType::TypeInvalid).into()
        };
        let input = |tensor: ConfiguredTensor| ModelInput {
            data_type: data_type(&tensor),
            name: tensor.name,
            dims: tensor.dims,
            optional: tensor.optional,
        };
        let output = |tensor: ConfiguredTensor| ModelOutput {
            data_type: data_type(&tensor),
            name: tensor.name,
            dims: tensor.dims,
        };
        let group = |group: documents::InstanceGroup| ModelInstanceGroup {
            name: group.name,
            count: i32::try_from(group.count).unwrap_or(i32::MAX),
            kind: Kind::from_str_name(group.kind).unwrap_or_default().into(),
        };
        Self {
            name: document.name,
            platform: document.platform.to_owned(),
            max_batch_size: i32::try_from(document.max_batch_size).unwrap_or(i32::MAX),
            input: document.input.into_iter().map(input).collect(),
            output: document.output.into_iter().map(output).collect(),
            instance_group: document.instance_group.into_iter().map(group).collect(),
            default_model_filename: document.default_model_filename.to_owned(),
            backend: document.backend.to_owned(),
        }
    }
}

impl From<documents::ModelStatistics> for ModelStatistics {
    fn from(document: documents::ModelStatistics) -> Self {
        let parts = document.inference_stats;
        let batch = |batch: documents::BatchStatistics| InferBatchStatistics {
            batch_size: batch.batch_size as u64,
            compute_input: duration(batch.compute_input),
            compute_infer: duration(batch.compute_infer),
            compute_output: duration(batch.compute_output),
        };
        Self {
            name: document.name,
            version: document.version,
            last_inference: document.last_inference,
            inference_count: document.inference_count,
            execution_count: document.execution_count,
            inference_stats: Some(InferStatistics {
                success: duration(parts.success),
                fail: duration(parts.fail),
                queue: duration(parts.queue),
                compute_input: duration(parts.compute_input),
                compute_infer: duration(parts.compute_infer),
                compute_output: duration(parts.compute_output),
                cache_hit: duration(parts.cache_hit),
                cache_miss: duration(parts.cache_miss),
            }),
            batch_stats: document.batch_stats.into_iter().map(batch).collect(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "fields that are messages are optional")]
fn duration(DurationStatistics { count, ns }: DurationStatistics) -> Option<StatisticDuration> {
    Some(StatisticDuration { count, ns })
}

impl From<Indexed> for ModelIndex {
    fn from(Indexed { name, version, state, reason }: Indexed) -> Self {
        Self { name, version, state: state.to_string(), reason }
    }
}
