//! Lists of what is wrong with a request.

use super::row::Violation;

/// So many violations are listed: a body of a million bad rows must not be answered with a hundred times its size.
pub const MAX_LISTED: usize = 100;

/// Everything that is wrong with a body: the first of it in full, the rest counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations<V = Violation> {
    /// The first ones, at most [`MAX_LISTED`].
    pub listed: Vec<V>,
    /// How many there are.
    pub total: usize,
}

impl<V> Default for Violations<V> {
    fn default() -> Self {
        Self { listed: Vec::new(), total: 0 }
    }
}

impl<V> Violations<V> {
    /// Counts one more, which is made only if it is listed.
    pub(super) fn add(&mut self, violation: impl FnOnce() -> V) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(violation());
        }
    }

    /// `value`, unless something is wrong.
    pub(super) fn into_result<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.total == 0 { Ok(value()) } else { Err(self) }
    }
}
