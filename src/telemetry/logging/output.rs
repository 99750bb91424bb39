//! The receiver of lines, and the lines that are lost there.

use std::io::{ErrorKind, Write};

/// A receiver of blocks of lines that may fail.
#[derive(Debug)]
pub(super) struct Output<W> {
    receiver: W,
    /// True if the last line is not complete.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    pub(super) fn new(receiver: W) -> Self {
        Self { receiver, is_torn: false }
    }

    /// Writes whole lines; returns how many were not written. If a line was torn by an error, the next begins on a line of
    /// its own.
    pub(super) fn write(&mut self, lines: &[u8]) -> usize {
        if self.is_torn && self.receiver.write_all(b"\n").is_err() {
            return count(lines);
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.receiver.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let written = &lines[..lines.len() - rest.len()];
        self.is_torn = written.last().is_some_and(|last| *last != b'\n');
        count(rest)
    }
}

fn count(lines: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', lines).count()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A disk that takes a number of bytes at a time, and is full after some.
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.room).min(3);
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let mut output = Output::new(Disk { written: Vec::new(), room: 8 });
        assert_eq!(output.write(b"one\ntwo2\nthree\n"), 2);
        assert_eq!(output.write(b"four\nfive\n"), 2);
        output.receiver.room = 100;
        assert_eq!(output.write(b"six\n"), 0);
        assert_eq!(output.write(b"seven\n"), 0);
        assert_eq!(output.receiver.written, b"one\ntwo2\nsix\nseven\n");
    }

    #[test]
    fn lines_that_end_where_the_room_does_are_whole() {
        let mut output = Output::new(Disk { written: Vec::new(), room: 4 });
        assert_eq!(output.write(b"one\ntwo\n"), 1);
        output.receiver.room = 100;
        assert_eq!(output.write(b"three\n"), 0);
        assert_eq!(output.receiver.written, b"one\nthree\n");
    }
}
