//! The edge: what every request passes on its way to a protocol and back.
//!
//! One pipeline with authentication, quotas, the memory budget, the access log and the layers of REST and gRPC, and
//! errors before a protocol gives them their form. The edge knows protocols only as `Protocol`.
//!
//! gRPC is HTTP/2, and its services are an `axum` router like any other, so the same layers wrap both.

mod access;
mod activity;
mod audit;
mod authenticate;
mod charge;
mod codes;
mod credentials;
mod error;
pub(crate) mod grpc;
mod guarded_body;
mod labels;
mod layers;
mod model_description;
mod observe;
mod offload;
mod open_paths;
mod peer;
mod permit;
mod pipeline;
mod problem;
mod protected_resource;
mod protocol;
mod quota_fields;
mod quota_refusal;
mod rate_limit;
mod request_id;
mod rescue;
pub mod rest;
mod route_set;
mod shared;
mod state;
mod tell_quotas;
mod traced;
mod version;

pub(crate) use crate::auth::{MayManage, MayPredict, MayRead, Permission};
pub use crate::limits::Peer;
pub(crate) use access::{Forwarded, RequestRecord};
pub use activity::{Activity, Sources, StreamRefusal};
pub(crate) use activity::{ModelSample, Sample, StreamEnd, Update, Watch};
pub(crate) use audit::Audited;
pub(crate) use authenticate::MaybeCaller;
pub(crate) use charge::{
    ChargedBody, charge_bytes, charge_for, charge_of, charged_response, charged_response_of, length_of,
    share_key,
};
pub use codes::{FIELD_CODES, OAUTH_CODES, PROBLEM_CODES};
pub(crate) use credentials::API_KEY;
pub(crate) use error::ApiError;
pub(crate) use guarded_body::{GuardedBody, holding};
pub(crate) use layers::{authorized, authorized_by_platform, observed, served_by_admin};
pub(crate) use model_description::{
    DescribedModel, ModelDescription, ModelExample, ModelOperation, OperationPaths, OperationSchemas,
};
pub(crate) use offload::{MOST_FAST_BYTES, is_large, offload};
pub use open_paths::OpenPaths;
pub(crate) use peer::FORWARDED_FOR;
pub(crate) use permit::Permit;
pub(crate) use pipeline::{
    Record, RouteMetrics, Timed, Transport, authorize, charge, charge_message, known_caller, request_charge,
};
pub(crate) use problem::{MEDIA_TYPE, Problem, ProblemDocument};
pub use protected_resource::ProtectedResource;
pub(crate) use protocol::{ErrorDocument, Protocol, Protocols, Routes, is_below};
pub(crate) use quota_fields::Charged;
pub use quota_fields::QuotaFields;
pub use rate_limit::AddressLimit;
pub(crate) use request_id::{REQUEST_ID, is_sound_request_id, new_request_id};
pub(crate) use rescue::{cause_of, panicked, problem_of, sentence};
pub use route_set::ListedRoute;
pub(crate) use route_set::RouteSet;
pub(crate) use shared::SharedLayer;
pub use state::{Clock, EdgeParts, EdgeState, Ending, OpenEndedResponse};
pub(crate) use traced::{TRACE_PARENT, TRACE_STATE, WANTS_TIMING, trace_headers};
pub(crate) use version::version_headers;
