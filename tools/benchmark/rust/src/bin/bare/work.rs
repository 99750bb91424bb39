//! The work of each thread.

use std::{
    error::Error,
    num::NonZeroU64,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use benchmark::{sessions, tally::Tally};
use ort::session::Session;
use rustix::thread::{ClockId, NanosleepRelativeResult, clock_nanosleep_relative, set_current_timer_slack};
use rustix::time::Timespec;

pub struct Work<'a> {
    /// The rows of each run.
    pub runs: Vec<&'a [f32]>,
    pub columns: usize,
    /// Runs that begin, or are due, in it count.
    pub window: Range<Instant>,
    /// Without one, a run begins when the one before it has ended.
    pub schedule: Option<Schedule>,
    pub over: AtomicBool,
}

/// When runs are due, whichever thread makes them.
pub struct Schedule {
    begin: Instant,
    interval: Duration,
    taken: AtomicU32,
}

impl Schedule {
    pub fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, interval: Duration::from_secs_f64(1.0 / rate), taken: 0.into() }
    }

    fn next(&self) -> Instant {
        self.begin + self.interval * self.taken.fetch_add(1, Ordering::Relaxed)
    }
}

impl Work<'_> {
    pub fn carry_out(&self, mut session: Session) -> Result<Tally, Box<dyn Error>> {
        // Otherwise the kernel wakes a thread up to 50 µs late.
        set_current_timer_slack(NonZeroU64::new(1))?;
        let mut tally = Tally::new()?;
        for rows in self.runs.iter().cycle() {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let since = self.schedule.as_ref().map_or_else(Instant::now, Schedule::next);
            wait_until(since);
            sessions::run(&mut session, rows, self.columns)?;
            if self.window.contains(&since) {
                tally.answered(since.elapsed());
            }
        }
        Ok(tally)
    }
}

pub fn wait_until(moment: Instant) {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        let Ok(time) = Timespec::try_from(left) else { return };
        if left.is_zero() {
            return;
        }
        // A signal ends a wait early.
        if let NanosleepRelativeResult::Err(_) = clock_nanosleep_relative(ClockId::Monotonic, &time) {
            return;
        }
    }
}
