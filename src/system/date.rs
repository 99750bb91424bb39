//! Dates as text, for any clock. The libraries that format them panic before 1970 and after 9999, where the clock of a
//! machine may be if it was never set.

use std::time::{Duration, SystemTime};

/// The last second that can be formatted: 9999-12-31T23:59:59Z.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Returns true if this time can be formatted as a date.
#[must_use]
pub fn can_be_written(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since <= LAST)
}

/// Formats a time as in RFC 3339, with milliseconds; times out of range become the nearest possible.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_time_of_a_clock_is_written() {
        let (first, last) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST);
        for (time, written) in [
            (first + Duration::from_millis(1_700_000_000_123), "2023-11-14T22:13:20.123Z"),
            (first, "1970-01-01T00:00:00.000Z"),
            (first - SECOND, "1970-01-01T00:00:00.000Z"),
            (first - 100 * 365 * 86_400 * SECOND, "1970-01-01T00:00:00.000Z"),
            (last, "9999-12-31T23:59:59.000Z"),
            (last + 2 * SECOND, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(time), written);
        }
    }

    #[test]
    fn a_clock_that_was_never_set_has_no_date() {
        let (first, last) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST);
        assert!([first, SystemTime::now(), last].into_iter().all(can_be_written));
        assert!(!can_be_written(first - SECOND) && !can_be_written(last + SECOND));
    }
}
