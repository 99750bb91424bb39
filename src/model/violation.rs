//! Lists of faults in a request.

use super::row::Violation;

/// The most violations in a response: a body of a million bad rows must not cause a response a hundred times its size.
pub const MAX_LISTED: usize = 100;

/// All faults of a body: the first of them in full, the rest counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations<V = Violation> {
    /// The first ones, at most [`MAX_LISTED`].
    pub listed: Vec<V>,
    /// The number of all violations.
    pub total: usize,
}

impl<V> Default for Violations<V> {
    fn default() -> Self {
        Self { listed: Vec::new(), total: 0 }
    }
}

impl<V> Violations<V> {
    /// Counts a violation; it is built only if it is listed.
    pub(super) fn add(&mut self, violation: impl FnOnce() -> V) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(violation());
        }
    }

    /// Returns `value` unless there are violations.
    pub(super) fn into_result<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.total == 0 { Ok(value()) } else { Err(self) }
    }
}
