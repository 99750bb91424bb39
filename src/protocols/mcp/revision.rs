//! The revision of the protocol that a request follows.
//!
//! Up to 2025-11-25 a client begins with a handshake (`initialize`). From 2026-07-28 on each request names its revision
//! instead, in a header and in the message, and repeats parts of the message in headers.

use axum::http::HeaderMap;
use rmcp::model::{ErrorCode, ErrorData, ProtocolVersion};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    headers::{self, METHOD, NAME, PROTOCOL_VERSION, decoded},
    message::Message,
    reply::RpcError,
};

/// The revisions that are served, the oldest first. Earlier ones have batches.
pub(super) const SUPPORTED: &[ProtocolVersion] =
    &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];

/// A form of revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// With a handshake.
    Handshake,
    /// Without one: each request says everything.
    Stateless,
}

#[derive(Deserialize)]
struct Params<'m> {
    #[serde(rename = "_meta", borrow)]
    meta: Option<Meta<'m>>,
}

#[derive(Default, Deserialize)]
struct Meta<'m> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow)]
    capabilities: Option<&'m RawValue>,
}

/// Returns the form of the revision that a request names. Without a name it is one with a handshake, whose first request
/// names none.
///
/// # Errors
///
/// The error of JSON-RPC for a revision that is not served, or headers that contradict the message.
//
// Streamable HTTP, sections "Protocol Version Header" and "Server Validation".
pub(super) fn of(headers: &HeaderMap, message: &Message) -> Result<Revision, RpcError> {
    let Params { meta } = message.params()?;
    let Meta { version, capabilities } = meta.unwrap_or_default();
    let header = single(headers, PROTOCOL_VERSION)?;
    let Some(named) = header else {
        return match version {
            None => Ok(Revision::Handshake),
            Some(_) => Err(mismatch(PROTOCOL_VERSION, "is missing")),
        };
    };
    if version.as_deref().is_some_and(|version| version != named) {
        return Err(mismatch(PROTOCOL_VERSION, "differs from the version in `_meta`"));
    }
    let Some(supported) = SUPPORTED.iter().find(|supported| supported.as_str() == named) else {
        return Err(RpcError::bad_request(unsupported(named)));
    };
    if supported.has_initialize() {
        return Ok(Revision::Handshake);
    }
    let is_complete = version.is_some() && capabilities.is_some_and(|all| all.get().starts_with('{'));
    if !is_complete {
        let message = "`params._meta` must have `io.modelcontextprotocol/protocolVersion` and \
                       `io.modelcontextprotocol/clientCapabilities`";
        return Err(RpcError::bad_request(ErrorData::invalid_params(message, None)));
    }
    check_repeated(headers, message)?;
    Ok(Revision::Stateless)
}

/// Checks the headers that repeat parts of the message.
fn check_repeated(headers: &HeaderMap, message: &Message) -> Result<(), RpcError> {
    match single(headers, METHOD)? {
        None => return Err(mismatch(METHOD, "is missing")),
        Some(method) if method != message.method => {
            return Err(mismatch(METHOD, "differs from the method of the message"));
        }
        Some(_) => {}
    }
    if message.method == "tools/call" {
        let (name, _) = message.call()?;
        let header = single(headers, NAME)?.ok_or_else(|| mismatch(NAME, "is missing"))?;
        if decoded(header).is_none_or(|header| header != name) {
            return Err(mismatch(NAME, "differs from the name of the tool"));
        }
    }
    Ok(())
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, RpcError> {
    headers::single(headers, name).map_err(|wrong| mismatch(name, wrong))
}

fn mismatch(header: &str, wrong: &str) -> RpcError {
    RpcError::bad_request(ErrorData::header_mismatch(format!("the header `{header}` {wrong}"), None))
}

fn unsupported(named: &str) -> ErrorData {
    // Every version is a date; a longer text is not repeated.
    let requested = named.chars().take(32).collect::<String>();
    let data = json!({"supported": SUPPORTED, "requested": requested});
    ErrorData::new(
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
        "the protocol version is not supported: use one of `supported`",
        Some(data),
    )
}
