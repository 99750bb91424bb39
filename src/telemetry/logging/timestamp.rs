//! Timestamps of access lines, as `tracing` writes those of other lines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Last second of the year 9999, after which a year has more digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// The text of the last second that was written: most lines share it with the line before.
#[derive(Debug, Default)]
pub(super) struct Timestamp {
    second: u64,
    /// Such as `2026-11-29T04:45:53`; empty until the first line.
    text: String,
}

impl Timestamp {
    /// Appends a time in RFC 3339's form, with six digits of the second, in UTC. Times before 1970 are written as its
    /// beginning, times after 9999 as its end.
    pub(super) fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST_SECOND);
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text =
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            // The fraction comes before the zone.
            self.text.truncate(self.text.len() - "Z".len());
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&fraction(since.subsec_micros()));
    }
}

/// Returns the text of a fraction of a second, and that of the zone.
fn fraction(mut micros: u32) -> [u8; 8] {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut text = *b".000000Z";
    for place in (1..=6).rev() {
        text[place] = DIGITS[(micros % 10) as usize];
        micros /= 10;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(timestamp: &mut Timestamp, time: SystemTime) -> String {
        let mut out = Vec::new();
        timestamp.write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_time_that_the_form_does_not_have_is_its_nearest() {
        let mut timestamp = Timestamp::default();
        assert_eq!(
            written(&mut timestamp, UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00.000000Z"
        );
        assert_eq!(written(&mut timestamp, UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
        let late = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(written(&mut timestamp, late), "9999-12-31T23:59:59.000000Z");
    }

    proptest! {
        #[test]
        fn times_have_the_form_of_rfc_3339(times in proptest::collection::vec((0..3_u64, 0..=LAST_SECOND, 0..1_000_000_u64), 1..9)) {
            let (mut timestamp, mut last) = (Timestamp::default(), 0);
            for (kind, second, micros) in times {
                // Most lines have the second of the line before, or the next.
                last = match kind { 0 => last, 1 => (last + 1).min(LAST_SECOND), _ => second };
                let time = UNIX_EPOCH + Duration::from_secs(last) + Duration::from_micros(micros);
                prop_assert_eq!(written(&mut timestamp, time), humantime::format_rfc3339_micros(time).to_string());
            }
        }
    }
}
