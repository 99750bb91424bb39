//! Counts of a histogram's buckets, and the quantiles of what was counted between two readings.

use prometheus::proto;

/// The buckets of a histogram: upper bound in seconds and number of values up to it, in ascending order. The last bound
/// is infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    /// Reads the buckets of a series.
    pub(super) fn of(series: &proto::Metric) -> Self {
        let histogram = series.get_histogram();
        let bounded = histogram.get_bucket().iter();
        let mut counts: Vec<_> =
            bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
        counts.push((f64::INFINITY, histogram.get_sample_count()));
        Self(counts)
    }

    /// Adds the values of another histogram with the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.1 += other.1);
        }
    }

    /// Returns the buckets of the values that were counted since `earlier`, an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |index: usize| earlier.0.get(index).map_or(0, |bucket| bucket.1);
        let counts = self.0.iter().enumerate();
        Self(counts.map(|(index, (bound, count))| (*bound, count.saturating_sub(before(index)))).collect())
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |last| last.1)
    }

    /// Estimates a quantile (0 to 1) in seconds, as Prometheus's `histogram_quantile` does: linearly within its bucket,
    /// and at most the last finite bound. `None` if there are no values.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a second are small")]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = quantile * total as f64;
        let position = self.0.iter().position(|(_, count)| *count as f64 >= rank && *count > 0)?;
        let (bound, count) = *self.0.get(position)?;
        let (lower, before) =
            position.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or((0.0, 0));
        if bound.is_infinite() || count == before {
            return Some(lower);
        }
        Some(lower + (bound - lower) * (rank - before as f64).max(0.0) / (count - before) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: [u64; 4]) -> Buckets {
        Buckets([0.1, 0.2, 0.4, f64::INFINITY].into_iter().zip(counts).collect())
    }

    #[test]
    fn quantiles_lie_within_their_buckets() {
        let close = |left: Option<f64>, right: f64| (left.unwrap() - right).abs() < 1e-9;
        let even = buckets([10, 20, 30, 30]);
        assert!(close(even.quantile(0.5), 0.15));
        assert!(close(even.quantile(1.0), 0.4));
        assert!(close(buckets([0, 0, 4, 4]).quantile(0.5), 0.3));
        assert!(close(buckets([0, 0, 0, 4]).quantile(0.5), 0.4), "beyond the last bound");
        assert!(close(buckets([0, 5, 5, 5]).quantile(0.0), 0.1));
        assert_eq!(buckets([0; 4]).quantile(0.5), None);
        assert_eq!(Buckets::default().quantile(0.5), None);
    }

    #[test]
    fn values_between_two_readings_are_counted_alone() {
        let (earlier, later) = (buckets([10, 20, 20, 20]), buckets([10, 21, 24, 25]));
        assert_eq!(later.since(&earlier), buckets([0, 1, 4, 5]));
        assert_eq!(later.since(&Buckets::default()), later);
        let mut both = Buckets::default();
        both.add(&earlier);
        both.add(&later);
        assert_eq!(both, buckets([20, 41, 44, 45]));
    }
}
