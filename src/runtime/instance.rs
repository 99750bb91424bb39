//! An instance of a loaded model.

use std::{path::Path, sync::Arc};

use ort::session::RunOptions;

#[cfg(debug_assertions)]
use super::failpoint::Failpoint;
use super::{
    Runtime, RuntimeError, SessionOptions,
    catch_panic::catch_panic,
    convert,
    refused::{error_of_run, without_folders},
    session_options::CpuSession,
    shared_session::SharedSession,
    signature,
};
use crate::{
    auth::RunPermit,
    model::{Signature, Tensor, Value},
};

/// A loaded model that runs one request at a time. Instances may share a session ([`Instance::another`]).
#[derive(Debug)]
pub struct Instance {
    session: SharedSession,
    signature: Arc<Signature>,
    #[cfg(debug_assertions)]
    failpoint: Option<Failpoint>,
}

impl Instance {
    /// Loads a model file. The file must not change while the instance lives.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Load`] when ONNX Runtime refuses the file or cannot write the optimized one,
    /// [`RuntimeError::Unsupported`] when an input cannot be fed or an output not be read.
    pub fn load(runtime: Runtime, file: &Path, options: &SessionOptions) -> Result<Self, RuntimeError> {
        let session = catch_panic(|| {
            options
                .builder(runtime)
                .and_then(|builder| builder.load(file))
                .map_err(|error| RuntimeError::Load(without_folders(error.message())))
        })?;
        Self::of(session)
    }

    fn of(session: CpuSession) -> Result<Self, RuntimeError> {
        let signature = signature::signature(session.get().inputs(), session.get().outputs())?;
        #[cfg(debug_assertions)]
        let failpoint = Failpoint::of(session.get()).inspect(|failpoint| failpoint.in_load());
        Ok(Self {
            session: SharedSession::new(session)?,
            signature: Arc::new(signature),
            #[cfg(debug_assertions)]
            failpoint,
        })
    }

    /// Returns one more instance of the same session. Both can run at the same time, and take hardly more memory than
    /// one: the session holds the weights. If the session has threads, they share those too.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Load`] when ONNX Runtime gives no allocator.
    pub fn another(&self) -> Result<Self, RuntimeError> {
        Ok(Self {
            session: self.session.another()?,
            signature: Arc::clone(&self.signature),
            #[cfg(debug_assertions)]
            failpoint: self.failpoint,
        })
    }

    /// Returns the model's inputs and outputs.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Returns a property of the model's metadata; `None` if it has no such property.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Load`] when the metadata cannot be read.
    pub fn metadata(&self, key: &str) -> Result<Option<String>, RuntimeError> {
        let metadata = self.session.session().metadata();
        let metadata = metadata.map_err(|error| RuntimeError::Load(error.message().to_owned()))?;
        Ok(metadata.custom(key))
    }

    /// Runs the model on inputs by name, if the run is permitted. Returns every output in the order of the signature.
    ///
    /// Blocks until the run is over. `options` can end it early from another thread.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Refused`] when the model rejects these inputs, [`RuntimeError::Run`] when it fails,
    /// [`RuntimeError::Panicked`] when `ort` panics.
    pub fn run(
        &mut self,
        inputs: &[(&str, &Tensor)],
        options: &RunOptions,
        _: RunPermit,
    ) -> Result<Vec<Value>, RuntimeError> {
        catch_panic(|| {
            #[cfg(debug_assertions)]
            if let Some(failpoint) = self.failpoint {
                failpoint.in_run(inputs);
            }
            let values = inputs
                .iter()
                .map(|(name, tensor)| Ok((*name, convert::input_value(tensor)?)))
                .collect::<Result<Vec<_>, RuntimeError>>()?;
            let outputs = self
                .session
                .run(&values, options)
                .map_err(|error| error_of_run(error.code(), error.message()))?;
            let named = self.signature.outputs.iter().zip(outputs);
            named.map(|(spec, value)| convert::output_value(&spec.name, value, inputs)).collect()
        })
    }
}
