//! Lines on their way to the thread that writes them.
//!
//! Access lines gather in a buffer of the thread that logs them, behind a lock that nearly always only this thread takes.
//! A full buffer goes into the queue as a block. The writing thread takes the queue and all buffers every
//! [`GATHER_TIME`], or sleeps while there are no lines. Other lines are fewer and go straight into the queue.

use std::{
    io::Write,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use super::{output::Output, timestamp::Timestamp};

/// Size in bytes at which a buffer is full.
const BLOCK_BYTES: usize = 32 * 1024;

/// Room in a block for the line that fills it, so that few blocks have to grow.
const LINE_BYTES: usize = 4 * 1024;

/// Most bytes in the queue, those being written included: many times what the fastest gateway logs in [`GATHER_TIME`].
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Room in the queue for lines that are not access lines, which must not be lost to those.
const OTHER_BYTES: usize = 1024 * 1024;

/// Bytes in the queue that are written at once.
const MANY_BYTES: usize = MOST_BYTES / 8;

/// Most empty blocks that are kept for later.
const SPARE_BLOCKS: usize = 16;

/// Time for which lines gather after a write.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// The lines of all threads that are not written yet. Never blocks for longer than it takes to move a block: lines beyond
/// the bounds are dropped and counted.
#[derive(Debug, Default)]
pub(super) struct LineQueue {
    buffers: Mutex<Vec<Arc<LineBuffer>>>,
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
    /// True if the writing thread has found no line, and has to be woken for the next.
    is_asleep: AtomicBool,
    is_ending: AtomicBool,
    writer: OnceLock<Thread>,
}

/// The access lines of a thread that are not in the queue yet.
#[derive(Debug, Default)]
pub(super) struct LineBuffer(Mutex<Lines>);

/// Whole lines, and the means to write the next.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    pub(super) timestamp: Timestamp,
}

/// Blocks of whole lines.
#[derive(Debug, Default)]
struct Waiting {
    blocks: Vec<Vec<u8>>,
    /// Bytes in the blocks, and in those that are being written.
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl LineQueue {
    /// Adds a buffer for a thread.
    pub(super) fn add_buffer(&self) -> Arc<LineBuffer> {
        let buffer = Arc::<LineBuffer>::default();
        lock(&self.buffers).push(Arc::clone(&buffer));
        buffer
    }

    /// Logs an access line into the buffer of this thread; drops it if buffer and queue are full.
    pub(super) fn log_access(&self, buffer: &LineBuffer, write: impl FnOnce(&mut Lines)) {
        let mut lines = lock(&buffer.0);
        if lines.bytes.len() >= BLOCK_BYTES && !self.hand_over(&mut lines.bytes) {
            drop(lines);
            self.count_dropped(1);
            return;
        }
        write(&mut lines);
        drop(lines);
        self.wake_if_asleep();
    }

    /// Logs another line, after the access lines of this thread; drops it if the queue is full.
    pub(super) fn log_other(&self, own: Option<&LineBuffer>, line: &[u8]) {
        if let Some(own) = own {
            // If the queue has no room, the order of lines is the lesser loss.
            self.hand_over(&mut lock(&own.0).bytes);
        }
        let mut waiting = lock(&self.waiting);
        if waiting.bytes + line.len() > MOST_BYTES + OTHER_BYTES {
            drop(waiting);
            self.count_dropped(1);
            return;
        }
        waiting.append(line);
        drop(waiting);
        // At once: if the process is about to die, this line may say why.
        self.wake();
    }

    /// Returns how many lines were dropped or could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Makes the writing thread write what was logged before, and end.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes lines until the end: the work of the writing thread.
    pub(super) fn write_lines(&self, receiver: impl Write) {
        let mut output = Output::new(receiver);
        self.writer.get_or_init(thread::current);
        loop {
            // Read first, so that every line from before the end is collected.
            let is_ending = self.is_ending.load(Ordering::Acquire);
            let blocks = self.collect();
            let found_lines = !blocks.is_empty();
            for block in blocks {
                self.count_dropped(output.write(&block));
                lock(&self.waiting).written(block);
            }
            if is_ending {
                return;
            }
            if found_lines {
                self.is_asleep.store(false, Ordering::Relaxed);
                thread::park_timeout(GATHER_TIME);
            } else if self.is_asleep.swap(true, Ordering::Relaxed) {
                // The mark was there before the last search. A line logged after it, under a lock that the search took
                // before, finds the mark and wakes this thread.
                thread::park();
            }
        }
    }

    /// Takes all lines. Those of each thread are in order.
    fn collect(&self) -> Vec<Vec<u8>> {
        lock(&self.buffers).retain(|buffer| {
            // Seen before its last lines are taken.
            let has_thread = Arc::strong_count(buffer) > 1;
            let mut lines = lock(&buffer.0);
            lock(&self.waiting).take(&mut lines.bytes);
            has_thread
        });
        mem::take(&mut lock(&self.waiting).blocks)
    }

    /// Moves lines into the queue. Returns true if it has room for them.
    fn hand_over(&self, lines: &mut Vec<u8>) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.bytes + lines.len() > MOST_BYTES {
            return false;
        }
        waiting.take(lines);
        let are_many = waiting.bytes >= MANY_BYTES;
        drop(waiting);
        if are_many {
            self.wake();
        }
        true
    }

    fn count_dropped(&self, lines: usize) {
        if lines > 0 {
            self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
        }
    }

    fn wake_if_asleep(&self) {
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

impl Waiting {
    /// Takes all lines from a buffer.
    fn take(&mut self, lines: &mut Vec<u8>) {
        if self.has_room_in_last(lines.len()) {
            self.append(lines);
            lines.clear();
        } else if !lines.is_empty() {
            self.bytes += lines.len();
            let empty = self.empty_block();
            self.blocks.push(mem::replace(lines, empty));
        }
    }

    /// Copies lines to the end.
    fn append(&mut self, lines: &[u8]) {
        if !self.has_room_in_last(lines.len()) {
            let empty = self.empty_block();
            self.blocks.push(empty);
        }
        if let Some(last) = self.blocks.last_mut() {
            last.extend_from_slice(lines);
            self.bytes += lines.len();
        }
    }

    fn has_room_in_last(&self, bytes: usize) -> bool {
        self.blocks.last().is_some_and(|last| last.len() + bytes <= BLOCK_BYTES)
    }

    fn empty_block(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES + LINE_BYTES))
    }

    /// Takes a block back that was written.
    fn written(&mut self, mut block: Vec<u8>) {
        self.bytes -= block.len();
        if self.spare.len() < SPARE_BLOCKS && block.capacity() <= 2 * BLOCK_BYTES {
            block.clear();
            self.spare.push(block);
        }
    }
}

/// Lines are whole even if a thread has panicked with the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
