//! The types that a tensor's elements may have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Calls a macro with element types, each as its variant and its type in Rust: `all`, `numbers` or `integers`. A match
/// over the types needs one arm for all that are alike.
macro_rules! element_types {
    (integers => $callback:ident) => {
        $callback!(I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64)
    };
    (numbers => $callback:ident) => {
        $callback!(
            F16 ::half::f16, Bf16 ::half::bf16, F32 f32, F64 f64,
            I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64
        )
    };
    (all => $callback:ident) => {
        $callback!(
            F16 ::half::f16, Bf16 ::half::bf16, F32 f32, F64 f64,
            I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64,
            Bool bool, String ::std::string::String
        )
    };
}
pub(crate) use element_types;

/// The type of a tensor's elements, displayed with its name in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ElementType {
    /// 16-bit float
    #[serde(rename = "FP16")]
    F16,
    /// 16-bit float with the exponent of a 32-bit one
    #[serde(rename = "BF16")]
    Bf16,
    /// 32-bit float
    #[serde(rename = "FP32")]
    F32,
    /// 64-bit float
    #[serde(rename = "FP64")]
    F64,
    /// 8-bit signed integer
    #[serde(rename = "INT8")]
    I8,
    /// 16-bit signed integer
    #[serde(rename = "INT16")]
    I16,
    /// 32-bit signed integer
    #[serde(rename = "INT32")]
    I32,
    /// 64-bit signed integer
    #[serde(rename = "INT64")]
    I64,
    /// 8-bit unsigned integer
    #[serde(rename = "UINT8")]
    U8,
    /// 16-bit unsigned integer
    #[serde(rename = "UINT16")]
    U16,
    /// 32-bit unsigned integer
    #[serde(rename = "UINT32")]
    U32,
    /// 64-bit unsigned integer
    #[serde(rename = "UINT64")]
    U64,
    /// true or false
    #[serde(rename = "BOOL")]
    Bool,
    /// UTF-8 text
    #[serde(rename = "BYTES")]
    String,
}

impl ElementType {
    /// Lists all element types.
    fn all() -> impl Iterator<Item = Self> {
        macro_rules! list {
            ($($variant:ident $type:ty),*) => { [$(Self::$variant),*] };
        }
        element_types!(all => list).into_iter()
    }

    /// Returns the type with this name in the Open Inference Protocol; `None` if there is no such type.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all().find(|element_type| element_type.name() == name)
    }

    /// Lists all names in the Open Inference Protocol, separated by commas.
    #[must_use]
    pub fn names() -> String {
        Self::all().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the bytes of an element; `None` for strings, which vary.
    #[must_use]
    pub fn size_bytes(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::String => return None,
        })
    }

    /// Returns the name in the Open Inference Protocol, for example `FP32` or `INT64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "FP16",
            Self::Bf16 => "BF16",
            Self::F32 => "FP32",
            Self::F64 => "FP64",
            Self::I8 => "INT8",
            Self::I16 => "INT16",
            Self::I32 => "INT32",
            Self::I64 => "INT64",
            Self::U8 => "UINT8",
            Self::U16 => "UINT16",
            Self::U32 => "UINT32",
            Self::U64 => "UINT64",
            Self::Bool => "BOOL",
            Self::String => "BYTES",
        }
    }

    /// Returns true if the elements are floats.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
