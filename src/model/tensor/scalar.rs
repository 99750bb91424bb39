//! One element of a tensor, of any type.

use std::{cmp::Ordering, fmt};

use half::{bf16, f16};

/// One element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'t> {
    /// A whole number.
    Integer(i64),
    /// A whole number above the greatest signed one.
    Unsigned(u64),
    /// A float of 32 bits or fewer, displayed with the fewest digits that distinguish it from its neighbours.
    Single(f32),
    /// A 64-bit float.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A string.
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
    /// Compares two numbers of one type, with NaN as the greatest. All other pairs are equal.
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

    /// Returns the number; `None` if it is not a float.
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
