//! REST, whatever the protocol: bodies, headers, layers and responses.
//!
//! Every error of a handler or a layer goes through `Problem`. Errors that the framework produces by
//! itself are rewritten by `render`.

pub(crate) mod body;
pub(crate) mod body_parts;
pub(crate) mod cors;
mod decoding;
pub(crate) mod entity_tag;
pub(crate) mod header_rules;
pub(crate) mod layers;
pub(crate) mod prefixed_body;
pub(crate) mod render;
pub(crate) mod response;
pub(crate) mod undrained_body;

pub use header_rules::TwoLengths;
