//! The place of a request in a trace, which a client may have begun: `traceparent` and `tracestate` (W3C Trace Context).

use std::str::FromStr;

use opentelemetry::trace::{SpanId, TraceId, TraceState};

/// The bit of the flags that says that the caller records the trace (W3C Trace Context, section 3.2.2.5.1).
const SAMPLED: u8 = 1;

/// Longest `tracestate` that is kept (section 3.3.1.5 asks for 512 characters at least).
const MAX_STATE_BYTES: usize = 512;

/// A request's place in a trace that is recorded.
#[derive(Clone, Debug)]
pub struct TraceContext {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// The span of the client; `None` if the trace begins here.
    pub(super) parent: Option<SpanId>,
    pub(super) state: TraceState,
}

/// The trace of a client, as its headers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) is_sampled: bool,
}

impl TraceParent {
    /// Reads `traceparent`; `None` if it is malformed, and so counts as absent.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let value = str::from_utf8(value).ok()?;
        let (version, rest) = value.split_once('-')?;
        let mut parts = rest.split('-');
        let [trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?];
        // Later versions may add parts, this one has no more (section 4.3).
        if !is_hexadecimal(version, 2) || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        if !is_hexadecimal(trace, 32) || !is_hexadecimal(span, 16) || !is_hexadecimal(flags, 2) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let is_known = trace != TraceId::INVALID && span != SpanId::INVALID;
        is_known.then_some(Self { trace, span, is_sampled: flags & SAMPLED != 0 })
    }
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(is_digit)
}

impl TraceContext {
    /// Begins a trace, or continues that of the client.
    pub(super) fn new(parent: Option<TraceParent>, state: Option<&str>) -> Self {
        let span = SpanId::from(rand::random_range(1..=u64::MAX));
        let Some(TraceParent { trace, span: parent, .. }) = parent else {
            let trace = TraceId::from(rand::random_range(1..=u128::MAX));
            return Self { trace, span, parent: None, state: TraceState::default() };
        };
        let state = state.filter(|state| state.len() <= MAX_STATE_BYTES);
        let state = state.and_then(|state| TraceState::from_str(state).ok());
        Self { trace, span, parent: Some(parent), state: state.unwrap_or_default() }
    }

    /// Returns the value of `traceresponse` (W3C Trace Context, level 2), in the form of `traceparent`.
    pub(crate) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let read = |value: &str| TraceParent::read(value.as_bytes());
        let sampled = read(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((sampled.trace.to_string(), sampled.span.to_string()), (TRACE.into(), SPAN.into()));
        assert!(sampled.is_sampled);
        assert!(!read(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled);
        assert!(read(&format!("01-{TRACE}-{SPAN}-03-more")).unwrap().is_sampled, "a later version");
        let zeros = "0".repeat(32);
        for malformed in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        ] {
            assert_eq!(read(&malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let parent = TraceParent::read(format!("00-{TRACE}-{SPAN}-01").as_bytes());
        let continued = TraceContext::new(parent, Some("vendor=1"));
        assert_eq!(continued.trace.to_string(), TRACE);
        assert_eq!(continued.parent.unwrap().to_string(), SPAN);
        assert_eq!(continued.state.header(), "vendor=1");
        assert!(continued.header().starts_with(&format!("00-{TRACE}-")));
        let begun = TraceContext::new(None, Some("vendor=1"));
        assert_eq!((begun.parent, begun.state.header().as_str()), (None, ""));
        assert_ne!(begun.trace, TraceContext::new(None, None).trace);
    }
}
