//! File descriptors: how many this process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for a million connections; some systems have no limit at all, which other software takes for a list to walk.
const ENOUGH: u64 = 1 << 21;

/// The number of descriptors that the process may have, once its soft limit is raised to the hard one.
///
/// # Errors
///
/// When the system refuses to raise the limit, which it permits every process.
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
