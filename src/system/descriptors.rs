//! The limit of open file descriptors.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for a million connections. Some systems have no limit at all, and some software iterates over all
/// descriptors.
const ENOUGH: u64 = 1 << 21;

/// Raises the soft limit to the hard one, and returns the number of descriptors that the process may have.
///
/// # Errors
///
/// If the system refuses to raise the limit, which every process may do.
pub fn raise() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(ENOUGH), limit.maximum.unwrap_or(ENOUGH));
    let wanted = hard.min(ENOUGH);
    if soft >= wanted {
        return Ok(soft);
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, Some(raised));
        assert!(raised >= ENOUGH || limit.maximum == Some(raised));
    }
}
