//! The memory that inference requests take once decoded, beyond their bytes, computed while they arrive.
//!
//! A field of two bytes may stand for a struct of hundreds, and a number of one byte for one of eight. Fields are
//! parsed down to the elements of tensors (`ModelInferRequest.inputs.contents`); others are skipped, as the decoder
//! does with unknown ones. A malformed message is left to the decoder. Wire format:
//! <https://protobuf.dev/programming-guides/encoding/>; frames: "gRPC over HTTP2", Length-Prefixed-Message.

use crate::system::byte_budget::count;

/// Length of the prefix of a message: a flag, and the message's length.
const PREFIX_BYTES: u8 = 5;

/// Most bytes of a varint.
const MAX_VARINT_BYTES: u8 = 10;

/// Memory of a decoded whole number, whatever its width.
const NUMBER_BYTES: u64 = 8;

/// A message that is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Request,
    Input,
    Contents,
}

impl Level {
    /// Returns the memory of one field of the message.
    fn field_bytes(self) -> u64 {
        match self {
            Self::Request => 320,
            Self::Input => 128,
            Self::Contents => 40,
        }
    }

    /// Returns the message in this field; `None` if it is not parsed.
    fn inside(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Request, 5) => Some(Self::Input),
            (Self::Input, 5) => Some(Self::Contents),
            _ => None,
        }
    }

    /// Returns true if the field is a packed list of whole numbers.
    fn is_list_of_numbers(self, field: u64) -> bool {
        match self {
            Self::Request => false,
            Self::Input => field == 3,
            Self::Contents => (1..=5).contains(&field),
        }
    }

    /// Returns true if the field is a packed list of floating-point numbers, which take as much memory as their bytes.
    fn is_list_of_floats(self, field: u64) -> bool {
        self == Self::Contents && (6..=7).contains(&field)
    }
}

/// The part of a message that comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Prefix { bytes: u8, length: u64 },
    Key(Varint),
    Number(Varint),
    Length { field: u64, so_far: Varint },
    Skipped { until: u64 },
    Numbers { until: u64 },
}

/// A varint of which some bytes have arrived.
#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    bytes: u8,
}

/// The cost of the messages of a body, as far as they have arrived.
#[derive(Debug)]
pub(super) struct MessageCost {
    next: Next,
    /// Position in the body, in bytes.
    at: u64,
    /// The messages that are open, each with its end.
    open: [(Level, u64); 3],
    depth: usize,
}

impl Default for MessageCost {
    fn default() -> Self {
        let next = Next::Prefix { bytes: 0, length: 0 };
        Self { next, at: 0, open: [(Level::Request, 0); 3], depth: 0 }
    }
}

impl MessageCost {
    /// Returns the cost of the next bytes of the body.
    pub(super) fn of(&mut self, mut data: &[u8]) -> u64 {
        let mut cost = 0_u64;
        while let Some((&first, rest)) = data.split_first() {
            let taken = match self.next {
                Next::Skipped { until } | Next::Numbers { until } => {
                    let left = usize::try_from(until - self.at).unwrap_or(usize::MAX).min(data.len());
                    let (part, after) = data.split_at(left);
                    if matches!(self.next, Next::Numbers { .. }) {
                        let ends = part.iter().filter(|byte| **byte < 0x80).count();
                        cost = cost.saturating_add(count(ends).saturating_mul(NUMBER_BYTES));
                    }
                    data = after;
                    count(left)
                }
                _ => {
                    data = rest;
                    1
                }
            };
            self.at += taken;
            cost = cost.saturating_add(self.step(first));
        }
        cost
    }

    /// Advances by a byte, or past the last byte of a skipped part. Returns the cost.
    fn step(&mut self, byte: u8) -> u64 {
        let level = self.level();
        let mut cost = 0;
        self.next = match self.next {
            Next::Prefix { bytes, length } => {
                let length = if bytes == 0 { 0 } else { length << 8 | u64::from(byte) };
                if bytes + 1 < PREFIX_BYTES {
                    Next::Prefix { bytes: bytes + 1, length }
                } else {
                    self.open[0] = (Level::Request, self.at + length);
                    self.depth = 1;
                    Next::Key(Varint::default())
                }
            }
            Next::Key(key) => match key.with(byte) {
                Ok(key) => Next::Key(key),
                Err(Some(key)) => {
                    cost = level.field_bytes();
                    match key & 7 {
                        0 => Next::Number(Varint::default()),
                        1 => Next::Skipped { until: self.at + 8 },
                        2 => Next::Length { field: key >> 3, so_far: Varint::default() },
                        5 => Next::Skipped { until: self.at + 4 },
                        _ => self.broken(),
                    }
                }
                Err(None) => self.broken(),
            },
            Next::Number(number) => match number.with(byte) {
                Ok(number) => Next::Number(number),
                Err(Some(_)) => Next::Key(Varint::default()),
                Err(None) => self.broken(),
            },
            Next::Length { field, so_far } => match so_far.with(byte) {
                Ok(so_far) => Next::Length { field, so_far },
                Err(Some(bytes)) => {
                    // A list that claims to be longer than its message takes no memory.
                    if level.is_list_of_floats(field) && bytes <= self.end().saturating_sub(self.at) {
                        cost = bytes;
                    }
                    self.begin(level, field, bytes)
                }
                Err(None) => self.broken(),
            },
            skipped @ (Next::Skipped { until } | Next::Numbers { until }) if self.at < until => skipped,
            Next::Skipped { .. } | Next::Numbers { .. } => Next::Key(Varint::default()),
        };
        self.close();
        cost
    }

    /// Begins the content of a field with this length.
    fn begin(&mut self, level: Level, field: u64, bytes: u64) -> Next {
        let until = match self.at.checked_add(bytes) {
            Some(until) if until <= self.end() => until,
            _ => return self.broken(),
        };
        match level.inside(field) {
            Some(inside) if self.depth < self.open.len() => {
                self.open[self.depth] = (inside, until);
                self.depth += 1;
                Next::Key(Varint::default())
            }
            _ if bytes == 0 => Next::Key(Varint::default()),
            _ if level.is_list_of_numbers(field) => Next::Numbers { until },
            _ => Next::Skipped { until },
        }
    }

    /// Leaves the rest of the message to the decoder.
    fn broken(&mut self) -> Next {
        self.depth = 1;
        Next::Skipped { until: self.open[0].1.max(self.at) }
    }

    /// Closes the messages that end here.
    fn close(&mut self) {
        while self.depth > 0 && self.at >= self.end() {
            self.depth -= 1;
            if self.depth == 0 {
                self.next = Next::Prefix { bytes: 0, length: 0 };
            }
        }
    }

    fn level(&self) -> Level {
        self.open[self.depth.saturating_sub(1)].0
    }

    fn end(&self) -> u64 {
        self.open[self.depth.saturating_sub(1)].1
    }
}

impl Varint {
    /// Adds a byte. Returns the varint so far, or as an error its value after the last byte, `None` if it is too long.
    fn with(self, byte: u8) -> Result<Self, Option<u64>> {
        let Self { value, bytes } = self;
        if bytes >= MAX_VARINT_BYTES {
            return Err(None);
        }
        let value = value | u64::from(byte & 0x7f).wrapping_shl(u32::from(bytes) * 7);
        if byte < 0x80 { Err(Some(value)) } else { Ok(Self { value, bytes: bytes + 1 }) }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::protocols::open_inference::grpc::proto::{
        InferTensorContents, ModelInferRequest, model_infer_request::InferInputTensor,
    };

    fn framed(message: &ModelInferRequest) -> Vec<u8> {
        let bytes = message.encode_to_vec();
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0_u8][..], &length, &bytes].concat()
    }

    fn input(contents: InferTensorContents) -> InferInputTensor {
        InferInputTensor {
            name: "x".to_owned(),
            datatype: "INT64".to_owned(),
            shape: vec![1000],
            contents: Some(contents),
            ..InferInputTensor::default()
        }
    }

    fn cost_of(bytes: &[u8], part: usize) -> u64 {
        let mut cost = MessageCost::default();
        bytes.chunks(part).map(|part| cost.of(part)).sum()
    }

    #[test]
    fn small_numbers_cost_what_they_become_however_they_are_cut() {
        let contents = InferTensorContents { int64_contents: vec![7; 1000], ..Default::default() };
        let message = ModelInferRequest {
            model_name: "m".to_owned(),
            inputs: vec![input(contents)],
            ..Default::default()
        };
        // Two messages, as in a stream.
        let bytes = framed(&message).repeat(2);
        let whole = cost_of(&bytes, usize::MAX);
        assert!((16_000..18_500).contains(&whole), "{whole}");
        for part in [1, 2, 3, 7, 100] {
            assert_eq!(cost_of(&bytes, part), whole, "{part}");
        }
    }

    #[test]
    fn raw_tensors_cost_their_bytes_and_floats_as_much_again() {
        let raw = ModelInferRequest { raw_input_contents: vec![vec![1; 9000].into()], ..Default::default() };
        assert!(cost_of(&framed(&raw), 999) < 1000);
        let contents = InferTensorContents { fp32_contents: vec![0.5; 1000], ..Default::default() };
        let floats = ModelInferRequest { inputs: vec![input(contents)], ..Default::default() };
        assert!((4000..5500).contains(&cost_of(&framed(&floats), 999)));
    }

    #[test]
    fn empty_messages_cost_their_structs() {
        let message =
            ModelInferRequest { inputs: vec![InferInputTensor::default(); 500], ..Default::default() };
        let expected = 500 * count(size_of::<InferInputTensor>());
        assert!(cost_of(&framed(&message), 50) >= expected);
    }

    #[test]
    fn whatever_is_broken_is_skipped_to_the_end_of_its_message() {
        let broken = |body: &[u8]| {
            let length = u32::try_from(body.len()).unwrap().to_be_bytes();
            [&[0_u8][..], &length, body].concat()
        };
        let sound = framed(&ModelInferRequest { model_name: "m".to_owned(), ..Default::default() });
        for body in [&[0x07][..], &[0xff; 12], &[0x2a, 0x7f, 0x00], &[0x2a, 0x02, 0x2a, 0x7f, 1, 2, 3], &[]] {
            let bytes = [broken(body), sound.clone()].concat();
            let cost = cost_of(&bytes, 1);
            assert!(cost >= cost_of(&sound, 1), "{body:?}: {cost}");
            assert_eq!(cost_of(&bytes, usize::MAX), cost, "{body:?}");
        }
    }
}
