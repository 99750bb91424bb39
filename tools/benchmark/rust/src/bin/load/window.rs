//! When what is measured begins and ends, and who used CPUs meanwhile.

use std::{
    process,
    time::{Duration, Instant},
};

use benchmark::{
    processor_time::Snapshot,
    tally::{Report, Tally},
};

/// The time between the warm-up and the end.
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
    server: Option<u32>,
    at_begin: Option<Snapshots>,
}

struct Snapshots {
    at: Instant,
    server: Option<Snapshot>,
    own: Snapshot,
}

impl Window {
    pub fn after(warmup: Duration, measured: Duration, server: Option<u32>) -> Self {
        let begin = Instant::now() + warmup;
        Self { begin, end: begin + measured, server, at_begin: None }
    }

    /// Begins the measurement if it is time; what was counted before is forgotten.
    pub fn turn(&mut self, now: Instant, tally: &mut Tally) {
        if self.at_begin.is_none() && now >= self.begin {
            tally.clear();
            self.at_begin = Some(self.snapshots());
        }
    }

    /// The figures from the beginning until now.
    pub fn report(&self, tally: &Tally) -> Option<Report> {
        let begin = self.at_begin.as_ref()?;
        let end = self.snapshots();
        let server = end.server.as_ref().zip(begin.server.as_ref()).map(|(end, begin)| end.since(begin));
        Some(tally.report(end.at - begin.at, server, end.own.since(&begin.own)))
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots {
            server: self.server.map(Snapshot::of_tree),
            own: Snapshot::of_tree(process::id()),
            at: Instant::now(),
        }
    }
}
