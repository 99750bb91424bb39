//! Bounds on events that clients can cause at will, so that none of them fills the disk or drives other events out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Time in which an event of one caller or address is written once.
const PERIOD: Duration = Duration::from_mins(1);

/// Most different events in that time.
const MAX_KEYS: usize = 1000;

/// The events of the last period.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    by_key: HashMap<u64, Window>,
    /// Events that found no place in the map, and were not reported yet.
    beyond: u64,
}

#[derive(Debug)]
struct Window {
    begin: Instant,
    suppressed: u64,
}

/// The decision about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it, with the number of events like it that were left out.
    Write { suppressed: u64 },
    /// Leave it out, and count it.
    Suppress,
}

impl Throttle {
    /// Decides about an event.
    pub(super) fn judge(&mut self, key: u64, now: Instant) -> Verdict {
        let is_over = |window: &Window| now.saturating_duration_since(window.begin) >= PERIOD;
        if let Some(window) = self.by_key.get_mut(&key) {
            if !is_over(window) {
                window.suppressed += 1;
                return Verdict::Suppress;
            }
            let suppressed = std::mem::take(&mut window.suppressed);
            window.begin = now;
            return Verdict::Write { suppressed };
        }
        if self.by_key.len() >= MAX_KEYS {
            let mut forgotten = 0;
            self.by_key.retain(|_, window| {
                forgotten += if is_over(window) { window.suppressed } else { 0 };
                !is_over(window)
            });
            self.beyond += forgotten;
        }
        if self.by_key.len() >= MAX_KEYS {
            self.beyond += 1;
            return Verdict::Suppress;
        }
        self.by_key.insert(key, Window { begin: now, suppressed: 0 });
        Verdict::Write { suppressed: std::mem::take(&mut self.beyond) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_period_is_written_and_the_next_says_how_many_were_not() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.judge(1, now), Verdict::Write { suppressed: 0 });
        for _ in 0..3 {
            assert_eq!(throttle.judge(1, now + PERIOD / 2), Verdict::Suppress);
        }
        assert_eq!(throttle.judge(2, now), Verdict::Write { suppressed: 0 }, "of another");
        assert_eq!(throttle.judge(1, now + PERIOD), Verdict::Write { suppressed: 3 });
        assert_eq!(throttle.judge(1, now + 2 * PERIOD), Verdict::Write { suppressed: 0 });
    }

    #[test]
    fn many_different_events_are_bounded_and_counted() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let written = (0..5000).filter(|key| throttle.judge(*key, now) != Verdict::Suppress).count();
        assert_eq!(written, MAX_KEYS);
        let later = throttle.judge(9999, now + PERIOD);
        assert_eq!(later, Verdict::Write { suppressed: 5000 - MAX_KEYS as u64 });
    }
}
