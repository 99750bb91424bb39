//! File descriptors for all the connections that the settings permit.

use super::{
    listener::MAX_WAITING,
    roster::{FOR_THIS_HOST, PART_LEAVING},
};

/// Connections of operators at a time; an idle one gives way to the next.
pub(super) const ADMIN_CONNECTIONS: usize = 64;

/// The log, listeners, pipes to candidates that are proven, files of models that are read.
const FOR_FILES: u64 = 96;

/// A thread's queue of events and what wakes it.
const PER_THREAD: u64 = 4;

/// A gateway that can hold fewer connections is of no use.
const FEWEST_CONNECTIONS: u64 = 32;

/// The descriptors that a process may have open, and how many it needs beside its clients' connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    limit: u64,
    reserved: u64,
}

/// The process may have so few files open that it could not serve.
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
    /// The descriptors of a process with this limit whose requests are answered by `threads` threads.
    ///
    /// Reserved are those of both rosters and all three listeners, beside files.
    pub(super) fn new(limit: u64, threads: usize) -> Self {
        let beside = [2 * ADMIN_CONNECTIONS, 2 * FOR_THIS_HOST, 3 * MAX_WAITING];
        let beside = beside.into_iter().sum::<usize>() as u64;
        let reserved = FOR_FILES + PER_THREAD * (threads as u64 + 2) + beside;
        Self { limit, reserved }
    }

    /// The connections that there are descriptors for, at most `wanted`.
    pub(super) fn connections(&self, wanted: usize) -> usize {
        let part = PART_LEAVING as u64;
        // Those that are leaving are open beside those that took their places.
        let there_are = (self.limit.saturating_sub(self.reserved) / (part + 1) * part).max(1);
        wanted.min(usize::try_from(there_are).unwrap_or(usize::MAX))
    }

    /// Warns if there are fewer than `max_connections`.
    ///
    /// # Errors
    ///
    /// When there are too few to serve at all.
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
