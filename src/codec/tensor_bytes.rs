//! Tensors as bytes (binary tensor data extension of the Open Inference Protocol, and gRPC's raw contents):
//! little-endian, row-major, no padding. A boolean is one byte, 0 or 1; a text is its length in 4 bytes, then its
//! bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Buffer, ElementType, TensorData, element_types};

/// Size of the length before a text.
const LENGTH_BYTES: usize = 4;

/// The error of bytes that do not match the expected elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BytesError {
    /// There are too few or too many.
    #[error("{elements} elements of {element_type} take {expected} bytes, not {given}")]
    WrongLength {
        /// Number of elements in the shape.
        elements: usize,
        /// The type of the elements.
        element_type: ElementType,
        /// Expected number of bytes.
        expected: usize,
        /// Actual number of bytes.
        given: usize,
    },
    /// A text, or its length, extends beyond the end.
    #[error("element {0} is cut short")]
    CutShort(usize),
    /// There are more bytes than texts.
    #[error("{0} bytes are left over after the last element")]
    LeftOver(usize),
    /// A boolean byte is neither 0 nor 1.
    #[error("element {0} is a boolean with a value other than 0 and 1")]
    NoBoolean(usize),
    /// A text is not UTF-8.
    #[error("element {0} is not UTF-8")]
    NoUtf8(usize),
}

/// Reads `elements` elements of this type. Bytes that are aligned for their numbers are not copied.
///
/// # Errors
///
/// If the bytes are not exactly these elements.
pub fn elements_from_bytes(
    element_type: ElementType,
    elements: usize,
    bytes: Bytes,
) -> Result<TensorData, BytesError> {
    let given = bytes.len();
    if let Some(size) = element_type.size_bytes() {
        let expected = elements.saturating_mul(size);
        if expected != given {
            return Err(BytesError::WrongLength { elements, element_type, expected, given });
        }
    }
    macro_rules! read {
        ($($variant:ident $number:ty),*) => {
            match element_type {
                $(ElementType::$variant => {
                    let number = |bytes: &[u8]| <$number>::from_le_bytes(bytes.try_into().unwrap_or_default());
                    Buffer::received(bytes, number).map(TensorData::$variant)
                })*
                ElementType::Bool => return booleans(&bytes),
                ElementType::String => return texts(elements, &bytes),
            }
        };
    }
    let read = element_types!(numbers => read);
    // The length was checked above, so this does not happen.
    read.ok_or(BytesError::WrongLength { elements, element_type, expected: given, given })
}

fn booleans(bytes: &[u8]) -> Result<TensorData, BytesError> {
    let boolean = |(index, byte): (usize, &u8)| match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BytesError::NoBoolean(index)),
    };
    bytes.iter().enumerate().map(boolean).collect::<Result<_, _>>().map(TensorData::Bool)
}

fn texts(elements: usize, mut rest: &[u8]) -> Result<TensorData, BytesError> {
    // Every text takes at least its length, so an invented count reserves no memory.
    let mut texts = Vec::with_capacity(elements.min(rest.len() / LENGTH_BYTES));
    for index in 0..elements {
        let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(BytesError::CutShort(index))?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (text, after) = after.split_at_checked(length).ok_or(BytesError::CutShort(index))?;
        texts.push(str::from_utf8(text).map_err(|_| BytesError::NoUtf8(index))?.to_owned());
        rest = after;
    }
    if rest.is_empty() { Ok(TensorData::String(texts)) } else { Err(BytesError::LeftOver(rest.len())) }
}

/// Returns the elements as bytes. A text too long for its length field is cut, but no request is large enough for that.
#[must_use]
pub fn elements_to_bytes(data: &TensorData) -> Bytes {
    macro_rules! write {
        ($($variant:ident $number:ty),*) => {
            match data {
                // On little-endian machines the elements are these bytes already.
                $(TensorData::$variant(elements) if cfg!(target_endian = "little") => elements.to_bytes(),)*
                $(TensorData::$variant(elements) => {
                    let mut bytes = BytesMut::with_capacity(size_of_val::<[_]>(elements));
                    elements.iter().for_each(|element| bytes.extend_from_slice(&element.to_le_bytes()));
                    bytes.freeze()
                })*
                TensorData::Bool(elements) => elements.iter().map(|element| u8::from(*element)).collect(),
                TensorData::String(elements) => texts_to_bytes(elements),
            }
        };
    }
    element_types!(numbers => write)
}

fn texts_to_bytes(elements: &[String]) -> Bytes {
    let size = elements.iter().map(|text| LENGTH_BYTES + text.len()).sum();
    let mut bytes = BytesMut::with_capacity(size);
    for text in elements {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.put_u32_le(length);
        bytes.extend_from_slice(&text.as_bytes()[..length as usize]);
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn read(element_type: ElementType, elements: usize, bytes: &[u8]) -> Result<TensorData, BytesError> {
        elements_from_bytes(element_type, elements, Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn every_type_comes_back_as_it_went() {
        for data in [
            TensorData::F16(vec![f16::MIN, f16::ONE].into()),
            TensorData::Bf16(vec![bf16::MAX, bf16::NEG_ONE].into()),
            TensorData::F32(vec![0.1, f32::INFINITY].into()),
            TensorData::F64(vec![f64::MIN_POSITIVE, -0.0].into()),
            TensorData::I8(vec![-128, 127].into()),
            TensorData::I16(vec![i16::MIN, i16::MAX].into()),
            TensorData::I32(vec![i32::MIN, i32::MAX].into()),
            TensorData::I64(vec![i64::MIN, i64::MAX].into()),
            TensorData::U8(vec![0, 255].into()),
            TensorData::U16(vec![0, u16::MAX].into()),
            TensorData::U32(vec![0, u32::MAX].into()),
            TensorData::U64(vec![0, u64::MAX].into()),
            TensorData::Bool(vec![true, false]),
            TensorData::String(vec![String::new(), "größer".to_owned()]),
        ] {
            let bytes = elements_to_bytes(&data);
            assert_eq!(elements_from_bytes(data.element_type(), 2, bytes), Ok(data));
        }
    }

    #[test]
    fn bytes_that_are_something_else_are_refused() {
        let wrong = |elements, element_type, expected, given| {
            Err(BytesError::WrongLength { elements, element_type, expected, given })
        };
        assert_eq!(read(ElementType::F32, 2, &[0; 7]), wrong(2, ElementType::F32, 8, 7));
        assert_eq!(
            read(ElementType::I64, usize::MAX, &[0; 8]),
            wrong(usize::MAX, ElementType::I64, usize::MAX, 8)
        );
        assert_eq!(read(ElementType::Bool, 3, &[0, 1, 2]), Err(BytesError::NoBoolean(2)));
        assert_eq!(read(ElementType::String, 1, &[1, 0, 0]), Err(BytesError::CutShort(0)));
        assert_eq!(read(ElementType::String, 1, &[2, 0, 0, 0, b'a']), Err(BytesError::CutShort(0)));
        assert_eq!(read(ElementType::String, 1, &[255, 255, 255, 255]), Err(BytesError::CutShort(0)));
        assert_eq!(read(ElementType::String, usize::MAX, &[]), Err(BytesError::CutShort(0)));
        assert_eq!(read(ElementType::String, 1, &[1, 0, 0, 0, 0xff]), Err(BytesError::NoUtf8(0)));
        assert_eq!(read(ElementType::String, 1, &[1, 0, 0, 0, b'a', 0]), Err(BytesError::LeftOver(1)));
        assert_eq!(read(ElementType::String, 0, &[]), Ok(TensorData::String(Vec::new())));
    }
}
