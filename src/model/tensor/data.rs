//! The elements of a tensor, with a list type for each element type.

use std::ops::Range;

use half::{bf16, f16};

use super::Scalar;
use crate::model::{Buffer, ElementType, element_types};

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

/// Evaluates an expression with the elements of any variant.
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
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        on_elements!(self, elements => elements.len())
    }

    /// Returns true if there are no elements: a dimension of the shape is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory of the elements, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::String(texts) => texts.iter().map(|text| size_of::<String>() + text.capacity()).sum(),
            sized => sized.len().saturating_mul(sized.element_type().size_bytes().unwrap_or_default()),
        }
    }

    /// Returns the type of the elements.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        macro_rules! element_type {
            ($($variant:ident $type:ty),*) => {
                match self { $(Self::$variant(_) => ElementType::$variant,)* }
            };
        }
        element_types!(all => element_type)
    }

    /// Repeats the elements of this range `times` times; elements beyond the end are left out.
    pub(super) fn repeated(&self, range: Range<usize>, times: usize) -> Self {
        macro_rules! repeat {
            ($($variant:ident $type:ty),*) => {
                match self {
                    $(Self::$variant(elements) => {
                        let part = elements.get(range).unwrap_or_default();
                        Self::$variant(part.iter().cycle().take(part.len() * times).cloned().collect())
                    })*
                }
            };
        }
        element_types!(all => repeat)
    }

    /// Returns the elements of this range; `None` if it is out of bounds.
    pub(super) fn part(&self, range: Range<usize>) -> Option<Self> {
        macro_rules! part {
            ($($variant:ident $type:ty),*) => {
                match self {
                    $(Self::$variant(elements) => Self::$variant(elements.part(range)?),)*
                    Self::Bool(elements) => Self::Bool(elements.get(range)?.to_vec()),
                    Self::String(elements) => Self::String(elements.get(range)?.to_vec()),
                }
            };
        }
        Some(element_types!(numbers => part))
    }

    /// Concatenates the elements of several; `None` if there are none or their types differ.
    pub(in crate::model) fn concatenated<'t>(parts: impl Iterator<Item = &'t Self> + Clone) -> Option<Self> {
        macro_rules! concatenate {
            ($($variant:ident $type:ty),*) => {
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
        Some(element_types!(all => concatenate))
    }

    /// Appends the elements of another one. Returns true if they have the same type.
    pub(in crate::model) fn append(&mut self, other: Self) -> bool {
        macro_rules! append {
            ($($variant:ident $type:ty),*) => {
                match (self, other) {
                    $((Self::$variant(own), Self::$variant(other)) => own.append(&other),)*
                    (Self::Bool(own), Self::Bool(other)) => own.extend(other),
                    (Self::String(own), Self::String(other)) => own.extend(other),
                    _ => return false,
                }
            };
        }
        element_types!(numbers => append);
        true
    }

    /// Returns the element at this position, row-major; `None` if it is out of bounds.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Scalar<'_>> {
        on_elements!(self, elements => elements.get(index).map(Scalar::from))
    }

    /// Returns true if JSON can carry every element: no NaN, no infinity.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.part_is_finite(0..self.len())
    }

    /// Returns true if JSON can carry every element of this range, which may go beyond the end.
    pub(super) fn part_is_finite(&self, range: Range<usize>) -> bool {
        macro_rules! finite {
            ($elements:expr) => {
                $elements.get(range).unwrap_or_default().iter().all(|element| element.is_finite())
            };
        }
        match self {
            Self::F16(elements) => finite!(elements),
            Self::Bf16(elements) => finite!(elements),
            Self::F32(elements) => finite!(elements),
            Self::F64(elements) => finite!(elements),
            _ => true,
        }
    }
}
