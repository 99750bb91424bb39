//! What models have answered so far (extension statistics).

use serde::Serialize;
use utoipa::ToSchema;

/// The statistics of models.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatisticsDocument {
    /// A version each
    pub model_stats: Vec<ModelStatistics>,
}

/// What a version has answered since it was loaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelStatistics {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// The version
    #[schema(example = "1")]
    pub version: String,
    /// When it answered last, in milliseconds since 1970; 0 for never
    pub last_inference: u64,
    /// The rows that it answered
    pub inference_count: u64,
    /// The runs that this took
    pub execution_count: u64,
    /// The time that it took, by part
    pub inference_stats: InferenceStatistics,
    /// Always empty: what it answers it answers at once
    #[schema(value_type = Object)]
    pub response_stats: serde_json::Map<String, serde_json::Value>,
    /// The runs by their number of rows
    pub batch_stats: Vec<BatchStatistics>,
    /// Always empty: what a version takes is not told apart
    #[schema(value_type = Vec<Object>)]
    pub memory_usage: Vec<serde_json::Value>,
}

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct DurationStatistics {
    /// How often
    pub count: u64,
    /// How long in all, in nanoseconds
    pub ns: u64,
}

/// The time that answers took, by part.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct InferenceStatistics {
    /// Requests that were answered, in all
    pub success: DurationStatistics,
    /// Requests that were right and not answered
    pub fail: DurationStatistics,
    /// Waiting for a session
    pub queue: DurationStatistics,
    /// Checking the inputs
    pub compute_input: DurationStatistics,
    /// In ONNX Runtime
    pub compute_infer: DurationStatistics,
    /// Checking the outputs
    pub compute_output: DurationStatistics,
    /// Always 0: there is no cache
    pub cache_hit: DurationStatistics,
    /// Always 0: there is no cache
    pub cache_miss: DurationStatistics,
}

/// The runs of one number of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchStatistics {
    /// The rows of each
    pub batch_size: usize,
    /// Checking the inputs
    pub compute_input: DurationStatistics,
    /// In ONNX Runtime
    pub compute_infer: DurationStatistics,
    /// Checking the outputs
    pub compute_output: DurationStatistics,
}
