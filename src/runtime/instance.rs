//! One ONNX Runtime session.

use std::path::Path;

use ort::session::{RunOptions, Session};

#[cfg(debug_assertions)]
use super::failpoint::Failpoint;
use super::{
    Runtime, RuntimeError, SessionOptions,
    catch_panic::catch_panic,
    convert,
    refused::{error_of_run, without_folders},
    signature,
};
use crate::{
    auth::RunPermit,
    model::{Signature, Tensor, Value},
};

/// A session: a loaded model that runs one request at a time.
#[derive(Debug)]
pub struct Instance {
    session: Session,
    signature: Signature,
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
                .and_then(|mut builder| builder.commit_from_file(file))
                .map_err(|error| RuntimeError::Load(without_folders(error.message())))
        })?;
        Self::of(session)
    }

    fn of(session: Session) -> Result<Self, RuntimeError> {
        let signature = signature::signature(session.inputs(), session.outputs())?;
        #[cfg(debug_assertions)]
        let failpoint = Failpoint::of(&session).inspect(|failpoint| failpoint.in_load());
        Ok(Self {
            session,
            signature,
            #[cfg(debug_assertions)]
            failpoint,
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
        let metadata =
            self.session.metadata().map_err(|error| RuntimeError::Load(error.message().to_owned()))?;
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
        let Self { session, signature, .. } = self;
        catch_panic(|| {
            #[cfg(debug_assertions)]
            if let Some(failpoint) = self.failpoint {
                failpoint.in_run(inputs);
            }
            let values = inputs
                .iter()
                .map(|(name, tensor)| Ok((*name, convert::input_value(tensor)?)))
                .collect::<Result<Vec<_>, RuntimeError>>()?;
            let mut outputs = session
                .run_with_options(values, options)
                .map_err(|error| error_of_run(error.code(), error.message()))?;
            signature
                .outputs
                .iter()
                .map(|spec| match outputs.remove(&spec.name) {
                    Some(value) => convert::output_value(&spec.name, value, inputs),
                    None => Err(RuntimeError::Run(format!("output `{}` was not given", spec.name))),
                })
                .collect()
        })
    }
}
