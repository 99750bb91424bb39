//! Lines of the access log, written straight into the buffer of their thread.
//!
//! They have the bytes that `tracing` would write for an event with these fields. An event takes several times as long:
//! each field passes a visitor, each line an allocation and a channel.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    form::{FieldName, Fields, Form, field_name},
    level::AccessLevel,
    line_queue::Lines,
    spans::write_spans,
};

const METHOD: FieldName = field_name!("method");
const PATH: FieldName = field_name!("path");
const STATUS: FieldName = field_name!("status");
const GRPC_STATUS: FieldName = field_name!("grpc.status");
const DURATION_US: FieldName = field_name!("duration_us");
const PEER: FieldName = field_name!("peer");
const CALLER_SUBJECT: FieldName = field_name!("caller.subject");
const CALLER_KIND: FieldName = field_name!("caller.kind");
const MODEL_VERSION: FieldName = field_name!("model.version");
const MODEL_DIGEST: FieldName = field_name!("model.digest");
const REQUEST_ID: FieldName = field_name!("request.id");

/// A line of the access log. Fields that are `None` are left out.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'l> {
    /// The method of the request.
    pub method: &'l str,
    /// The path of the request, without its query.
    pub path: &'l str,
    /// The HTTP status of the response.
    pub status: u16,
    /// The status of a gRPC call, if it is known when headers are sent.
    pub grpc_status: Option<&'l str>,
    /// The time until the headers of the response; written in microseconds.
    pub duration: Duration,
    /// The address of the connection.
    pub peer: Option<IpAddr>,
    /// The `sub` of the token, or the name of the API key or certificate.
    pub caller_subject: Option<&'l str>,
    /// The kind of the caller's credentials.
    pub caller_kind: Option<&'l str>,
    /// The version that responded.
    pub model_version: Option<&'l str>,
    /// The digest of its file.
    pub model_digest: Option<&'l str>,
    /// The id of the request.
    pub request_id: Option<&'l str>,
}

impl AccessLine<'_> {
    /// Appends this line to others.
    pub(super) fn write(&self, form: Form, level: AccessLevel, now: SystemTime, lines: &mut Lines) {
        let Lines { bytes, timestamp } = lines;
        bytes.extend_from_slice(form.before_time().as_bytes());
        timestamp.write(now, bytes);
        bytes.extend_from_slice(form.after_time(level).as_bytes());
        let mut fields = Fields { form, out: bytes };
        fields.text(&METHOD, Some(self.method));
        fields.text(&PATH, Some(self.path));
        fields.number(&STATUS, self.status);
        fields.text(&GRPC_STATUS, self.grpc_status);
        fields.number(&DURATION_US, u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX));
        fields.address(&PEER, self.peer);
        fields.text(&CALLER_SUBJECT, self.caller_subject);
        fields.text(&CALLER_KIND, self.caller_kind);
        fields.text(&MODEL_VERSION, self.model_version);
        fields.text(&MODEL_DIGEST, self.model_digest);
        fields.text(&REQUEST_ID, self.request_id);
        bytes.extend_from_slice(form.after_fields().as_bytes());
        if form == Form::Json {
            write_spans(bytes);
        }
        bytes.extend_from_slice(form.end().as_bytes());
    }
}

#[cfg(test)]
mod tests;
