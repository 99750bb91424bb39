//! Reader of text in blocks of whole records.

use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter};

use super::{
    BLOCK_ROWS,
    block::{Block, Content},
    delimited::{leaves_open, record_end},
    error::ScoringError,
};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// A block of more bytes is handed on with fewer rows.
const BLOCK_BYTES: usize = 4 << 20;

/// The longest record. A longer one is most likely a quote that is not closed.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// The form of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// Lines.
    Lines,
    /// CSV with this delimiter: a quoted field may hold line feeds.
    Csv(u8),
}

/// A reader of text.
pub(super) struct TextReader {
    input: Box<dyn Read + Send>,
    /// The input, as it was named.
    file: String,
    records: Records,
    /// True if an empty record is a row, as it may be in CSV of one column.
    pub(super) empty_is_row: bool,
    buffer: Vec<u8>,
    /// The begin of what was not handed on.
    begin: usize,
    is_at_end: bool,
    index: u64,
    row: u64,
    line: u64,
    read: u64,
}

impl TextReader {
    /// Creates a reader; a byte order mark is skipped.
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        file: String,
        records: Records,
    ) -> Result<Self, ScoringError> {
        let mut reader = Self {
            input,
            file,
            records,
            empty_is_row: false,
            buffer: Vec::new(),
            begin: 0,
            is_at_end: false,
            index: 0,
            row: 1,
            line: 1,
            read: 0,
        };
        reader.fill()?;
        if reader.buffer.starts_with(b"\xef\xbb\xbf") {
            reader.begin = 3;
        }
        Ok(reader)
    }

    /// Takes the first record that is not empty; `None` if there is none.
    pub(super) fn header(&mut self) -> Result<Option<Vec<u8>>, ScoringError> {
        loop {
            let Some(end) = self.end_of_record(self.begin)? else { return Ok(None) };
            let record = self.buffer.get(self.begin..end).unwrap_or_default();
            self.line += lines(record);
            self.begin = end;
            let record = trimmed(record);
            if !record.is_empty() {
                return Ok(Some(record.to_vec()));
            }
        }
    }

    /// Returns the next block; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Block>, ScoringError> {
        let (mut size, mut rows) = (0, 0);
        while rows < BLOCK_ROWS && size < BLOCK_BYTES {
            // The buffer may move while it is filled.
            let Some(end) = self.end_of_record(self.begin + size)? else { break };
            let record = self.buffer.get(self.begin + size..end).unwrap_or_default();
            rows += usize::from(self.empty_is_row || !trimmed(record).is_empty());
            size = end - self.begin;
        }
        if size == 0 {
            return Ok(None);
        }
        let text = self.buffer.get(self.begin..self.begin + size).unwrap_or_default().to_vec();
        self.begin += size;
        self.read += u64::try_from(size).unwrap_or_default();
        let block = Block {
            index: self.index,
            first_row: self.row,
            first_line: self.line,
            rows,
            done: self.read,
            content: Content::Text(text),
        };
        self.index += 1;
        self.row += u64::try_from(rows).unwrap_or_default();
        if let Content::Text(text) = &block.content {
            self.line += lines(text);
        }
        Ok(Some(block))
    }

    /// Returns the end of the record at `begin`, its line feed included; `None` at the end of the input.
    fn end_of_record(&mut self, mut begin: usize) -> Result<Option<usize>, ScoringError> {
        loop {
            let end = match self.records {
                Records::Lines => {
                    memchr(b'\n', self.buffer.get(begin..).unwrap_or_default()).map(|end| begin + end)
                }
                Records::Csv(delimiter) => record_end(&self.buffer, begin, delimiter),
            };
            if let Some(end) = end {
                return Ok(Some(end + 1));
            }
            let rest = self.buffer.len() - begin;
            if self.is_at_end {
                self.check_end(begin)?;
                return Ok((rest > 0).then_some(self.buffer.len()));
            }
            if rest > MAX_RECORD_BYTES {
                let limit = MAX_RECORD_BYTES >> 20;
                return Err(
                    self.wrong(begin, &format!("a record of more than {limit} MiB: is a quote not closed?"))
                );
            }
            let before = self.begin;
            self.fill()?;
            begin -= before - self.begin;
        }
    }

    /// Refuses an end within a quoted field.
    fn check_end(&self, begin: usize) -> Result<(), ScoringError> {
        match self.records {
            Records::Csv(delimiter)
                if leaves_open(self.buffer.get(begin..).unwrap_or_default(), delimiter) =>
            {
                Err(self.wrong(begin, "a quote is not closed: write each `\"` within a quoted field twice"))
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, begin: usize, problem: &str) -> ScoringError {
        let line = self.line + lines(self.buffer.get(self.begin..begin).unwrap_or_default());
        ScoringError::input(&self.file, format!("line {line}: {problem}"))
    }

    /// Reads more, after what was handed on is dropped.
    fn fill(&mut self) -> Result<(), ScoringError> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let filled = self.buffer.len();
        // A long record is looked at again after each part, so parts grow with it.
        self.buffer.resize(filled + READ_BYTES.max(filled), 0);
        let mut read = filled;
        while read < self.buffer.len() {
            match self.input.read(self.buffer.get_mut(read..).unwrap_or_default()) {
                Ok(0) => {
                    self.is_at_end = true;
                    break;
                }
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(ScoringError::input(&self.file, format!("it cannot be read: {error}")));
                }
            }
        }
        self.buffer.truncate(read);
        Ok(())
    }
}

/// Counts the line feeds.
pub(super) fn lines(text: &[u8]) -> u64 {
    u64::try_from(memchr_iter(b'\n', text).count()).unwrap_or_default()
}

/// Returns a record without the end of its line.
pub(super) fn trimmed(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(text: &str, records: Records) -> TextReader {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        TextReader::new(input, "rows".to_owned(), records).unwrap()
    }

    fn text(block: &Block) -> &[u8] {
        let Content::Text(text) = &block.content else { panic!("{block:?}") };
        text
    }

    #[test]
    fn blocks_hold_whole_records_and_know_their_rows_and_lines() {
        let record = "1,\"two\nlines\"\n";
        let text_of_rows = format!("\u{feff}a,b\n\n{}", record.repeat(30_000));
        let mut reader = reader(&text_of_rows, Records::Csv(b','));
        assert_eq!(reader.header().unwrap().unwrap(), b"a,b");
        let (mut rows, mut bytes) = (0, 0);
        while let Some(block) = reader.next().unwrap() {
            assert_eq!(block.first_row, rows + 1);
            assert_eq!(block.first_line, if rows == 0 { 2 } else { 3 + 2 * rows });
            assert!(block.rows <= BLOCK_ROWS);
            rows += u64::try_from(block.rows).unwrap();
            bytes += text(&block).len();
        }
        assert_eq!((rows, bytes), (30_000, 1 + record.len() * 30_000));
    }

    #[test]
    fn the_last_record_needs_no_line_feed_and_closes_its_quote() {
        let mut lines = reader("{}\n\n[]", Records::Lines);
        let block = lines.next().unwrap().unwrap();
        assert_eq!((block.rows, text(&block)), (2, b"{}\n\n[]".as_slice()));
        assert!(lines.next().unwrap().is_none());
        let mut open = reader("a\n1\n2,\"3\n4\n", Records::Csv(b','));
        let error = open.next().unwrap_err().to_string();
        assert!(error.starts_with("rows: line 3: a quote is not closed"), "{error}");
    }
}
