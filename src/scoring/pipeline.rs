//! The course of a scoring: one thread reads, several score, and this one writes in the order of the input.

mod rows;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use self::rows::{RowReader, Rows};
use super::{
    Job, Target,
    block::{Block, Parsed, Rejected, Scored},
    column::Column,
    encode::Checker,
    error::ScoringError,
    gateway::Gateway,
    local::LocalShared,
    output_file::RejectedFile,
    row_error::RejectedRow,
    scorer::Scorer,
    writer::{Formatted, Layout, Writer},
};
use crate::runtime::STACK_BYTES;

/// Blocks in memory for each worker: one that waits, one that is scored and one that waits for those before it.
const BLOCKS_PER_WORKER: usize = 3;

/// Time after which a signal is looked for again.
const TICK: Duration = Duration::from_millis(100);

/// The state of a scoring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that were scored.
    pub rows: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// The part of the input that is done, in bytes or rows.
    pub done: u64,
    /// The whole input; `None` if its size is unknown.
    pub total: Option<u64>,
}

/// The end of a scoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were scored.
    pub rows: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Columns of the input that are lists or structures, which do not pass through.
    pub nested: Vec<String>,
}

/// State that all workers share.
struct Context {
    rows: Rows,
    /// `None` if the gateway checks the rows.
    local: Option<Arc<LocalShared>>,
}

/// A block whose rows were scored.
struct ScoredBlock {
    index: u64,
    kept: Vec<Column>,
    outputs: Vec<Column>,
    rejected: Vec<u8>,
    counts: (usize, usize),
    done: u64,
}

/// A block that can be written.
struct Finished {
    rows: Formatted,
    rejected: Vec<u8>,
    counts: (usize, usize),
    done: u64,
}

enum Message {
    Finished(u64, Box<Finished>),
    Failed(ScoringError),
}

/// Scores a file. `progress` is told of each block that was written.
///
/// Blocks until all is written, or the scoring fails or is interrupted.
///
/// # Errors
///
/// If the input cannot be read, does not fit the model, or an output cannot be written. Faults of single rows are none:
/// they are counted, and go to the file of rejected rows.
pub fn score(
    job: &Job,
    target: Target,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ScoringError> {
    let columns = match &target {
        Target::Local(model) => model.columns(),
        Target::Gateway(gateway) => gateway.columns(),
    };
    let columns = columns.renamed(&job.selection).map_err(|faults| ScoringError::Columns { faults })?;
    let outputs = match &target {
        Target::Local(model) => model.shared.plan.paths(),
        Target::Gateway(_) => Vec::new(),
    };
    let (mut reader, rows) = RowReader::open(job, &columns, &outputs)?;
    let mut summary = Summary { rows: 0, rejected: 0, nested: reader.nested(&job.selection) };
    let (local, gateway, mut scorers) = scorers(target, threads)?;
    let context = Arc::new(Context { rows, local });
    let mut run = Run {
        job,
        rejected: RejectedFile::new(job.rejected.clone()),
        total: reader.total(),
        summary: &mut summary,
        progress,
    };

    // The first response of a gateway shows the columns of its predictions.
    let mut first = None;
    if let (Some(gateway), Some(scorer)) = (&gateway, scorers.first_mut()) {
        while !gateway.is_planned()
            && let Some(block) = reader.next()?
        {
            let scored = context.score(scorer, &block)?;
            run.check_signal()?;
            if gateway.is_planned() {
                first = Some(scored);
            } else {
                run.reject(&scored.rejected, scored.counts, scored.done)?;
            }
        }
    }
    let (paths, empty) = match (&gateway, &context.local) {
        (Some(gateway), _) => gateway.outputs(),
        (None, Some(local)) => (local.plan.paths(), local.plan.empty()),
        (None, None) => (Vec::new(), Vec::new()),
    };
    let kept = context.rows.kept_names();
    let layout = Arc::new(Layout::new(job.output.format, job.csv.delimiter, kept, paths, &job.selection)?);
    let all: Vec<Column> = context.rows.kept_columns(job.output.format).into_iter().chain(empty).collect();
    let mut writer = Writer::create(&job.output, &layout, &all)?;
    if let Some(block) = first {
        let finished = block.finished(&layout);
        run.write(&mut writer, &finished.1)?;
    }
    let next = reader.index();
    let pipeline = Pipeline::start(reader, scorers, &context, &layout)?;
    run.write_all(&pipeline, &mut writer, next)?;
    writer.finish()?;
    run.rejected.keep()?;
    Ok(summary)
}

/// Gives each worker its session or connection.
#[expect(clippy::type_complexity, reason = "the parts of one target")]
fn scorers(
    target: Target,
    threads: usize,
) -> Result<(Option<Arc<LocalShared>>, Option<Gateway>, Vec<Scorer>), ScoringError> {
    match target {
        Target::Local(model) => {
            let shared = model.shared;
            let scorer =
                |instance| super::local::LocalScorer::new(Arc::clone(&shared), instance).map(Scorer::Local);
            let scorers = model.instances.into_iter().map(scorer).collect::<Result<_, _>>()?;
            Ok((Some(shared), None, scorers))
        }
        Target::Gateway(gateway) => {
            let scorers = (0..threads.max(1))
                .map(|_| gateway.scorer().map(Scorer::Gateway))
                .collect::<Result<_, _>>()?;
            Ok((None, Some(gateway), scorers))
        }
    }
}

impl Context {
    /// Reads, checks and scores the rows of a block.
    fn score(&self, scorer: &mut Scorer, block: &Block) -> Result<ScoredBlock, ScoringError> {
        let model = self.local.as_ref().map_or(Checker::Gateway, |local| Checker::Local(&local.rows));
        let Parsed { places, encoded, mut kept } = self.rows.parse(block, model);
        let (rows, valid) = (encoded.rows, encoded.valid());
        let Scored { outputs, failed } = scorer.score(encoded.inputs, valid, self.rows.names())?;
        let mut rejected: Rejected = encoded.rejected;
        if !(rejected.is_empty() && failed.is_empty()) {
            let mut is_kept = vec![true; rows];
            mark(&mut is_kept, &rejected);
            if !failed.is_empty() {
                let places: Vec<usize> = (0..rows).filter(|row| is_kept.get(*row) == Some(&true)).collect();
                let failed = failed.into_iter().filter_map(|(row, errors)| Some((*places.get(row)?, errors)));
                rejected.extend(failed);
                rejected.sort_by_key(|(row, _)| *row);
                mark(&mut is_kept, &rejected);
            }
            for column in &mut kept {
                column.retain(&is_kept);
            }
        }
        let counts = (rows - rejected.len(), rejected.len());
        let rejected = self.rejected_lines(block, &places, &rejected);
        Ok(ScoredBlock { index: block.index, kept, outputs, rejected, counts, done: block.done })
    }

    /// Writes the rejected rows of a block as lines.
    fn rejected_lines(&self, block: &Block, places: &[(usize, usize)], rejected: &Rejected) -> Vec<u8> {
        let mut lines = Vec::new();
        for (row, errors) in rejected {
            let (line, input) = self.rows.shown(block, *row, places.get(*row).copied());
            let row = block.first_row + u64::try_from(*row).unwrap_or_default();
            RejectedRow { row, line, errors, input: &input }.write(&mut lines);
        }
        lines
    }
}

fn mark(is_kept: &mut [bool], rejected: &Rejected) {
    for (row, _) in rejected {
        if let Some(mark) = is_kept.get_mut(*row) {
            *mark = false;
        }
    }
}

impl ScoredBlock {
    fn finished(self, layout: &Layout) -> (u64, Box<Finished>) {
        let Self { index, kept, outputs, rejected, counts, done } = self;
        // A gateway has no columns for a block without predictions.
        let rows = layout.format(kept, outputs);
        (index, Box::new(Finished { rows, rejected, counts, done }))
    }
}

/// The threads of a scoring. They end by themselves when this is dropped.
struct Pipeline {
    messages: Receiver<Message>,
    /// A place is taken for each block that is read, and given back when it is written.
    places: Receiver<()>,
}

impl Pipeline {
    fn start(
        reader: RowReader,
        scorers: Vec<Scorer>,
        context: &Arc<Context>,
        layout: &Arc<Layout>,
    ) -> Result<Self, ScoringError> {
        let count = scorers.len().max(1) * BLOCKS_PER_WORKER;
        let (place, places) = sync_channel(count);
        let (send, messages) = sync_channel(count);
        let (work, blocks) = sync_channel(count);
        let blocks = Arc::new(Mutex::new(blocks));
        let read = send.clone();
        spawn("score-read", &send, move || read_all(reader, &place, &work, &read))?;
        for scorer in scorers {
            let (blocks, send, context, layout) =
                (Arc::clone(&blocks), send.clone(), Arc::clone(context), Arc::clone(layout));
            let panicked = send.clone();
            spawn("score", &panicked, move || score_all(scorer, &blocks, &send, &context, &layout))?;
        }
        Ok(Self { messages, places })
    }
}

/// Starts a thread; if it panics, the scoring fails.
fn spawn(
    name: &str,
    messages: &SyncSender<Message>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), ScoringError> {
    let messages = messages.clone();
    let work = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            // If no one listens, the scoring has ended.
            let _ = messages.send(Message::Failed(ScoringError::Panicked));
        }
    };
    let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    let started = builder.spawn(work).map(drop);
    started.map_err(|error| ScoringError::Model(format!("a thread cannot be started: {error}")))
}

fn read_all(
    mut reader: RowReader,
    places: &SyncSender<()>,
    work: &SyncSender<Block>,
    messages: &SyncSender<Message>,
) {
    loop {
        if places.send(()).is_err() {
            return;
        }
        match reader.next() {
            Ok(Some(block)) => {
                if work.send(block).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return drop(messages.send(Message::Failed(error))),
        }
    }
}

fn score_all(
    mut scorer: Scorer,
    blocks: &Mutex<Receiver<Block>>,
    messages: &SyncSender<Message>,
    context: &Context,
    layout: &Layout,
) {
    loop {
        let block = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = block else { return };
        let message = match context.score(&mut scorer, &block) {
            Ok(scored) => {
                let (index, finished) = scored.finished(layout);
                Message::Finished(index, finished)
            }
            Err(error) => Message::Failed(error),
        };
        if messages.send(message).is_err() {
            return;
        }
    }
}

/// The writing side of a scoring.
struct Run<'r> {
    job: &'r Job,
    rejected: RejectedFile,
    total: Option<u64>,
    summary: &'r mut Summary,
    progress: &'r mut dyn FnMut(Progress),
}

impl Run<'_> {
    /// Writes the blocks of all workers in the order of the input, from the block `next`.
    fn write_all(
        &mut self,
        pipeline: &Pipeline,
        writer: &mut Writer,
        mut next: u64,
    ) -> Result<(), ScoringError> {
        let mut waiting: BTreeMap<u64, Box<Finished>> = BTreeMap::new();
        loop {
            use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
            match pipeline.messages.recv_timeout(TICK) {
                Ok(Message::Finished(index, block)) => drop(waiting.insert(index, block)),
                Ok(Message::Failed(error)) => return Err(error),
                Err(Timeout) => {}
                Err(Disconnected) if waiting.is_empty() => return Ok(()),
                Err(Disconnected) => return Err(ScoringError::Panicked),
            }
            self.check_signal()?;
            while let Some(block) = waiting.remove(&next) {
                self.write(writer, &block)?;
                next += 1;
                // Only the reader is told, and it may have ended.
                let _ = pipeline.places.try_recv();
            }
        }
    }

    fn write(&mut self, writer: &mut Writer, block: &Finished) -> Result<(), ScoringError> {
        if block.counts.0 > 0 {
            writer.write(&block.rows)?;
        }
        self.reject(&block.rejected, block.counts, block.done)
    }

    fn reject(
        &mut self,
        lines: &[u8],
        (rows, rejected): (usize, usize),
        done: u64,
    ) -> Result<(), ScoringError> {
        self.rejected.write(lines)?;
        self.summary.rows += u64::try_from(rows).unwrap_or_default();
        self.summary.rejected += u64::try_from(rejected).unwrap_or_default();
        let Summary { rows, rejected, .. } = *self.summary;
        (self.progress)(Progress { rows, rejected, done, total: self.total });
        Ok(())
    }

    fn check_signal(&self) -> Result<(), ScoringError> {
        if self.job.interrupted.load(Ordering::Relaxed) { Err(ScoringError::Interrupted) } else { Ok(()) }
    }
}
