//! File descriptors for all the connections that the settings allow.

use super::connection_table::{FOR_THIS_HOST, PART_LEAVING};

/// Most connections of operators at a time; a new one replaces an idle one.
pub(super) const ADMIN_CONNECTIONS: usize = 64;

/// Most connections of a listener that wait for room, beyond which they are closed.
pub(super) const MAX_WAITING: usize = 32;

/// Descriptors for the log, listeners, pipes to candidates in proof, and model files.
const FOR_FILES: u64 = 96;

/// Descriptors of a thread: its event queue and its wake-up.
const PER_THREAD: u64 = 4;

/// Least number of connections with which the gateway starts.
const FEWEST_CONNECTIONS: u64 = 32;

/// The limit of descriptors, and the number needed besides clients' connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    limit: u64,
    reserved: u64,
}

/// The error of a process with too few descriptors to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process may have {limit} files open and needs at least {needed}, and {wanted} for \
     server.max_connections = {max_connections}: raise the hard limit (ulimit -Hn, LimitNOFILE= of a systemd unit, \
     --ulimit nofile= of a container)"
)]
pub struct TooFewDescriptors {
    limit: u64,
    needed: u64,
    wanted: u64,
    max_connections: usize,
}

impl Descriptors {
    /// Computes the descriptors of a process with this limit and this number of threads.
    ///
    /// Reserved are those of both tables and all three listeners, besides files.
    pub(super) fn new(limit: u64, threads: usize) -> Self {
        let beside = [2 * ADMIN_CONNECTIONS, 2 * FOR_THIS_HOST, 3 * MAX_WAITING];
        let beside = beside.into_iter().sum::<usize>() as u64;
        let reserved = FOR_FILES + PER_THREAD * (threads as u64 + 2) + beside;
        Self { limit, reserved }
    }

    /// Returns the number of connections that there are descriptors for, at most `wanted`.
    pub(super) fn connections(&self, wanted: usize) -> usize {
        let part = PART_LEAVING as u64;
        // Dismissed connections are still open while their replacements are.
        let there_are = (self.limit.saturating_sub(self.reserved) / (part + 1) * part).max(1);
        wanted.min(usize::try_from(there_are).unwrap_or(usize::MAX))
    }

    /// Warns if there are fewer than `max_connections`.
    ///
    /// # Errors
    ///
    /// If there are too few to serve at all.
    pub(super) fn check(&self, max_connections: usize) -> Result<(), TooFewDescriptors> {
        let leaving = max_connections.div_ceil(PART_LEAVING);
        let wanted = self.reserved.saturating_add(max_connections.saturating_add(leaving) as u64);
        let needed = self.reserved + FEWEST_CONNECTIONS.min(max_connections as u64);
        let Self { limit, .. } = *self;
        if limit < needed {
            return Err(TooFewDescriptors { limit, needed, wanted, max_connections });
        }
        let connections = self.connections(max_connections);
        if connections < max_connections {
            tracing::warn!(
                limit,
                needed = wanted,
                "the process may have too few files open for server.max_connections = {max_connections}: it holds \
                 {connections} connections at most; raise the hard limit (ulimit -Hn, LimitNOFILE= of a systemd unit, \
                 --ulimit nofile= of a container) or lower the setting"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_many_as_there_are_descriptors_for() {
        let plenty = Descriptors::new(1 << 20, 2);
        assert_eq!(plenty.connections(4096), 4096);
        assert!(plenty.check(4096).is_ok());
        let some = Descriptors::new(1024, 2);
        let connections = some.connections(4096);
        assert!((400..1024).contains(&connections), "{connections}");
        assert!(some.check(4096).is_ok(), "fewer are held, and it is said");
        let refused = Descriptors::new(40, 2).check(4096).unwrap_err().to_string();
        assert!(refused.contains("may have 40 files open") && refused.contains("LimitNOFILE"), "{refused}");
    }
}
