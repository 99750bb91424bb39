//! Tensors as plain Rust values: what transports make and read, without a word of how they are run.

use std::{cmp::Ordering, fmt, ops::Range};

use half::{bf16, f16};

use super::{Buffer, ElementType};

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is named as its element type, which is documented there")]
pub enum TensorData {
    F16(Buffer<f16>),
    Bf16(Buffer<bf16>),
    F32(Buffer<f32>),
    F64(Buffer<f64>),
    I8(Buffer<i8>),
    I16(Buffer<i16>),
    I32(Buffer<i32>),
    I64(Buffer<i64>),
    U8(Buffer<u8>),
    U16(Buffer<u16>),
    U32(Buffer<u32>),
    U64(Buffer<u64>),
    Bool(Vec<bool>),
    String(Vec<String>),
}

/// Runs the same expression on the elements of whichever variant it is.
macro_rules! on_elements {
    ($data:expr, $elements:ident => $body:expr) => {
        match $data {
            $crate::model::TensorData::F16($elements) => $body,
            $crate::model::TensorData::Bf16($elements) => $body,
            $crate::model::TensorData::F32($elements) => $body,
            $crate::model::TensorData::F64($elements) => $body,
            $crate::model::TensorData::I8($elements) => $body,
            $crate::model::TensorData::I16($elements) => $body,
            $crate::model::TensorData::I32($elements) => $body,
            $crate::model::TensorData::I64($elements) => $body,
            $crate::model::TensorData::U8($elements) => $body,
            $crate::model::TensorData::U16($elements) => $body,
            $crate::model::TensorData::U32($elements) => $body,
            $crate::model::TensorData::U64($elements) => $body,
            $crate::model::TensorData::Bool($elements) => $body,
            $crate::model::TensorData::String($elements) => $body,
        }
    };
}
pub(crate) use on_elements;

impl TensorData {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        on_elements!(self, elements => elements.len())
    }

    /// Whether there are none: a dimension of the shape is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the elements.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::F16(_) => ElementType::F16,
            Self::Bf16(_) => ElementType::Bf16,
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
            Self::I8(_) => ElementType::I8,
            Self::I16(_) => ElementType::I16,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
            Self::U8(_) => ElementType::U8,
            Self::U16(_) => ElementType::U16,
            Self::U32(_) => ElementType::U32,
            Self::U64(_) => ElementType::U64,
            Self::Bool(_) => ElementType::Bool,
            Self::String(_) => ElementType::String,
        }
    }

    /// The elements of this range so many times over; fewer if the range leads beyond the end.
    fn repeated(&self, range: Range<usize>, times: usize) -> Self {
        macro_rules! repeat {
            ($($variant:ident),*) => {
                match self {
                    $(Self::$variant(elements) => {
                        let part = elements.get(range).unwrap_or_default();
                        Self::$variant(part.iter().cycle().take(part.len() * times).cloned().collect())
                    })*
                }
            };
        }
        repeat!(F16, Bf16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String)
    }

    /// The elements of this range, if there are so many.
    fn part(&self, range: Range<usize>) -> Option<Self> {
        macro_rules! part {
            ([$($buffer:ident),*], [$($list:ident),*]) => {
                match self {
                    $(Self::$buffer(elements) => Self::$buffer(elements.part(range)?),)*
                    $(Self::$list(elements) => Self::$list(elements.get(range)?.to_vec()),)*
                }
            };
        }
        Some(part!([F16, Bf16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64], [Bool, String]))
    }

    /// The elements of several one after the other; nothing if there are none, or of several types.
    pub(super) fn concatenated<'t>(parts: impl Iterator<Item = &'t Self> + Clone) -> Option<Self> {
        macro_rules! concatenate {
            ($($variant:ident),*) => {
                match parts.clone().next()? {
                    $(Self::$variant(_) => {
                        let mut all = Vec::with_capacity(parts.clone().map(Self::len).sum());
                        for part in parts {
                            let Self::$variant(elements) = part else { return None };
                            all.extend_from_slice(elements);
                        }
                        Self::$variant(all.into())
                    })*
                }
            };
        }
        Some(concatenate!(F16, Bf16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String))
    }

    /// The element at this position, row-major.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Scalar<'_>> {
        on_elements!(self, elements => elements.get(index).map(Scalar::from))
    }

    /// Whether every element is a number that JSON can carry: no NaN, no infinity.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self {
            Self::F16(elements) => elements.iter().all(|element| element.is_finite()),
            Self::Bf16(elements) => elements.iter().all(|element| element.is_finite()),
            Self::F32(elements) => elements.iter().all(|element| element.is_finite()),
            Self::F64(elements) => elements.iter().all(|element| element.is_finite()),
            _ => true,
        }
    }
}

/// One element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'t> {
    /// A whole number.
    Integer(i64),
    /// A whole number above the greatest signed one.
    Unsigned(u64),
    /// A float of 32 bits or fewer, to be shown with as few digits as tell it from its neighbours.
    Single(f32),
    /// A 64-bit float.
    Double(f64),
    /// true or false.
    Bool(bool),
    /// A text.
    Text(&'t str),
}

macro_rules! scalars {
    ($($element:ty => $variant:ident;)*) => {
        $(impl From<&$element> for Scalar<'_> {
            fn from(element: &$element) -> Self {
                Self::$variant((*element).into())
            }
        })*
    };
}

scalars! {
    f16 => Single;
    bf16 => Single;
    f32 => Single;
    f64 => Double;
    i8 => Integer;
    i16 => Integer;
    i32 => Integer;
    i64 => Integer;
    u8 => Integer;
    u16 => Integer;
    u32 => Integer;
    u64 => Unsigned;
    bool => Bool;
}

impl<'t> From<&'t String> for Scalar<'t> {
    fn from(element: &'t String) -> Self {
        Self::Text(element)
    }
}

impl Scalar<'_> {
    /// The order of two numbers of one type, in which NaN is the greatest. Others are equal to each other.
    #[must_use]
    pub fn total_order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            (Self::Unsigned(one), Self::Unsigned(other)) => one.cmp(other),
            (Self::Single(one), Self::Single(other)) => one.total_cmp(other),
            (Self::Double(one), Self::Double(other)) => one.total_cmp(other),
            _ => Ordering::Equal,
        }
    }

    /// The number, if it is a float.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Self::Single(value) => Some(value.into()),
            Self::Double(value) => Some(value),
            Self::Integer(_) | Self::Unsigned(_) | Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(formatter),
            Self::Unsigned(value) => value.fmt(formatter),
            Self::Single(value) => value.fmt(formatter),
            Self::Double(value) => value.fmt(formatter),
            Self::Bool(value) => value.fmt(formatter),
            Self::Text(value) => value.fmt(formatter),
        }
    }
}

/// A tensor: elements and their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

/// A shape that does not fit its elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shape {shape:?} does not hold {elements} elements")]
pub struct TensorError {
    /// The shape that was given.
    pub shape: Vec<usize>,
    /// How many elements were given.
    pub elements: usize,
}

impl Tensor {
    /// A tensor of this shape.
    ///
    /// # Errors
    ///
    /// When the product of the dimensions (1 for no dimensions) is not the number of elements, or overflows.
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, TensorError> {
        let product = shape.iter().try_fold(1_usize, |product, &dimension| product.checked_mul(dimension));
        if product == Some(data.len()) {
            Ok(Self { shape, data })
        } else {
            Err(TensorError { shape, elements: data.len() })
        }
    }

    /// The size of each dimension, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    #[must_use]
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The first row so many times over; nothing for a tensor without rows.
    #[must_use]
    pub fn first_row_repeated(&self, rows: usize) -> Option<Self> {
        let (&outermost, inner) = self.shape.split_first()?;
        let width: usize = inner.iter().product();
        let data = self.data.repeated(0..(outermost > 0).then_some(width)?, rows);
        let shape = std::iter::once(rows).chain(inner.iter().copied()).collect();
        Self::new(shape, data).ok()
    }

    /// Some of its rows; nothing where it has not so many.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let (&outermost, inner) = self.shape.split_first()?;
        let width: usize = inner.iter().product();
        (rows.start <= rows.end && rows.end <= outermost).then_some(())?;
        let data = self.data.part(rows.start * width..rows.end * width)?;
        let shape = std::iter::once(rows.len()).chain(inner.iter().copied()).collect();
        Some(Self { shape, data })
    }

    /// Whether every element of some of its rows is a number that JSON can carry: no NaN, no infinity.
    #[must_use]
    pub fn rows_are_finite(&self, rows: Range<usize>) -> bool {
        let width: usize = self.shape.iter().skip(1).product();
        let range = rows.start.saturating_mul(width)..rows.end.saturating_mul(width);
        match &self.data {
            TensorData::F16(all) => {
                all.get(range).is_none_or(|part| part.iter().all(|element| element.is_finite()))
            }
            TensorData::Bf16(all) => {
                all.get(range).is_none_or(|part| part.iter().all(|element| element.is_finite()))
            }
            TensorData::F32(all) => {
                all.get(range).is_none_or(|part| part.iter().all(|element| element.is_finite()))
            }
            TensorData::F64(all) => {
                all.get(range).is_none_or(|part| part.iter().all(|element| element.is_finite()))
            }
            _ => true,
        }
    }

    /// The rows of several tensors one after the other; nothing if there are none, or their rows are of several shapes or
    /// types.
    #[must_use]
    pub fn joined(parts: &[&Self]) -> Option<Self> {
        let (_, inner) = parts.first()?.shape.split_first()?;
        let mut rows = 0_usize;
        for part in parts {
            let (outermost, others) = part.shape.split_first()?;
            rows = (others == inner).then(|| rows.checked_add(*outermost))??;
        }
        let data = TensorData::concatenated(parts.iter().map(|part| &part.data))?;
        let shape = std::iter::once(rows).chain(inner.iter().copied()).collect();
        Self::new(shape, data).ok()
    }

    /// How many elements one row of `rows` has, if the tensor holds that many rows in its outermost dimension.
    #[must_use]
    pub fn row_width(&self, rows: usize) -> Option<usize> {
        let (&outermost, inner) = self.shape.split_first()?;
        (outermost == rows).then(|| inner.iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_must_hold_the_elements() {
        let data = || TensorData::F32(vec![1.0; 6].into());
        assert!(Tensor::new(vec![2, 3], data()).is_ok());
        assert!(Tensor::new(vec![2, 4], data()).is_err());
        assert!(Tensor::new(vec![], data()).is_err());
        assert!(Tensor::new(vec![], TensorData::I64(vec![1].into())).is_ok(), "a scalar has one element");
        assert!(Tensor::new(vec![0, 4], TensorData::F32(vec![].into())).is_ok());
        assert!(
            Tensor::new(vec![usize::MAX, 2], TensorData::F32(vec![].into())).is_err(),
            "no wrapped product"
        );
    }

    #[test]
    fn a_row_is_what_the_outermost_dimension_counts() {
        let tensor = Tensor::new(vec![2, 3], TensorData::I32(vec![0; 6].into())).unwrap();
        assert_eq!(tensor.row_width(2), Some(3));
        assert_eq!(tensor.row_width(3), None);
    }
}
