//! Tensor elements as JSON, with the same bytes that `serde_json` writes for a [`Scalar`].

use half::{bf16, f16};

use crate::model::{Scalar, non_finite_text};

/// An element type that can be written as JSON.
pub(crate) trait JsonElement {
    /// Appends the element to `out`. Numbers that JSON does not have are written as texts.
    fn write(&self, out: &mut Vec<u8>);

    /// Returns the element as a class label, in the form of [`Contract::label`](crate::model::Contract::label); `None`
    /// if its type has no labels.
    fn label(&self) -> Option<Scalar<'_>> {
        None
    }
}

macro_rules! integers {
    ($($integer:ty: $label:ident;)*) => {
        $(impl JsonElement for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }

            fn label(&self) -> Option<Scalar<'_>> {
                Some(Scalar::$label((*self).into()))
            }
        })*
    };
}

integers! {
    i8: Integer;
    i16: Integer;
    i32: Integer;
    i64: Integer;
    u8: Integer;
    u16: Integer;
    u32: Integer;
    u64: Unsigned;
}

impl JsonElement for usize {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

macro_rules! floats {
    ($($float:ty),*) => {
        $(impl JsonElement for $float {
            fn write(&self, out: &mut Vec<u8>) {
                if self.is_finite() {
                    out.extend_from_slice(zmij::Buffer::new().format_finite(*self).as_bytes());
                } else {
                    write_non_finite((*self).into(), out);
                }
            }
        })*
    };
}

floats!(f32, f64);

impl JsonElement for f16 {
    fn write(&self, out: &mut Vec<u8>) {
        f32::from(*self).write(out);
    }
}

impl JsonElement for bf16 {
    fn write(&self, out: &mut Vec<u8>) {
        f32::from(*self).write(out);
    }
}

impl JsonElement for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl JsonElement for str {
    fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(out, self);
    }
}

impl JsonElement for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }

    fn label(&self) -> Option<Scalar<'_>> {
        Some(Scalar::Text(self))
    }
}

impl JsonElement for Scalar<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(value) => value.write(out),
            Self::Unsigned(value) => value.write(out),
            Self::Single(value) => value.write(out),
            Self::Double(value) => value.write(out),
            Self::Bool(value) => value.write(out),
            Self::Text(value) => value.write(out),
        }
    }

    fn label(&self) -> Option<Scalar<'_>> {
        Some(*self)
    }
}

#[cold]
fn write_non_finite(number: f64, out: &mut Vec<u8>) {
    non_finite_text(number).write(out);
}
