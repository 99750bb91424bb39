//! The routes that have a fast path.

/// A route that has a fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FastRoute {
    Predict,
    ModelPredict,
    Infer,
    VersionInfer,
    TensorFlowPredict,
    Invocations,
}

impl FastRoute {
    pub(super) const ALL: [Self; 6] = [
        Self::Predict,
        Self::ModelPredict,
        Self::Infer,
        Self::VersionInfer,
        Self::TensorFlowPredict,
        Self::Invocations,
    ];

    /// Returns the route as the router knows it.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Predict => "/predict",
            Self::ModelPredict => "/models/{model}/predict",
            Self::Infer => "/v2/models/{model}/infer",
            Self::VersionInfer => "/v2/models/{model}/versions/{version}/infer",
            Self::TensorFlowPredict => "/v1/models/{model}",
            Self::Invocations => "/invocations",
        }
    }

    /// Returns true if its bodies are rows of the native API.
    pub(super) fn takes_rows(self) -> bool {
        matches!(self, Self::Predict | Self::ModelPredict)
    }
}
