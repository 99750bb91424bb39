//! A message of JSON-RPC 2.0, read so far that its method can read the rest.

use std::borrow::Cow;

use axum::body::Bytes;
use rmcp::model::{ErrorData, RequestId};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{json, value::RawValue};

use super::reply::RpcError;
use crate::{
    codec::{self, BodyError, FieldError, without_mark},
    model::MAX_LISTED,
};

/// A received message.
#[derive(Debug)]
pub(super) enum Received {
    /// A request, which gets a response.
    Request(Message),
    /// A notification, which gets none. None of them changes anything here.
    Notification,
}

/// A request.
#[derive(Debug)]
pub(super) struct Message {
    /// The id, which the response repeats.
    pub(super) id: RequestId,
    pub(super) method: String,
    /// The text of the parameters, a part of the body; `None` if there are none.
    params: Option<Bytes>,
}

/// The members of any message. Others are ignored.
#[derive(Deserialize)]
struct Envelope<'b> {
    #[serde(default, borrow, deserialize_with = "present")]
    jsonrpc: Option<&'b RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'b RawValue>,
    method: Option<String>,
    #[serde(default, borrow, deserialize_with = "present")]
    params: Option<&'b RawValue>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// Reads a member that is there, even if it is null.
fn present<'b, D: Deserializer<'b>>(deserializer: D) -> Result<Option<&'b RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Message {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// The error of JSON-RPC for a body that is not JSON, or not one request or notification.
    pub(super) fn read(body: &Bytes) -> Result<Received, RpcError> {
        if without_mark(body).trim_ascii_start().starts_with(b"[") {
            return Err(of_batch(body));
        }
        let envelope: Envelope<'_> = codec::parse(body).map_err(|error| match error {
            BodyError::Malformed(error) => RpcError::bad_request(ErrorData::parse_error(
                format!("the body is not valid JSON: {}", error.message),
                None,
            )),
            BodyError::Invalid(errors) => invalid_request(places(&errors)),
        })?;
        if envelope.jsonrpc.is_none_or(|version| version.get() != r#""2.0""#) {
            return Err(invalid_request("`jsonrpc` must be \"2.0\""));
        }
        let Some(method) = envelope.method else {
            let is_response = envelope.result.is_some() || envelope.error.is_some();
            return Err(invalid_request(if is_response {
                "a response is not expected: the gateway sends no requests"
            } else {
                "`method` is missing"
            }));
        };
        let Some(id) = envelope.id else {
            return if method.starts_with("notifications/") {
                Ok(Received::Notification)
            } else {
                Err(invalid_request("`id` is missing: only notifications have none"))
            };
        };
        let id = request_id(id.get())
            .ok_or_else(|| invalid_request("`id` must be a text or a whole number of at most 64 bits"))?;
        let params = envelope.params.map(|params| body.slice_ref(params.get().as_bytes()));
        Ok(Received::Request(Self { id, method, params }))
    }

    /// Reads the parameters; absent ones are an empty object.
    ///
    /// # Errors
    ///
    /// The error of JSON-RPC for parameters of another form.
    pub(super) fn params<'m, T: Deserialize<'m>>(&'m self) -> Result<T, RpcError> {
        codec::parse(self.text()).map_err(invalid_params)
    }

    /// Returns the name and the arguments of a call; `None` in place of arguments that are absent.
    ///
    /// # Errors
    ///
    /// The error of JSON-RPC if there is no name, or the arguments are not an object.
    pub(super) fn call(&self) -> Result<(String, Option<Bytes>), RpcError> {
        #[derive(Deserialize)]
        struct Call<'b> {
            name: String,
            #[serde(default, borrow, deserialize_with = "present")]
            arguments: Option<&'b RawValue>,
        }
        let text = self.text();
        let Call { name, arguments } = codec::parse(text).map_err(invalid_params)?;
        let Some(arguments) = arguments else { return Ok((name, None)) };
        if !arguments.get().starts_with('{') {
            let error = FieldError::new("/arguments", "wrong_form", "expected an object");
            return Err(invalid_params(BodyError::Invalid(vec![error])));
        }
        Ok((name, self.params.as_ref().map(|params| params.slice_ref(arguments.get().as_bytes()))))
    }

    fn text(&self) -> &[u8] {
        self.params.as_deref().unwrap_or(b"{}")
    }
}

/// Reads an id; `None` if it is of another type.
fn request_id(text: &str) -> Option<RequestId> {
    // The library would read any value whole before it refuses it.
    let is_scalar = !text.starts_with(['[', '{']);
    is_scalar.then(|| serde_json::from_str(text).ok()).flatten()
}

/// Returns the error of a list of messages, which revision 2025-06-18 removed.
fn of_batch(body: &[u8]) -> RpcError {
    match serde_json::from_slice::<IgnoredAny>(without_mark(body)) {
        Ok(_) => invalid_request("a batch is not taken: send each message in a request of its own"),
        Err(error) => RpcError::bad_request(ErrorData::parse_error(
            format!("the body is not valid JSON: {error}"),
            None,
        )),
    }
}

fn invalid_request(message: impl Into<Cow<'static, str>>) -> RpcError {
    RpcError::bad_request(ErrorData::invalid_request(message, None))
}

fn invalid_params(error: BodyError) -> RpcError {
    let errors = match error {
        BodyError::Malformed(error) => vec![error],
        BodyError::Invalid(errors) => errors,
    };
    let message = format!("`params` is not valid: {}", places(&errors));
    RpcError::of_message(ErrorData::invalid_params(message, Some(json!({"errors": errors}))))
}

fn places(errors: &[FieldError]) -> String {
    let place = |error: &FieldError| match error.pointer.as_str() {
        "" => error.message.clone(),
        pointer => format!("{pointer}: {}", error.message),
    };
    errors.iter().take(MAX_LISTED).map(place).collect::<Vec<_>>().join("; ")
}
