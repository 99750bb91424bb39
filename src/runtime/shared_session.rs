//! One ONNX Runtime session that several threads run at once.
//!
//! `ort` gives a run only to `&mut Session`, because some execution providers do not bear two runs of a session at once.
//! The provider of the CPU does, and sessions have no other ([`SessionOptions`](super::SessionOptions)). So instances of
//! a model can share a session: its weights, and the form that its operators made of them, are in memory once.

use std::{
    ffi::{CString, NulError, c_char},
    ptr::{self, NonNull},
};

use ort::{
    AsPointer,
    memory::Allocator,
    session::{RunOptions, Session, SessionInputValue},
    sys::OrtValue,
    value::{DynValue, Outlet},
};
use smallvec::{SmallVec, smallvec};

use super::RuntimeError;

/// Inputs and outputs of a run that are listed without an allocation.
const USUAL: usize = 6;

/// A list with an entry for each input or output.
type List<T> = SmallVec<[T; USUAL]>;

/// A session whose runs need no exclusive access.
#[derive(Debug)]
pub(super) struct SharedSession {
    session: Session,
    /// Names of the inputs in the order of the signature.
    inputs: Vec<CString>,
    /// Names of the outputs in the order of the signature.
    outputs: Vec<CString>,
}

impl SharedSession {
    /// Takes a session. It must have no execution provider but the CPU's.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unsupported`] when a name holds a NUL byte.
    pub(super) fn new(session: Session) -> Result<Self, RuntimeError> {
        let (inputs, outputs) = (names(session.inputs()), names(session.outputs()));
        let unsupported = |error: NulError| RuntimeError::Unsupported(format!("a name of it: {error}"));
        Ok(Self { inputs: inputs.map_err(unsupported)?, outputs: outputs.map_err(unsupported)?, session })
    }

    /// Returns the session, for reading.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Runs the session on inputs by name. Returns every output in the order of the signature. Their memory is that of
    /// `allocator`, which is one of this session.
    ///
    /// Blocks until the run is over. `options` can end it early from another thread, and ends no other run.
    ///
    /// # Errors
    ///
    /// When there is no such input, or the run fails.
    pub(super) fn run(
        &self,
        inputs: &[(&str, SessionInputValue<'_>)],
        allocator: &Allocator,
        options: &RunOptions,
    ) -> ort::Result<List<DynValue>> {
        let mut names = List::with_capacity(inputs.len());
        for (position, (name, _)) in inputs.iter().enumerate() {
            names.push(self.input(position, name)?.as_ptr());
        }
        let values: List<&SessionInputValue<'_>> = inputs.iter().map(|(_, value)| value).collect();
        self.call(&names, &values, allocator, options)
    }

    /// Returns the name of an input, which is usually given at its position in the signature.
    fn input(&self, position: usize, name: &str) -> ort::Result<&CString> {
        let is_it = |known: &&CString| known.as_bytes() == name.as_bytes();
        let known = self.inputs.get(position).filter(is_it).or_else(|| self.inputs.iter().find(is_it));
        known.ok_or_else(|| ort::Error::new(format!("there is no input `{name}`")))
    }

    #[expect(unsafe_code, reason = "ort has no safe form of a run without `&mut Session`")]
    fn call(
        &self,
        names: &[*const c_char],
        values: &[&SessionInputValue<'_>],
        allocator: &Allocator,
        options: &RunOptions,
    ) -> ort::Result<List<DynValue>> {
        let values: List<*const OrtValue> = values.iter().map(|value| value.ptr()).collect();
        let outputs: List<*const c_char> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut results: List<*mut OrtValue> = smallvec![ptr::null_mut(); outputs.len()];
        // SAFETY: every pointer is valid during the call: the session and the names of outputs belong to `self`, the
        // names of inputs, the values and the options are borrowed by the caller. Each list is as long as the call is
        // told, and a null result asks ONNX Runtime to allocate it. Several threads may be here with one session:
        // ONNX Runtime allows `Run` from any number of threads (`InferenceSession::Run` in its inference_session.h:
        // "Multiple threads are allowed to run this function; hence its thread-safe"). It keeps the state of a run in
        // the run, and locks what runs share. Providers for which that does not hold are of other devices. Everything
        // else that is done with `self.session` reads it.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                options.ptr(),
                names.as_ptr(),
                values.as_ptr(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                results.as_mut_ptr(),
            )
        };
        // SAFETY: the status is that of the call above, and is given away once.
        unsafe { ort::Error::result_from_status(status) }?;
        let missing = || ort::Error::new("an output was not given");
        let own = |result: *mut OrtValue| {
            let result = NonNull::new(result).ok_or_else(missing)?;
            // SAFETY: the run succeeded, so this is a value, and nothing else owns it. A tensor owns its memory in
            // ONNX Runtime; `ort` keeps the allocator for as long.
            Ok(unsafe { DynValue::from_ptr(result, Some(allocator)) })
        };
        results.into_iter().map(own).collect()
    }
}

fn names(outlets: &[Outlet]) -> Result<Vec<CString>, NulError> {
    outlets.iter().map(|outlet| CString::new(outlet.name())).collect()
}
