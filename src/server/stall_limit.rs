//! The time limit for a client that reads a response.

use std::time::Duration;

/// The time for which a client may still stall. Waiting uses it up. Reading earns some back at a least rate, so that a
/// byte now and then does not keep a response for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StallLimit {
    left: Duration,
    most: Duration,
    /// Bytes that earn one second; 0 if any byte earns all of it.
    least_rate: u64,
}

impl StallLimit {
    /// Starts with all of the time.
    pub(super) fn new(most: Duration, least_rate: u64) -> Self {
        Self { left: most, most, least_rate }
    }

    /// Returns the time that is left.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Deducts time spent waiting.
    pub(super) fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// Adds the time that reading `bytes` earns.
    pub(super) fn took(&mut self, bytes: usize) {
        if self.left < self.most {
            let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000).checked_div(self.least_rate);
            let earned = nanoseconds.map_or(self.most, Duration::from_nanos);
            self.left = self.left.saturating_add(earned).min(self.most);
        }
    }

    /// Restores all of the time, for the next response.
    pub(super) fn renew(&mut self) {
        self.left = self.most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_taken_earns_time_at_the_least_rate_and_never_more_than_all() {
        let mut stall = StallLimit::new(seconds(10), 1000);
        stall.waited(seconds(6));
        stall.took(2000);
        assert_eq!(stall.left(), seconds(6));
        stall.took(1_000_000);
        assert_eq!(stall.left(), seconds(10));
        stall.waited(seconds(11));
        assert_eq!(stall.left(), Duration::ZERO);
        stall.renew();
        assert_eq!(stall.left(), seconds(10));
    }

    #[test]
    fn without_a_least_rate_any_byte_earns_all_of_it() {
        let mut stall = StallLimit::new(seconds(10), 0);
        stall.waited(seconds(9));
        stall.took(1);
        assert_eq!(stall.left(), seconds(10));
    }
}
