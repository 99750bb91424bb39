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

/// The fault of a quote that is still open at the end of the file.
pub(super) const NOT_CLOSED: &str = "a quote is not closed: write each `\"` within a quoted field twice";

/// The most rows with a quote that is not closed: the rest of the file is looked through for each.
const MAX_OPEN_QUOTES: u32 = 100;

/// The end of a record, its line feed included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordEnd {
    end: usize,
    /// True if a quote of its line is not closed before the end of the file. The line alone is then the record.
    is_open: bool,
}

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
    /// The rows that were handed on with a quote that is not closed.
    open_quotes: u32,
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
            open_quotes: 0,
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
            let Some(RecordEnd { end, is_open }) = self.end_of_record(self.begin)? else { return Ok(None) };
            if is_open {
                return Err(self.wrong(self.begin, NOT_CLOSED));
            }
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
            let Some(RecordEnd { end, is_open }) = self.end_of_record(self.begin + size)? else { break };
            // Such a record is the last of its block, which does not know what follows.
            if is_open && size > 0 {
                break;
            }
            let record = self.buffer.get(self.begin + size..end).unwrap_or_default();
            rows += usize::from(self.empty_is_row || !trimmed(record).is_empty());
            size = end - self.begin;
            if is_open {
                self.count_open_quote()?;
                break;
            }
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

    fn count_open_quote(&mut self) -> Result<(), ScoringError> {
        self.open_quotes += 1;
        if self.open_quotes <= MAX_OPEN_QUOTES {
            return Ok(());
        }
        let problem = format!("{NOT_CLOSED}; {MAX_OPEN_QUOTES} rows before have such a quote, too");
        Err(self.wrong(self.begin, &problem))
    }

    /// Returns the end of the record at `begin`; `None` at the end of the input.
    fn end_of_record(&mut self, mut begin: usize) -> Result<Option<RecordEnd>, ScoringError> {
        loop {
            let end = match self.records {
                Records::Lines => {
                    memchr(b'\n', self.buffer.get(begin..).unwrap_or_default()).map(|end| begin + end)
                }
                Records::Csv(delimiter) => record_end(&self.buffer, begin, delimiter),
            };
            if let Some(end) = end {
                return Ok(Some(RecordEnd { end: end + 1, is_open: false }));
            }
            let rest = self.buffer.len() - begin;
            if self.is_at_end {
                let last = RecordEnd { end: self.buffer.len(), is_open: false };
                return Ok(self.open_line(begin).or((rest > 0).then_some(last)));
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

    /// Returns the line at `begin` if it opens a quote that is still open at the end of the input.
    fn open_line(&self, begin: usize) -> Option<RecordEnd> {
        let Records::Csv(delimiter) = self.records else { return None };
        let rest = self.buffer.get(begin..)?;
        if !leaves_open(rest, delimiter) {
            return None;
        }
        let line = memchr(b'\n', rest).map_or(rest.len(), |feed| feed + 1);
        Some(RecordEnd { end: begin + line, is_open: true })
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
    fn the_last_record_needs_no_line_feed_and_an_open_quote_ends_with_its_line() {
        let mut lines = reader("{}\n\n[]", Records::Lines);
        let block = lines.next().unwrap().unwrap();
        assert_eq!((block.rows, text(&block)), (2, b"{}\n\n[]".as_slice()));
        assert!(lines.next().unwrap().is_none());
        let mut open = reader("a\n1\n2,\"3\n4\n", Records::Csv(b','));
        let blocks: Vec<Block> = std::iter::from_fn(|| open.next().unwrap()).collect();
        let of = |block: &Block| (block.first_row, block.first_line, text(block).to_vec());
        let expected = [(1, 1, b"a\n1\n".to_vec()), (3, 3, b"2,\"3\n".to_vec()), (4, 4, b"4\n".to_vec())];
        assert_eq!(blocks.iter().map(of).collect::<Vec<_>>(), expected);
        let mut header = reader("\"a\n1\n", Records::Csv(b','));
        let error = header.header().unwrap_err().to_string();
        assert!(error.starts_with("rows: line 1: a quote is not closed"), "{error}");
    }
}
