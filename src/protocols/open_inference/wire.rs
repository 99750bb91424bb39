//! Requests and responses of the Open Inference Protocol (v2), shared by REST and gRPC.

mod classification;
mod declared;
mod form;
mod input;
mod metadata;
mod output_error;
mod outputs;
mod parameters;
mod place;
mod request;
mod response;
mod statistics;

pub use declared::{DeclaredTensor, declared_tensor};
pub use form::TensorForm;
pub use metadata::{
    ConfiguredTensor, EXTENSIONS, InstanceGroup, LiveDocument, ModelConfigDocument, ModelMetadataDocument,
    ModelNames, ModelReadyDocument, ReadyDocument, SERVER_NAME, ServerMetadata,
};
pub use output_error::OutputError;
pub use outputs::{OutputTensor, RequestedOutput, check_requested, output_tensors};
pub use parameters::Parameters;
pub use place::Place;
pub use request::{InferRequest, read_infer_request, read_raw_request};
pub use response::write_infer_response;
pub use statistics::{
    BatchStatistics, DurationStatistics, InferenceStatistics, ModelStatistics, StatisticsDocument,
};
