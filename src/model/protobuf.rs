//! Reader for the fields of a protocol buffer, one by one, in a file that is not trusted.
//!
//! Wire format: <https://protobuf.dev/programming-guides/encoding/>. Only the current field is in memory.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use super::file_error::OnnxFileError::{self, NotOnnx, Truncated};

/// Longest accepted name or path, in bytes.
const MAX_TEXT_BYTES: u64 = 4096;

/// Most fields in a file.
const MAX_FIELDS: u64 = 50_000_000;

/// A reader of fields that tracks its position in the file.
pub(super) struct Fields<R> {
    input: BufReader<R>,
    position: u64,
    end: u64,
    count: u64,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A whole number.
    Varint(u64),
    /// The length of bytes that follow and are not read yet.
    Bytes(u64),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Eight bytes.
    Fixed64([u8; 8]),
}

impl<R: Read + Seek> Fields<R> {
    /// Creates a reader of a whole file.
    ///
    /// # Errors
    ///
    /// When the file is empty or cannot be read.
    pub(super) fn new(file: R) -> Result<Self, OnnxFileError> {
        let mut input = BufReader::new(file);
        let end = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        if end == 0 {
            return Err(Truncated("it is empty"));
        }
        Ok(Self { input, position: 0, end, count: 0 })
    }

    /// Returns the length of the file in bytes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the position in the file, in bytes from its beginning.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads the number and the value of the next field, which must end before `end`.
    pub(super) fn next(&mut self, end: u64) -> Result<(u64, Value), OnnxFileError> {
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err(NotOnnx("it has more fields than any model"));
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => Value::Bytes(self.varint()?),
            5 => Value::Fixed32(self.fixed()?),
            _ => return Err(NotOnnx("it is not a protocol buffer")),
        };
        let length = if let Value::Bytes(length) = value { length } else { 0 };
        match self.position.checked_add(length) {
            _ if key >> 3 == 0 => Err(NotOnnx("it is not a protocol buffer")),
            Some(after) if after <= end => Ok((key >> 3, value)),
            // Only a field at the top level is cut short by the end of the file.
            Some(_) if end == self.end => Err(Truncated("a field is shorter than its length says")),
            _ => Err(NotOnnx("a field is longer than its message")),
        }
    }

    /// Reads a whole number of variable length.
    pub(super) fn varint(&mut self) -> Result<u64, OnnxFileError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.input.fill_buf()?.first().copied() else {
                return Err(Truncated("it ends within a number"));
            };
            self.input.consume(1);
            self.position += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(NotOnnx("it is not a protocol buffer"))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], OnnxFileError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Truncated("it ends within a number"),
            _ => OnnxFileError::Io(error),
        })?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Reads a name or path of this length in bytes.
    pub(super) fn text(&mut self, length: u64) -> Result<String, OnnxFileError> {
        if length > MAX_TEXT_BYTES {
            return Err(NotOnnx("a name is longer than any name"));
        }
        String::from_utf8(self.bytes(length)?).map_err(|_| NotOnnx("a name is not text"))
    }

    /// Reads `length` bytes; the caller bounds their number.
    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>, OnnxFileError> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        self.position += length;
        Ok(bytes)
    }

    /// Skips `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), OnnxFileError> {
        let distance = i64::try_from(length).map_err(|_| NotOnnx("a field is longer than any file"))?;
        self.position =
            self.position.checked_add(length).ok_or(NotOnnx("a field is longer than any file"))?;
        if self.position > self.end {
            return Err(Truncated("a field is shorter than its length says"));
        }
        Ok(self.input.seek_relative(distance)?)
    }
}
