//! Records and fields of CSV (RFC 4180), without copies where nothing is quoted.
//!
//! A quote opens only at the begin of a field, and two quotes within a quoted field are one. These are the rules of the
//! `csv` crate, which reads the bodies of requests.

use std::ops::Range;

use memchr::memchr;

/// The position within a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the begin of a field.
    Begin,
    /// In a field without quotes, or after its closing quote.
    Plain,
    /// In a quoted field.
    Quoted,
    /// After a quote in a quoted field, which closes it or stands for a quote.
    Closing,
}

impl State {
    /// Returns the state after a byte. A line feed must be looked at before.
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Closing,
            (Self::Quoted, _) | (Self::Begin | Self::Closing, b'"') => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Begin,
            _ => Self::Plain,
        }
    }
}

/// Returns the position of the line feed that ends the record which begins at `begin`; `None` if it is not there.
pub(super) fn record_end(bytes: &[u8], begin: usize, delimiter: u8) -> Option<usize> {
    let rest = bytes.get(begin..)?;
    let feed = memchr(b'\n', rest)?;
    if memchr(b'"', rest.get(..feed)?).is_none() {
        return Some(begin + feed);
    }
    let mut state = State::Begin;
    for (offset, &byte) in rest.iter().enumerate() {
        if byte == b'\n' && state != State::Quoted {
            return Some(begin + offset);
        }
        state = state.after(byte, delimiter);
    }
    None
}

/// Returns true if the record leaves a quote open.
pub(super) fn leaves_open(record: &[u8], delimiter: u8) -> bool {
    record.iter().fold(State::Begin, |state, &byte| state.after(byte, delimiter)) == State::Quoted
}

/// The fields of a record.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The contents of quoted fields, and of all others of such a record.
    unquoted: Vec<u8>,
    ranges: Vec<Range<usize>>,
    has_quotes: bool,
}

impl Fields {
    /// Splits a record, which has no line feed at its end.
    pub(super) fn split(&mut self, record: &[u8], delimiter: u8) {
        self.ranges.clear();
        self.has_quotes = memchr(b'"', record).is_some();
        if self.has_quotes {
            return self.split_quoted(record, delimiter);
        }
        let mut begin = 0;
        for (position, &byte) in record.iter().enumerate() {
            if byte == delimiter {
                self.ranges.push(begin..position);
                begin = position + 1;
            }
        }
        self.ranges.push(begin..record.len());
    }

    fn split_quoted(&mut self, record: &[u8], delimiter: u8) {
        self.unquoted.clear();
        let mut state = State::Begin;
        let mut begin = 0;
        for &byte in record {
            let next = state.after(byte, delimiter);
            let opens_or_closes = byte == b'"' && (state == State::Begin || next == State::Closing);
            if next == State::Begin {
                self.ranges.push(begin..self.unquoted.len());
                begin = self.unquoted.len();
            } else if !opens_or_closes {
                self.unquoted.push(byte);
            }
            state = next;
        }
        self.ranges.push(begin..self.unquoted.len());
    }

    /// Returns the number of fields.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Returns a field of the record that was split; `None` if there is no such field.
    pub(super) fn get<'f>(&'f self, record: &'f [u8], index: usize) -> Option<&'f [u8]> {
        let range = self.ranges.get(index)?.clone();
        if self.has_quotes { self.unquoted.get(range) } else { record.get(range) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut fields = Fields::default();
        let mut records = Vec::new();
        let mut begin = 0;
        while begin < bytes.len() {
            let end = record_end(bytes, begin, b',').unwrap_or(bytes.len());
            let record = &bytes[begin..end];
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            if !record.is_empty() {
                fields.split(record, b',');
                records.push(
                    (0..fields.len()).map(|index| fields.get(record, index).unwrap().to_vec()).collect(),
                );
            }
            begin = end + 1;
        }
        records
    }

    fn read_by_csv(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let record =
            |record: Result<::csv::ByteRecord, _>| record.unwrap().iter().map(<[u8]>::to_vec).collect();
        reader.byte_records().map(record).collect()
    }

    #[test]
    fn quotes_are_read_as_by_the_csv_crate() {
        for text in [
            "a,b\n1,2\n",
            "a,\"b,c\"\r\n\"1\n2\",\"\"\"x\"\"\"\n",
            "5\" pipe,3\nx,y",
            "\"a\"b,c\n",
            "\"\",\n,\"\"",
            "\n\na\n\n",
        ] {
            assert_eq!(records(text.as_bytes()), read_by_csv(text.as_bytes()), "{text:?}");
        }
        assert!(leaves_open(b"a,\"b", b',') && !leaves_open(b"a,\"b\"\"\"", b','));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_by_the_csv_crate(text in "[a\",\n]{0,24}") {
            prop_assert_eq!(records(text.as_bytes()), read_by_csv(text.as_bytes()));
        }
    }
}
