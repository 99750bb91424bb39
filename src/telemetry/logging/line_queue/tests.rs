//! Bounds, order and the end of the queue, with writing threads that stop where a test wants it.

use std::{io, sync::mpsc, thread::ScopedJoinHandle};

use super::*;

/// A reader of lines that takes a write only when a test lets it.
struct Reader {
    may_write: mpsc::Receiver<()>,
    written: mpsc::Sender<Vec<u8>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A test that has dropped its side waits for nothing more.
        let _ = self.may_write.recv();
        self.written.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The side of the test.
struct Control {
    let_write: mpsc::Sender<()>,
    written: mpsc::Receiver<Vec<u8>>,
}

fn reader() -> (Reader, Control) {
    let ((let_write, may_write), (send, written)) = (mpsc::channel(), mpsc::channel());
    (Reader { may_write, written: send }, Control { let_write, written })
}

fn log(queue: &LineQueue, buffer: &LineBuffer, line: &str) {
    queue.log_access(buffer, |lines| lines.bytes.extend_from_slice(line.as_bytes()));
}

/// Ends the queue, lets everything be written and returns it.
fn ended(queue: &LineQueue, control: Control, writer: ScopedJoinHandle<'_, ()>) -> String {
    queue.end();
    drop(control.let_write);
    writer.join().unwrap();
    String::from_utf8(control.written.iter().flatten().collect()).unwrap()
}

#[test]
fn a_stalled_reader_costs_lines_beyond_the_bounds_and_nothing_else() {
    const LINE_BYTES: usize = 1000;
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.write_lines(reader));
        let buffer = queue.add_buffer();
        let logged: usize = 2 * MOST_BYTES / LINE_BYTES;
        for number in 0..logged {
            log(&queue, &buffer, &format!("{number:0>width$}\n", width = LINE_BYTES - 1));
        }
        let kept = (MOST_BYTES + BLOCK_BYTES + LINE_BYTES) / LINE_BYTES;
        let dropped = usize::try_from(queue.dropped()).unwrap();
        assert!(dropped >= logged - kept, "{dropped} dropped");
        queue.log_other(Some(&buffer), b"an error\n");
        assert_eq!(queue.dropped(), dropped as u64, "there is room for other lines");
        let written = ended(&queue, control, writer);
        let numbers: Vec<usize> = written.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(numbers.len(), logged - dropped);
        assert!(numbers.is_sorted() && written.contains("\nan error\n"));
        assert_eq!(lock(&queue.waiting).bytes, 0);
    });
}

#[test]
fn room_for_other_lines_is_bounded_too() {
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.write_lines(reader));
        let line = format!("{:0>999}\n", 0);
        let logged = 2 * MOST_BYTES / line.len();
        for _ in 0..logged {
            queue.log_other(None, line.as_bytes());
        }
        let dropped = usize::try_from(queue.dropped()).unwrap();
        let bound = (MOST_BYTES + OTHER_BYTES) / line.len();
        assert!(dropped >= logged - bound, "{dropped} dropped");
        assert_eq!(ended(&queue, control, writer).lines().count(), logged - dropped);
    });
}

#[test]
fn lines_of_an_idle_thread_are_written_without_another_line() {
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.write_lines(reader));
        let buffer = queue.add_buffer();
        // Some come while the writing thread sleeps, some while lines gather.
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            log(&queue, &buffer, line);
            control.let_write.send(()).unwrap();
            assert_eq!(control.written.recv_timeout(Duration::from_secs(20)).unwrap(), line.as_bytes());
        }
        assert_eq!(ended(&queue, control, writer), "");
    });
}

#[test]
fn lines_of_threads_that_have_ended_are_written() {
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| log(&queue, &queue.add_buffer(), "a line\n"))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let writer = scope.spawn(|| queue.write_lines(reader));
        assert_eq!(ended(&queue, control, writer), "a line\n".repeat(4));
        assert!(lock(&queue.buffers).is_empty(), "buffers end with their threads");
    });
}

#[test]
fn lines_of_each_thread_are_whole_and_in_order_and_none_is_lost() {
    const THREADS: usize = 4;
    const LINES: usize = 5000;
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.write_lines(reader));
        let log_all = |thread: usize| {
            let buffer = queue.add_buffer();
            for number in 0..LINES {
                let line = format!("{thread} {number} {}\n", "x".repeat(number % 100));
                if number % 7 == 0 {
                    queue.log_other(Some(&buffer), line.as_bytes());
                } else {
                    log(&queue, &buffer, &line);
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || log_all(thread))).collect();
        (0..100).for_each(|_| control.let_write.send(()).unwrap());
        for thread in threads {
            thread.join().unwrap();
        }
        let written = ended(&queue, control, writer);
        assert_eq!(queue.dropped(), 0);
        for thread in 0..THREADS {
            let own = written.lines().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
            let expected = (0..LINES).map(|number| format!("{number} {}", "x".repeat(number % 100)));
            assert!(own.eq(expected), "thread {thread}");
        }
        assert_eq!(written.lines().count(), THREADS * LINES);
    });
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (queue, (reader, control)) = (LineQueue::default(), reader());
    drop(control);
    let buffer = queue.add_buffer();
    (0..3).for_each(|_| log(&queue, &buffer, "a line\n"));
    queue.end();
    queue.write_lines(reader);
    assert_eq!(queue.dropped(), 3);
}
