//! One model in the API description: its operations in each protocol, with the schemas of its own requests and
//! responses.

use serde_json::Value;

use crate::{
    codec::{
        Model,
        json_schema::{SchemaPlace, Schemas},
    },
    model::{Constants, ModelName, ModelVersion},
};

/// A model that requests without a version are sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DescribedModel<'m> {
    /// The name.
    pub(crate) name: &'m ModelName,
    /// The version that responds.
    pub(crate) version: ModelVersion,
    /// The short digest of its files.
    pub(crate) digest: &'m str,
    /// Inputs, outputs, rows and contract.
    pub(crate) model: Model<'m>,
    /// Outputs that are the same for all rows.
    pub(crate) constants: &'m Constants,
    /// True if it takes a list of rows, of features or of each input.
    pub(crate) takes_instances: bool,
    /// True if requests without a model are sent to it.
    pub(crate) is_default: bool,
    /// The body of a request to its native route that it should accept; `None` if none is short.
    pub(crate) example: Option<&'m ModelExample>,
}

/// Example requests to a model.
#[derive(Clone, Debug)]
pub(crate) struct ModelExample {
    /// The body of a native request.
    pub(crate) native: Value,
    /// The body of a request with tensors by name, their shapes and types.
    pub(crate) tensors: Value,
}

/// An operation on one model.
#[derive(Debug)]
pub(crate) struct ModelOperation {
    /// The path of the operation on any model, which has all other responses.
    pub(crate) generic: &'static str,
    /// The path of this one. If it is the generic one, it takes its place.
    pub(crate) path: String,
    /// The name of the operation, from which that of this one is made.
    pub(crate) action: &'static str,
    /// The schema of a request's body as JSON.
    pub(crate) request: Value,
    /// The schema of a response's body.
    pub(crate) response: Value,
    /// An example of a request's body.
    pub(crate) example: Option<Value>,
}

/// Operations on one model, and the schemas that they refer to.
#[derive(Debug, Default)]
pub(crate) struct ModelDescription {
    /// The operations.
    pub(crate) operations: Vec<ModelOperation>,
    /// The schemas by name.
    pub(crate) schemas: Schemas,
}

/// The paths of one operation of a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationPaths {
    /// The path with `{model}`; `None` if no path names a model.
    pub(crate) of_model: Option<&'static str>,
    /// The path of the default model; `None` if a path must name one.
    pub(crate) of_default: Option<&'static str>,
}

/// One operation of a protocol on a model, by the names of its schemas.
#[derive(Debug)]
pub(crate) struct OperationSchemas {
    /// The name of the operation.
    pub(crate) action: &'static str,
    /// The name of the request's schema.
    pub(crate) request: &'static str,
    /// The name of the response's schema.
    pub(crate) response: &'static str,
    /// An example of a request's body.
    pub(crate) example: Option<Value>,
}

impl OperationSchemas {
    /// Returns the operation at each of its paths that lead to this model.
    pub(crate) fn at(
        &self,
        paths: OperationPaths,
        model: DescribedModel<'_>,
        place: SchemaPlace<'_>,
    ) -> Vec<ModelOperation> {
        let OperationPaths { of_model, of_default } = paths;
        let own = of_model.map(|path| (path, path.replace("{model}", model.name.as_str())));
        let default = of_default.filter(|_| model.is_default).map(|path| (path, path.to_owned()));
        let operation = |(generic, path)| ModelOperation {
            generic,
            path,
            action: self.action,
            request: place.reference(self.request),
            response: place.reference(self.response),
            example: self.example.clone(),
        };
        own.into_iter().chain(default).map(operation).collect()
    }
}
