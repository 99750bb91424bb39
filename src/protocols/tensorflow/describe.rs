//! API description of the routes with a verb, which the router knows by the whole segment.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::edge::ErrorDocument;

/// Every verb for a model, a version and a label.
#[derive(OpenApi)]
#[openapi(paths(
    predict,
    predict_version,
    predict_label,
    classify,
    classify_version,
    classify_label,
    regress,
    regress_version,
    regress_label
))]
pub(super) struct Verbs;

/// Rows as `instances`, or whole tensors as `inputs`.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"instances": [[5.1, 3.5, 1.4, 0.2]]})))]
struct PredictRequestDocument {
    /// `serving_default`, which every model has, or absent
    signature_name: Option<String>,
    /// One item per row: a bare value if the model has one input, an object of values by input name if it has several.
    /// Models that take rows of features also accept objects by feature name. `{"b64": "…"}` stands for a text, and the
    /// texts `NaN`, `Infinity` and `-Infinity` for these numbers
    #[schema(value_type = Option<Vec<Value>>)]
    instances: Option<Vec<serde_json::Value>>,
    /// A tensor if the model has one input, else an object of tensors by input name
    #[schema(value_type = Option<Value>)]
    inputs: Option<serde_json::Value>,
    /// Absent, or an empty object
    parameters: Option<BTreeMap<String, String>>,
}

/// `predictions` for `instances`, `outputs` for `inputs`.
#[derive(Serialize, ToSchema)]
struct PredictResponseDocument {
    /// One item per row: a value if the model has one output, else an object of values by output name
    #[schema(value_type = Option<Vec<Value>>)]
    predictions: Option<Vec<serde_json::Value>>,
    /// A tensor if the model has one output, else an object of tensors by output name
    #[schema(value_type = Option<Value>)]
    outputs: Option<serde_json::Value>,
}

/// Examples.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"examples": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4,
    "petal_width": 0.2}]})))]
struct ExamplesDocument {
    /// `serving_default`, which every model has, or absent
    signature_name: Option<String>,
    /// Values by feature name that all examples share
    #[schema(value_type = Option<Value>)]
    context: Option<serde_json::Value>,
    /// Values by feature name, or by input name
    #[schema(value_type = Vec<Value>)]
    examples: Vec<serde_json::Value>,
}

/// The results of the examples.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"result": [[["setosa", 1.0], ["versicolor", 0.0], ["virginica", 0.0]]]})))]
struct ResultDocument {
    /// For each example: a label and score for each class, or a number
    #[schema(value_type = Vec<Value>)]
    result: Vec<serde_json::Value>,
}

/// The error responses that all verbs share.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
enum Errors {
    /// The request is invalid: the error names the place
    #[response(status = 400)]
    BadRequest(ErrorDocument),
    /// The token is missing or not valid
    #[response(status = 401)]
    Unauthorized(ErrorDocument),
    /// The token lacks the scope `predict`
    #[response(status = 403)]
    Forbidden(ErrorDocument),
    /// There is no such model or version
    #[response(status = 404)]
    NotFound(ErrorDocument),
    /// The body is too large
    #[response(status = 413)]
    PayloadTooLarge(ErrorDocument),
    /// The body's encoding is neither gzip nor deflate
    #[response(status = 415)]
    UnsupportedMediaType(ErrorDocument),
    /// A quota is used up; `Retry-After` says when to retry
    #[response(status = 429)]
    TooManyRequests(ErrorDocument),
    /// The model failed
    #[response(status = 500)]
    InternalServerError(ErrorDocument),
    /// The model is not in service or is overloaded; `Retry-After` says when to retry
    #[response(status = 503)]
    ServiceUnavailable(ErrorDocument),
    /// The model did not finish in time
    #[response(status = 504)]
    GatewayTimeout(ErrorDocument),
}

macro_rules! verb {
    ($($name:ident, $path:literal, $summary:literal, $request:ty => $response:ty, ($($param:tt)*);)*) => {
        $(
            #[doc = $summary]
            #[utoipa::path(post, path = $path, operation_id = concat!("tensorflow_", stringify!($name)), tag = "tensorflow", security(("bearer" = ["predict"])),
                params(("model" = String, Path, description = "The model's name", example = "iris") $($param)*),
                request_body = $request, responses(
                (status = 200, description = "The prediction; `x-model-version` and `x-model-digest` name the version \
                    that made it", body = $response),
                Errors))]
            #[expect(dead_code, reason = "only its description is used")]
            fn $name() {}
        )*
    };
}

verb! {
    predict, "/v1/models/{model}:predict", "Predict with the latest version",
        PredictRequestDocument => PredictResponseDocument, ();
    predict_version, "/v1/models/{model}/versions/{version}:predict", "Predict with a version",
        PredictRequestDocument => PredictResponseDocument,
        (, ("version" = String, Path, description = "A version that is in service", example = "1"));
    predict_label, "/v1/models/{model}/labels/{label}:predict", "Predict with a labelled version",
        PredictRequestDocument => PredictResponseDocument,
        (, ("label" = String, Path, description = "A label of a version", example = "canary"));
    classify, "/v1/models/{model}:classify", "Classify with the latest version",
        ExamplesDocument => ResultDocument, ();
    classify_version, "/v1/models/{model}/versions/{version}:classify", "Classify with a version",
        ExamplesDocument => ResultDocument,
        (, ("version" = String, Path, description = "A version that is in service", example = "1"));
    classify_label, "/v1/models/{model}/labels/{label}:classify",
        "Classify with a labelled version",
        ExamplesDocument => ResultDocument,
        (, ("label" = String, Path, description = "A label of a version", example = "canary"));
    regress, "/v1/models/{model}:regress", "Regress with the latest version",
        ExamplesDocument => ResultDocument, ();
    regress_version, "/v1/models/{model}/versions/{version}:regress", "Regress with a version",
        ExamplesDocument => ResultDocument,
        (, ("version" = String, Path, description = "A version that is in service", example = "1"));
    regress_label, "/v1/models/{model}/labels/{label}:regress",
        "Regress with a labelled version",
        ExamplesDocument => ResultDocument,
        (, ("label" = String, Path, description = "A label of a version", example = "canary"));
}
