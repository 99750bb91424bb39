//! One ONNX Runtime session that several threads run at once.
//!
//! `ort` gives a run only to `&mut Session`, because some execution providers do not bear two runs of a session at once.
//! The provider of the CPU does, and a [`CpuSession`] has no other. So instances of a model can share a session: its weights, and the form that its operators made of them, are in memory once.

use std::{
    ffi::{CStr, CString, NulError, c_char},
    ptr::{self, NonNull},
    sync::Arc,
};

use ort::{
    AsPointer,
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{RunOptions, Session, SessionInputValue},
    sys::OrtValue,
    value::{DynValue, Outlet},
};
use smallvec::{SmallVec, smallvec};

use super::{RuntimeError, session_options::CpuSession};

/// The most inputs or outputs that are listed without an allocation.
const LISTED_INLINE: usize = 6;

/// A list with an entry for each input or output.
type List<T> = SmallVec<[T; LISTED_INLINE]>;

/// A handle of a session. Each thread that runs the session has one.
#[derive(Debug)]
pub(super) struct SharedSession {
    inner: Arc<Inner>,
    /// The memory of outputs. `ort` shares no allocator between threads.
    allocator: Allocator,
}

#[derive(Debug)]
struct Inner {
    session: CpuSession,
    /// Names of the inputs in the order of the signature.
    inputs: Vec<CString>,
    /// Names of the outputs in the order of the signature.
    outputs: Vec<CString>,
}

impl SharedSession {
    /// Takes a session.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Load`] when a name holds a NUL byte, or ONNX Runtime gives no allocator.
    pub(super) fn new(session: CpuSession) -> Result<Self, RuntimeError> {
        let (inputs, outputs) = (names(session.get().inputs())?, names(session.get().outputs())?);
        Self::of(Arc::new(Inner { session, inputs, outputs }))
    }

    /// Returns another handle of the session, for another thread.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Load`] when ONNX Runtime gives no allocator.
    pub(super) fn another(&self) -> Result<Self, RuntimeError> {
        Self::of(Arc::clone(&self.inner))
    }

    fn of(inner: Arc<Inner>) -> Result<Self, RuntimeError> {
        let allocator = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)
            .and_then(|info| Allocator::new(inner.session.get(), info))
            .map_err(|error| RuntimeError::Load(error.message().to_owned()))?;
        Ok(Self { inner, allocator })
    }

    /// Returns the session, for reading.
    pub(super) fn session(&self) -> &Session {
        self.inner.session.get()
    }

    /// Runs the session on inputs by name. Returns every output in the order of the signature.
    ///
    /// Blocks until the run is over. `options` can end it early from another thread, and ends no other run.
    ///
    /// # Errors
    ///
    /// When there is no such input, or the run fails.
    pub(super) fn run(
        &self,
        inputs: &[(&str, SessionInputValue<'_>)],
        options: &RunOptions,
    ) -> ort::Result<List<DynValue>> {
        let inputs = inputs.iter().enumerate();
        let named = inputs.map(|(position, (name, value))| Ok((self.input(position, name)?, value)));
        self.call(&named.collect::<ort::Result<List<_>>>()?, options)
    }

    /// Returns the name of an input, which is usually given at its position in the signature.
    fn input(&self, position: usize, name: &str) -> ort::Result<&CStr> {
        let matches = |known: &&CString| known.as_bytes() == name.as_bytes();
        let inputs = &self.inner.inputs;
        let known = inputs.get(position).filter(matches).or_else(|| inputs.iter().find(matches));
        known.map(CString::as_c_str).ok_or_else(|| ort::Error::new(format!("there is no input `{name}`")))
    }

    #[expect(unsafe_code, reason = "ort has no safe form of a run without `&mut Session`")]
    fn call(
        &self,
        inputs: &[(&CStr, &SessionInputValue<'_>)],
        options: &RunOptions,
    ) -> ort::Result<List<DynValue>> {
        let names: List<*const c_char> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
        let values: List<*const OrtValue> = inputs.iter().map(|(_, value)| value.ptr()).collect();
        let outputs: List<*const c_char> = self.inner.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut results: List<*mut OrtValue> = smallvec![ptr::null_mut(); outputs.len()];
        // SAFETY: every pointer is valid during the call: the session and the names of outputs belong to `self`, and
        // inputs and options are borrowed by it. Each list is as long as the call is told, and a null result asks ONNX
        // Runtime to allocate it. Several threads may be here with one session: ONNX Runtime allows `Run` from any
        // number of threads (`InferenceSession::Run` in its inference_session.h: "Multiple threads are allowed to run
        // this function; hence its thread-safe"). It keeps the state of a run in the run, and locks what runs share.
        // Providers for which that does not hold are of other devices, which a `CpuSession` has not. Everything else that is done with the session
        // reads it.
        let status = unsafe {
            (ort::api().Run)(
                self.inner.session.get().ptr().cast_mut(),
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
            // SAFETY: the run succeeded, so this is a value, and nothing else owns it. A tensor has its memory
            // from the session's allocator for the CPU, which is this one, and `ort` keeps it for as long.
            Ok(unsafe { DynValue::from_ptr(result, Some(&self.allocator)) })
        };
        results.into_iter().map(own).collect()
    }
}

fn names(outlets: &[Outlet]) -> Result<Vec<CString>, RuntimeError> {
    let error = |error: NulError| RuntimeError::Load(format!("a name of an input or output: {error}"));
    outlets.iter().map(|outlet| CString::new(outlet.name()).map_err(error)).collect()
}
