//! The work of a request on the fast path, read from its body.

use axum::{body::Bytes, http::HeaderMap};

use super::route::FastRoute;
use crate::{
    model::Tensor,
    protocols::{
        invocations::{self, Declared},
        native::json::{FlatRows, read_numbers},
        open_inference::rest::json_length,
    },
    serving::Servable,
};

/// The work of a request.
pub(super) enum Work {
    /// Rows of the native API, as the model's one input.
    Rows(Tensor, FlatRows),
    /// A body that its handler reads.
    Body(HandlerBody),
}

/// A body by its handler.
pub(super) enum HandlerBody {
    /// A body of the Open Inference Protocol, and how much of it is JSON.
    OpenInference(Bytes, Option<usize>),
    /// A body of the verb `predict`.
    TensorFlow(Bytes),
    /// A body of MLflow or SageMaker, and its type.
    Invocation(Bytes, Declared),
}

impl Work {
    /// Reads the work of a request; `None` if only the slow path can tell.
    pub(super) fn of(
        route: FastRoute,
        servable: &Servable,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Option<Self> {
        Some(match route {
            FastRoute::Predict | FastRoute::ModelPredict => {
                let (input, rows) = read_numbers(servable.flat.as_ref()?, body)?;
                Self::Rows(input, rows)
            }
            FastRoute::Infer | FastRoute::VersionInfer => {
                Self::Body(HandlerBody::OpenInference(body.clone(), json_length(headers).ok()?))
            }
            FastRoute::TensorFlowPredict => Self::Body(HandlerBody::TensorFlow(body.clone())),
            FastRoute::Invocations => {
                let declared = invocations::content_type(headers).ok()?;
                // The handler aligns the tensors behind the JSON.
                let is_text = declared.json_bytes() == 0;
                Self::Body(is_text.then(|| HandlerBody::Invocation(body.clone(), declared))?)
            }
        })
    }
}
