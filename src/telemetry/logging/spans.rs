//! The spans around an access line, in JSON: requests of the slow path have one.

use tracing::{Subscriber, dispatcher};
use tracing_subscriber::{
    Registry,
    fmt::{FormattedFields, format::JsonFields},
    registry::{LookupSpan, SpanRef},
};

/// Appends the spans that this thread is in, as `tracing-subscriber` adds them to each line: the innermost, then all of
/// them from the outside in. Appends nothing outside of spans.
pub(super) fn write_spans(out: &mut Vec<u8>) {
    dispatcher::get_default(|dispatch| {
        let Some(registry) = dispatch.downcast_ref::<Registry>() else { return };
        let Some(innermost) = registry.current_span().id().and_then(|id| registry.span(id)) else { return };
        out.extend_from_slice(b",\"span\":");
        write_span(&innermost, out);
        out.extend_from_slice(b",\"spans\":[");
        for (place, span) in innermost.scope().from_root().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_span(&span, out);
        }
        out.push(b']');
    });
}

/// Appends a span as an object of its fields, which are JSON already, and its name.
fn write_span(span: &SpanRef<'_, Registry>, out: &mut Vec<u8>) {
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.as_str());
    let fields = fields.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    out.push(b'{');
    out.extend_from_slice(fields.as_bytes());
    if !fields.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(b"\"name\":\"");
    // The name of a span in code: it has nothing to escape.
    out.extend_from_slice(span.name().as_bytes());
    out.extend_from_slice(b"\"}");
}
