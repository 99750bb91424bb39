//! The time limit of a call: the client's own, and at most that of the settings.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::Response,
};
use tokio::time::{Instant, timeout};

use crate::edge::ApiError;

pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Most digits of a timeout.
const MAX_DIGITS: usize = 8;

/// Time limits of a call with several responses: an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// The client's deadline, if it has set one.
    pub(crate) call: Option<Instant>,
    /// Time limit of one response.
    pub(crate) answer: Duration,
}

/// Ends a call, and with it the run of a model, if its response does not begin in time. `longest` is the limit in the
/// settings.
pub(crate) async fn deadline(
    State(longest): State<Duration>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let wanted = timeout_of(request.headers())?;
    let call = wanted.and_then(|wanted| Instant::now().checked_add(wanted));
    request.extensions_mut().insert(Deadline { call, answer: longest });
    let run = next.run(request);
    match wanted {
        Some(wanted) if wanted < longest => timeout(wanted, run).await.map_err(|_| ApiError::Timeout),
        _ => timeout(longest, run).await.map_err(|_| ApiError::TakesTooLong),
    }
}

/// Reads `grpc-timeout` ("gRPC over HTTP2", Requests).
pub(crate) fn timeout_of(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let parsed = value.to_str().ok().filter(|_| values.next().is_none()).and_then(parse);
    parsed
        .map(Some)
        .ok_or(ApiError::BadRequest("grpc-timeout must be one number of up to 8 digits and a unit"))
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok()?;
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unit = match unit {
        "H" => Duration::from_hours(1),
        "M" => Duration::from_mins(1),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("00000250m", Some(Duration::from_millis(250))),
            ("0n", Some(Duration::ZERO)),
            ("5u", Some(Duration::from_micros(5))),
            ("2M", Some(Duration::from_mins(2))),
            ("123456789S", None),
            ("1", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
            ("1ß", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
