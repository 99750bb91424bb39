//! Everything that REST and gRPC share: authentication, quotas, the layers of every request, and errors before they are
//! rendered in the dialect of the transport.
//!
//! gRPC is HTTP/2, and its services are an `axum` router like any other, so the same layers wrap both.

mod access;
mod authenticate;
mod charge;
mod codes;
mod error;
mod inference;
mod labels;
mod layers;
mod models;
mod observe;
mod offload;
mod open_paths;
mod peer;
mod permit;
mod pipeline;
mod problem;
mod quota_refusal;
mod rate_limit;
mod repository;
mod request_id;
mod rescue;
mod shared;
mod state;
mod version;

pub(crate) use crate::auth::{MayManage, MayPredict, MayRead, Permission};
pub(crate) use access::RequestRecord;
pub(crate) use charge::{ChargedBody, charge_bytes, charge_for, charge_of, charged_response, length_of};
pub use codes::{FIELD_CODES, OAUTH_CODES, PROBLEM_CODES};
pub(crate) use error::ApiError;
pub(crate) use inference::{infer, outputs};
pub(crate) use layers::{authorized, authorized_by_platform, observed};
pub(crate) use models::{all_statistics, config, metadata, statistics};
pub(crate) use offload::{is_large, offload};
pub use open_paths::{OPEN_PATHS, is_open};
pub(crate) use peer::FORWARDED_FOR;
pub use peer::Peer;
pub(crate) use permit::Permit;
pub(crate) use pipeline::{Record, RouteMetrics, Transport, authorize, bearer, charge};
pub(crate) use problem::{MEDIA_TYPE, Problem, ProblemDocument};
pub use rate_limit::AddressLimit;
pub(crate) use repository::{Indexed, index, load, unload};
pub(crate) use request_id::{REQUEST_ID, is_sound_request_id, new_request_id};
pub(crate) use rescue::{cause_of, panicked, problem_of, sentence};
pub(crate) use shared::SharedLayer;
pub use state::{Clock, Ending, OpenEndedAnswer, TransportParts, TransportState};
pub(crate) use version::version_headers;
