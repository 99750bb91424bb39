//! Injected failures for tests: a model's metadata requests them, and only debug builds have them.
//!
//! They stand in for failures of a library, so that the tests need no input that causes one.

use std::hint::black_box;

use ort::session::Session;

use crate::model::{Tensor, TensorData};

/// The entry of the metadata: `panic`, `panic at 13` or `stack of 6 MiB`.
const KEY: &str = "onnx_gateway.failpoint";

/// Stack that one call takes at least.
const FRAME_BYTES: usize = 4 << 10;

/// A failure that a model requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failpoint {
    /// A panic in each run.
    Panic,
    /// A panic in each run of inputs that hold this number.
    PanicAt(f32),
    /// Nested calls, in loading and in each run, until they take this many bytes of stack.
    Stack(usize),
}

impl Failpoint {
    /// Reads the failpoint from the metadata; `None` if the model requests no failure.
    pub(super) fn of(session: &Session) -> Option<Self> {
        Self::parse(&session.metadata().ok()?.custom(KEY)?)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "panic" {
            return Some(Self::Panic);
        }
        if let Some(number) = text.strip_prefix("panic at ") {
            return number.parse().ok().map(Self::PanicAt);
        }
        let mebibytes: usize = text.strip_prefix("stack of ")?.strip_suffix(" MiB")?.parse().ok()?;
        Some(Self::Stack(mebibytes << 20))
    }

    /// Fails as a model does while it loads.
    pub(super) fn in_load(self) {
        if let Self::Stack(bytes) = self {
            descend(bytes);
        }
    }

    /// Fails as a run with these inputs does.
    pub(super) fn in_run(self, inputs: &[(&str, &Tensor)]) {
        let fails = match self {
            Self::Panic => true,
            Self::PanicAt(number) => inputs.iter().any(|(_, tensor)| holds(tensor, number)),
            Self::Stack(bytes) => {
                descend(bytes);
                false
            }
        };
        assert!(!fails, "a failpoint");
    }
}

fn holds(tensor: &Tensor, number: f32) -> bool {
    matches!(tensor.data(), TensorData::F32(elements) if elements.contains(&number))
}

/// Takes this many bytes of stack, and returns.
fn descend(bytes: usize) {
    let frame = [0_u8; FRAME_BYTES];
    black_box(&frame);
    if bytes > FRAME_BYTES {
        descend(bytes - FRAME_BYTES);
    }
    black_box(&frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_says_which_failure() {
        assert_eq!(Failpoint::parse("panic"), Some(Failpoint::Panic));
        assert_eq!(Failpoint::parse("panic at 13"), Some(Failpoint::PanicAt(13.0)));
        assert_eq!(Failpoint::parse("stack of 6 MiB"), Some(Failpoint::Stack(6 << 20)));
        assert_eq!(Failpoint::parse("none"), None);
    }
}
