//! The loop that sends requests when they are due and takes answers when they are there.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use benchmark::tally::{Report, Tally};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::{connection::Connection, plan::Plan, window::Window};

/// A server that fails so often is not worth more time.
const MOST_FAILURES: u64 = 10_000;
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// Time after the end that requests at a rate are waited for.
const GRACE: Duration = Duration::from_secs(5);

struct Loop<'a> {
    plan: &'a Plan,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    next: usize,
    arrivals: Option<Arrivals>,
    tally: Tally,
    window: Window,
}

/// Requests at a rate: each is due at its time, whatever became of those before.
struct Arrivals {
    begin: Instant,
    interval: Duration,
    sent: u32,
    /// Wakes the loop when the next one is due.
    alarm: OwnedFd,
    alarm_is_set: bool,
}

impl Arrivals {
    fn due(&self) -> Instant {
        self.begin + self.interval * self.sent
    }

    /// Has the loop woken when the next one is due.
    fn set_alarm(&mut self, now: Instant) -> io::Result<()> {
        // Nothing would switch the alarm off.
        let left = (self.due() - now).max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: left.try_into().map_err(io::Error::other)?,
        };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &once)?;
        self.alarm_is_set = true;
        Ok(())
    }
}

/// Carries the plan out.
pub fn run(plan: &Plan) -> Result<Report, Box<dyn std::error::Error>> {
    let poll = Poll::new()?;
    let connections = (0..plan.connections)
        .map(|index| Connection::open(plan.address, plan.tls.as_ref(), poll.registry(), Token(index)))
        .collect::<io::Result<Vec<_>>>()?;
    let mut state = Loop {
        plan,
        poll,
        idle: (0..connections.len()).rev().collect(),
        connections,
        next: 0,
        arrivals: None,
        tally: Tally::new()?,
        window: Window::after(plan.warmup, plan.measured, plan.process),
    };
    if let Some(rate) = plan.rate {
        state.at_rate(rate)?;
    } else {
        state.as_fast_as_answers_come()?;
    }
    state.window.report(&state.tally).ok_or_else(|| "the end came before the beginning".into())
}

impl Loop<'_> {
    fn as_fast_as_answers_come(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(self.connections.len());
        while Instant::now() < self.window.end {
            self.send_due(Instant::now())?;
            self.turn(&mut events)?;
        }
        Ok(())
    }

    fn at_rate(&mut self, rate: f64) -> io::Result<()> {
        let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        // The number of no connection. Setting the alarm again makes the next event, so it is never read.
        let token = Token(self.connections.len());
        self.poll.registry().register(&mut SourceFd(&alarm.as_raw_fd()), token, Interest::READABLE)?;
        let interval = Duration::from_secs_f64(1.0 / rate);
        self.arrivals =
            Some(Arrivals { begin: Instant::now(), interval, sent: 0, alarm, alarm_is_set: false });
        let mut events = Events::with_capacity(self.connections.len() + 1);
        let latest = self.window.end + GRACE;
        while !self.all_answered() && Instant::now() < latest {
            self.send_due(Instant::now())?;
            self.turn(&mut events)?;
        }
        // What was due is late, not forgotten.
        let due =
            |arrivals: &Arrivals| (self.window.end - arrivals.due()).div_duration_f64(arrivals.interval);
        let unsent = self.arrivals.as_ref().map_or(0.0, due);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number, never below 0"
        )]
        self.tally.failed(unsent as u64 + (self.connections.len() - self.idle.len()) as u64);
        Ok(())
    }

    fn all_answered(&self) -> bool {
        let over = self.arrivals.as_ref().is_some_and(|arrivals| arrivals.due() >= self.window.end);
        over && self.idle.len() == self.connections.len()
    }

    /// Waits for events, and takes what answers there are.
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(LONGEST_WAIT)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        self.window.turn(Instant::now(), &mut self.tally);
        for event in events.iter() {
            let Token(index) = event.token();
            if index < self.connections.len() {
                self.advance(index, event.is_readable(), event.is_writable())?;
                // At once: the server should not wait for the answers of other connections to be taken.
                self.send_due(Instant::now())?;
            } else if let Some(arrivals) = &mut self.arrivals {
                arrivals.alarm_is_set = false;
            }
        }
        if self.tally.failures() > MOST_FAILURES {
            return Err(io::Error::other(format!("{MOST_FAILURES} requests failed")));
        }
        Ok(())
    }

    fn advance(&mut self, index: usize, readable: bool, writable: bool) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let Some((number, since)) = connection.waiting else { return Ok(()) };
        let sent = if writable { connection.send(&self.plan.requests[number]) } else { Ok(()) };
        let outcome = sent.and_then(|()| if readable { connection.receive() } else { Ok(None) });
        match outcome {
            Ok(None) => return Ok(()),
            Ok(Some(answer)) if answer.ok => {
                connection.waiting = None;
                // At a rate, only what was due in the window counts; all of that, however late it is.
                if self.arrivals.is_none() || (self.window.begin..self.window.end).contains(&since) {
                    self.tally.answered(since.elapsed());
                }
            }
            Ok(Some(_)) => {
                connection.waiting = None;
                self.tally.failed(1);
            }
            Err(_) => {
                self.tally.failed(1);
                let Plan { address, tls, .. } = self.plan;
                *connection = Connection::open(*address, tls.as_ref(), self.poll.registry(), Token(index))?;
            }
        }
        self.idle.push(index);
        Ok(())
    }

    /// Sends what is due, as long as there are connections without a request.
    fn send_due(&mut self, now: Instant) -> io::Result<()> {
        while let Some(&index) = self.idle.last() {
            let since = match &mut self.arrivals {
                None => now,
                Some(arrivals) => {
                    let due = arrivals.due();
                    if due >= self.window.end {
                        return Ok(());
                    }
                    if due > now {
                        return if arrivals.alarm_is_set { Ok(()) } else { arrivals.set_alarm(now) };
                    }
                    arrivals.sent += 1;
                    due
                }
            };
            self.idle.pop();
            let number = self.next;
            self.next = (self.next + 1) % self.plan.requests.len();
            if self.connections[index].begin(number, &self.plan.requests[number], since).is_err() {
                self.tally.failed(1);
                let Plan { address, tls, .. } = self.plan;
                self.connections[index] =
                    Connection::open(*address, tls.as_ref(), self.poll.registry(), Token(index))?;
                self.idle.push(index);
                if self.tally.failures() > MOST_FAILURES {
                    return Err(io::Error::other(format!("{MOST_FAILURES} requests failed")));
                }
            }
        }
        Ok(())
    }
}
