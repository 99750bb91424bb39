//! Why a candidate does not serve.

use std::fmt;

use crate::runtime::RuntimeError;

/// The reason in one stable word, for metrics and programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file cannot be read.
    Unreadable,
    /// ONNX Runtime cannot load it: truncated, no model, an unknown operator.
    LoadFailed,
    /// It needs something that the gateway cannot give.
    Unsupported,
    /// Its contract is wrong or does not fit it.
    InvalidContract,
    /// It would break the callers of the version that it replaces.
    IncompatibleSignature,
    /// It loads but fails when it is run.
    RunFailed,
    /// It does not end when it is run.
    TimedOut,
    /// It answers a golden case otherwise than it must.
    GoldenMismatch,
    /// It answers NaN or infinity.
    NonFiniteOutput,
}

impl Reason {
    /// The word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::LoadFailed => "load_failed",
            Self::Unsupported => "unsupported",
            Self::InvalidContract => "invalid_contract",
            Self::IncompatibleSignature => "incompatible_signature",
            Self::RunFailed => "run_failed",
            Self::TimedOut => "timed_out",
            Self::GoldenMismatch => "golden_mismatch",
            Self::NonFiniteOutput => "non_finite_output",
        }
    }
}

/// A candidate that was not put into service, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// In one word.
    pub reason: Reason,
    /// In a sentence.
    pub detail: String,
}

impl Refusal {
    /// A refusal for this reason.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason.code(), self.detail)
    }
}

impl From<RuntimeError> for Refusal {
    fn from(error: RuntimeError) -> Self {
        let reason = match error {
            RuntimeError::Unsupported(_) => Reason::Unsupported,
            RuntimeError::Run(_) | RuntimeError::Panicked(_) | RuntimeError::Overloaded => Reason::RunFailed,
            RuntimeError::Load(_) | RuntimeError::Library(_) | RuntimeError::LibraryNotFound(_) => {
                Reason::LoadFailed
            }
        };
        Self::new(reason, error.to_string())
    }
}
