//! Reasons why a candidate does not serve.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::{model::Change, runtime::RuntimeError};

/// The reason as a stable code, for metrics and programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The file cannot be read.
    Unreadable,
    /// The file, or one that it needs, lies outside of the model's folder.
    OutsideFolder,
    /// The file is not an ONNX model.
    NotOnnx,
    /// The file is truncated, or a file that it needs is missing.
    Truncated,
    /// The digest is not among those that the pin allows.
    DigestMismatch,
    /// The signature that the pin demands is missing or wrong.
    SignatureMismatch,
    /// The configuration beside it in the repository is invalid.
    InvalidConfig,
    /// ONNX Runtime cannot load it: an unknown operator, shapes that do not fit.
    LoadFailed,
    /// A feature that the gateway does not support is needed.
    Unsupported,
    /// The contract is invalid or does not fit the model.
    InvalidContract,
    /// Callers of the version that it replaces would break.
    IncompatibleSignature,
    /// The model loads but fails when it is run.
    RunFailed,
    /// The time limit was exceeded.
    TimedOut,
    /// The memory limit was exceeded.
    MemoryLimit,
    /// The process that loaded it crashed.
    Crashed,
    /// A system call or a write that the sandbox forbids was attempted.
    SandboxViolation,
    /// The kernel cannot provide the sandbox that the settings require.
    SandboxUnavailable,
    /// The outputs of a golden case differ from the expected ones.
    GoldenMismatch,
    /// An output holds NaN or infinity.
    NonFiniteOutput,
    /// Memory does not suffice for it beside what serves.
    InsufficientMemory,
    /// The private copy cannot be stored.
    StorageUnavailable,
    /// The content served and was rolled back.
    RolledBack,
    /// The proof itself failed.
    ProofFailed,
}

impl Reason {
    /// Returns the stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::OutsideFolder => "outside_folder",
            Self::NotOnnx => "not_onnx",
            Self::Truncated => "truncated",
            Self::DigestMismatch => "digest_mismatch",
            Self::SignatureMismatch => "signature_mismatch",
            Self::InvalidConfig => "invalid_config",
            Self::LoadFailed => "load_failed",
            Self::Unsupported => "unsupported",
            Self::InvalidContract => "invalid_contract",
            Self::IncompatibleSignature => "incompatible_signature",
            Self::RunFailed => "run_failed",
            Self::TimedOut => "timed_out",
            Self::MemoryLimit => "memory_limit",
            Self::Crashed => "crashed",
            Self::SandboxViolation => "sandbox_violation",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::GoldenMismatch => "golden_mismatch",
            Self::NonFiniteOutput => "non_finite_output",
            Self::InsufficientMemory => "insufficient_memory",
            Self::StorageUnavailable => "storage_unavailable",
            Self::RolledBack => "rolled_back",
            Self::ProofFailed => "proof_failed",
        }
    }

    /// Returns true if the reason is transient: it says nothing about the bytes, so they are tried again.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unreadable | Self::InsufficientMemory | Self::StorageUnavailable | Self::ProofFailed
        )
    }
}

/// The refusal of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// The reason as a code.
    pub reason: Reason,
    /// The reason as a sentence.
    pub detail: String,
}

impl Refusal {
    /// Creates a refusal for this reason.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// Returns the refusal of a copy whose files were removed while it was tried, whatever the result. `None` if they
    /// are there.
    #[must_use]
    pub fn of_lost_copy(snapshot: &Snapshot) -> Option<Self> {
        let detail = "its private copy was removed from models.state_directory while it was proven";
        (!snapshot.is_there()).then(|| Self::new(Reason::StorageUnavailable, detail))
    }

    /// Returns the refusal of a model with these changes from the one it would replace. `None` if no caller would
    /// break.
    #[must_use]
    pub fn of_changes(changes: &[Change]) -> Option<Self> {
        let breaking = changes.iter().filter(|change| change.breaks);
        let breaking: Vec<&str> = breaking.map(|change| change.sentence.as_str()).collect();
        (!breaking.is_empty()).then(|| {
            let detail = format!(
                "callers of the version in service would break: {}; give it another version number, or set \
                 allow_breaking_changes in model.toml",
                breaking.join("; ")
            );
            Self::new(Reason::IncompatibleSignature, detail)
        })
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
            RuntimeError::Run(_)
            | RuntimeError::Refused { .. }
            | RuntimeError::Panicked(_)
            | RuntimeError::Overloaded
            | RuntimeError::TooLate
            | RuntimeError::Internal(_) => Reason::RunFailed,
            RuntimeError::Load(_) | RuntimeError::Library(_) | RuntimeError::LibraryNotFound(_) => {
                Reason::LoadFailed
            }
        };
        let text = error.to_string();
        let hint = if reason == Reason::LoadFailed { unknown_operator(&text) } else { None };
        Self::new(reason, text + &hint.unwrap_or_default())
    }
}

/// Explains an operator that ONNX Runtime does not know; the message names it with its domain.
fn unknown_operator(message: &str) -> Option<String> {
    let (before, _) = message.split_once(UNKNOWN_OPERATOR)?;
    let named = before.rsplit([' ', '(']).next();
    let domain = named.and_then(|word| word.rsplit_once(':')).map_or("", |(domain, _)| domain);
    Some(match domain {
        "" => String::new(),
        EXTENSIONS => {
            "; its operators are those of the package onnxruntime-extensions, which is not supported: \
                       export the model without its pre- and post-processing"
                .to_owned()
        }
        domain => format!(
            "; operators of the domain `{domain}` come with a library of their own, which is not supported: \
             export the model without them"
        ),
    })
}

/// ONNX Runtime's words after the operator's name.
const UNKNOWN_OPERATOR: &str = "(-1) is not a registered function";

/// The domain of the operators of onnxruntime-extensions.
const EXTENSIONS: &str = "ai.onnx.contrib";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_that_is_not_known_is_named_with_its_domain_and_what_to_do() {
        let refusal = |operator: &str| {
            let text = format!(
                "Load model from m.onnx failed:Fatal error: {operator}(-1) is not a registered function"
            );
            Refusal::from(RuntimeError::Load(text)).detail
        };
        let contrib = refusal("ai.onnx.contrib:StringLower");
        assert!(contrib.contains("ai.onnx.contrib:StringLower(-1)"), "{contrib}");
        assert!(
            contrib.contains("; its operators are those of the package onnxruntime-extensions"),
            "{contrib}"
        );
        assert!(refusal("com.example:Frob").contains("; operators of the domain `com.example` come with"));
        assert!(refusal("Frob").ends_with("is not a registered function"), "{}", refusal("Frob"));
    }
}
