//! Conversion of JSON values to elements of each type.

use half::{bf16, f16};

use crate::model::{Cell, non_finite};

/// An element type, with its conversions from JSON values. `None` if the type does not accept the value.
pub(crate) trait Element: Sized {
    fn from_signed(_: i64) -> Option<Self> {
        None
    }

    fn from_unsigned(_: u64) -> Option<Self> {
        None
    }

    fn from_float(_: f64) -> Option<Self> {
        None
    }

    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_truth(_: bool) -> Option<Self> {
        None
    }

    /// Converts a number that was read with every digit.
    fn from_number(number: &Cell) -> Option<Self> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a whole number sent for a float becomes the nearest one"
        )]
        match *number {
            Cell::Integer(number) => i64::try_from(number)
                .ok()
                .and_then(Self::from_signed)
                .or_else(|| u64::try_from(number).ok().and_then(Self::from_unsigned))
                .or_else(|| Self::from_float(number as f64)),
            // A negative zero is a whole number too.
            Cell::Float(zero @ 0.0) if zero.is_sign_negative() => {
                Self::from_float(zero).or_else(|| Self::from_signed(0))
            }
            Cell::Float(number) => Self::from_float(number),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl Element for $integer {
            fn from_signed(number: i64) -> Option<Self> {
                Self::try_from(number).ok()
            }

            fn from_unsigned(number: u64) -> Option<Self> {
                Self::try_from(number).ok()
            }
        })*
    };
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($float:ty: $signed:expr, $unsigned:expr, $wide:expr;)*) => {
        $(impl Element for $float {
            fn from_signed(number: i64) -> Option<Self> {
                Some($signed(number)).filter(|float| float.is_finite())
            }

            fn from_unsigned(number: u64) -> Option<Self> {
                Some($unsigned(number)).filter(|float| float.is_finite())
            }

            fn from_float(number: f64) -> Option<Self> {
                Some($wide(number)).filter(|float| float.is_finite())
            }

            fn from_text(text: &str) -> Option<Self> {
                non_finite(text).map($wide)
            }
        })*
    };
}

#[expect(clippy::cast_precision_loss, reason = "a whole number sent for a float becomes the nearest one")]
#[expect(clippy::cast_possible_truncation, reason = "rounding to the precision of the type is meant")]
mod float_elements {
    use super::{Element, bf16, f16, non_finite};

    floats! {
        f16: |number: i64| f16::from_f64(number as f64), |number: u64| f16::from_f64(number as f64), f16::from_f64;
        bf16: |number: i64| bf16::from_f64(number as f64), |number: u64| bf16::from_f64(number as f64), bf16::from_f64;
        f32: |number: i64| number as f32, |number: u64| number as f32, |number: f64| number as f32;
        f64: |number: i64| number as f64, |number: u64| number as f64, |number: f64| number;
    }
}

impl Element for bool {
    fn from_truth(truth: bool) -> Option<Self> {
        Some(truth)
    }
}

impl Element for String {
    fn from_text(text: &str) -> Option<Self> {
        (!text.contains('\0')).then(|| text.to_owned())
    }
}
