//! Times of fetches: refresh, retry after a failure, and the look-up of an unknown key.

use std::time::Duration;

/// Time limit of one fetch, with discovery.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Least time between two fetches that tokens with an unknown key cause.
pub(super) const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);

/// Longest time for which a request waits for a fetch.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Time until the next refresh if the issuer does not say, and the bounds if it does. A key that is withdrawn is
/// accepted until the next refresh.
const USUAL_REFRESH: Duration = Duration::from_mins(10);
const SHORTEST_REFRESH: Duration = Duration::from_mins(1);
const LONGEST_REFRESH: Duration = Duration::from_hours(1);

/// First and longest pause after failures: short while there are no keys at all.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const FIRST_RETRY_WITH_KEYS: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_mins(1);
const LONGEST_RETRY_WITH_KEYS: Duration = Duration::from_mins(5);

/// Returns the time until keys are fetched again that are valid for this long.
pub(super) fn refresh_after(max_age: Option<Duration>) -> Duration {
    max_age.map_or(USUAL_REFRESH, |age| age.clamp(SHORTEST_REFRESH, LONGEST_REFRESH))
}

/// Returns the time until the next attempt after this number of failures in a row, of which there is at least one.
pub(super) fn retry_after(failures: u32, has_keys: bool) -> Duration {
    let (first, longest) = if has_keys {
        (FIRST_RETRY_WITH_KEYS, LONGEST_RETRY_WITH_KEYS)
    } else {
        (FIRST_RETRY, LONGEST_RETRY)
    };
    let doublings = failures.saturating_sub(1).min(16);
    (first * 2_u32.pow(doublings)).min(longest)
}

/// Returns a time between 100 and 120 % of this one, so that replicas do not fetch at once. `random` is from 0 to 1.
pub(super) fn with_jitter(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(1.0 + 0.2 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_follows_the_issuer_within_bounds() {
        let after = |seconds: Option<u64>| refresh_after(seconds.map(Duration::from_secs)).as_secs();
        assert_eq!([None, Some(0), Some(300), Some(86_400)].map(after), [600, 60, 300, 3600]);
    }

    #[test]
    fn retries_slow_down() {
        let pauses =
            |has_keys| [1, 2, 3, 4, 7, 1000].map(|failures| retry_after(failures, has_keys).as_secs());
        assert_eq!(pauses(false), [1, 2, 4, 8, 60, 60]);
        assert_eq!(pauses(true), [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn jitter_only_lengthens() {
        let pause = |random| with_jitter(Duration::from_secs(100), random).as_secs();
        assert_eq!([0.0, 0.5, 1.0, 7.0].map(pause), [100, 110, 120, 120]);
    }
}
