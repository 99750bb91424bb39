//! A model that runs again and again: the bound of every server. Prints one line of JSON.

mod work;

use std::{
    error::Error,
    fs,
    io::Write,
    path::PathBuf,
    process,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use benchmark::{processor_time::Snapshot, sessions, tally::Tally};
use clap::Parser;
use ort::session::Session;

use crate::work::{Schedule, Work, wait_until};

const FLOAT_BYTES: usize = size_of::<f32>();

/// Runs a model on rows. Each run counts as a request.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    model: PathBuf,
    /// Rows as little-endian floats, one after another, used in turn.
    #[arg(long)]
    rows: PathBuf,
    /// Floats in a row.
    #[arg(long)]
    columns: usize,
    /// Rows in a run.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Threads, each with a session of its own that runs on it.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Threads within each session.
    #[arg(long, default_value_t = 1)]
    intra_threads: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.5)]
    warmup_seconds: f64,
    /// Runs per second, of all threads together; latencies count from when a run is due.
    #[arg(long)]
    rate: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let rows = floats(&fs::read(&arguments.rows)?);
    let floats_in_a_run = arguments.batch * arguments.columns;
    if floats_in_a_run == 0 || rows.len() < floats_in_a_run {
        return Err("there are fewer rows than a run takes".into());
    }
    let environment = sessions::environment()?;
    let opened = sessions::open(&environment, &arguments.model, arguments.threads, arguments.intra_threads)?;

    let now = Instant::now();
    let begin = now + Duration::from_secs_f64(arguments.warmup_seconds);
    let work = Work {
        runs: rows.chunks_exact(floats_in_a_run).collect(),
        columns: arguments.columns,
        window: begin..begin + Duration::from_secs_f64(arguments.seconds),
        schedule: arguments.rate.map(|rate| Schedule::new(now, rate)),
        over: false.into(),
    };
    let (tally, own) = carry_out(&work, opened)?;
    let report = tally.report(work.window.end - work.window.start, None, own);
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?)
}

fn carry_out(work: &Work, sessions: Vec<Session>) -> Result<(Tally, Duration), Box<dyn Error>> {
    thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(|| work.carry_out(session).map_err(|error| error.to_string())))
            .collect();
        wait_until(work.window.start);
        let before = Snapshot::of_tree(process::id());
        wait_until(work.window.end);
        let own = Snapshot::of_tree(process::id()).since(&before);
        // Only now, as what a thread that is gone has used can no longer be read.
        work.over.store(true, Ordering::Relaxed);
        let mut all = Tally::new()?;
        for thread in threads {
            all.merge(&thread.join().map_err(|_| "a thread panicked")??)?;
        }
        Ok((all, own))
    })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (floats, _) = bytes.as_chunks::<FLOAT_BYTES>();
    floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
