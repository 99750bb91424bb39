//! Inference statistics (extension `statistics`).

use serde::Serialize;
use utoipa::ToSchema;

/// The statistics of models.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatisticsDocument {
    /// One entry per version
    pub model_stats: Vec<ModelStatistics>,
}

/// The statistics of a version since it was loaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelStatistics {
    /// The model
    #[schema(example = "iris")]
    pub name: String,
    /// The version
    #[schema(example = "1")]
    pub version: String,
    /// Time of the last inference, in milliseconds since 1970; 0 if there was none
    pub last_inference: u64,
    /// Number of rows predicted
    pub inference_count: u64,
    /// Number of runs
    pub execution_count: u64,
    /// The time of requests, by phase
    pub inference_stats: InferenceStatistics,
    /// Always empty: a version has one response per request
    #[schema(value_type = Object)]
    pub response_stats: serde_json::Map<String, serde_json::Value>,
    /// The runs by their number of rows
    pub batch_stats: Vec<BatchStatistics>,
    /// Always empty: memory is not measured by version
    #[schema(value_type = Vec<Object>)]
    pub memory_usage: Vec<serde_json::Value>,
}

/// A count and a total duration.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct DurationStatistics {
    /// The count
    pub count: u64,
    /// The total duration in nanoseconds
    pub ns: u64,
}

/// The time of requests, by phase.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct InferenceStatistics {
    /// Successful requests, in total
    pub success: DurationStatistics,
    /// Valid requests that failed
    pub fail: DurationStatistics,
    /// Waiting for an instance
    pub queue: DurationStatistics,
    /// Checking the inputs
    pub compute_input: DurationStatistics,
    /// Running in ONNX Runtime
    pub compute_infer: DurationStatistics,
    /// Checking the outputs
    pub compute_output: DurationStatistics,
    /// Always 0: there is no cache
    pub cache_hit: DurationStatistics,
    /// Always 0: there is no cache
    pub cache_miss: DurationStatistics,
}

/// The runs with the same number of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchStatistics {
    /// Number of rows of each run
    pub batch_size: usize,
    /// Checking the inputs
    pub compute_input: DurationStatistics,
    /// Running in ONNX Runtime
    pub compute_infer: DurationStatistics,
    /// Checking the outputs
    pub compute_output: DurationStatistics,
}
