//! The outputs of a response: the requested ones, in that order, each as one tensor.

use std::borrow::Cow;

use super::{Place, classification, output_error::OutputError, parameters::Parameters};
use crate::{
    codec::FieldError,
    model::{Contract, Signature, Tensor, Value},
};

/// A requested output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    /// The name of the output.
    pub name: String,
    /// Number of greatest elements to return in its place (extension `classification`).
    pub classes: Option<usize>,
    /// True if it is requested as bytes, if the transport also has another form.
    pub binary: bool,
}

impl RequestedOutput {
    /// Reads the output requested at a place; `binary_outputs` is the default for its form.
    ///
    /// # Errors
    ///
    /// If a parameter is not valid.
    pub fn read(
        place: Place,
        name: String,
        parameters: &Parameters,
        binary_outputs: bool,
    ) -> Result<Self, FieldError> {
        parameters.check_tensor(place)?;
        let classes = parameters.positive_count(place, "classification")?;
        let binary = parameters.truth(place, "binary_data")?.unwrap_or(binary_outputs);
        Ok(Self { name, classes, binary })
    }
}

/// An output in the form of the protocol.
#[derive(Debug)]
pub struct OutputTensor<'v> {
    /// The name of the output.
    pub name: &'v str,
    /// The elements of the output.
    pub tensor: Cow<'v, Tensor>,
    /// True if it is requested as bytes, if the transport also has another form.
    pub binary: bool,
}

/// Checks the requested outputs before the model runs.
///
/// # Errors
///
/// Every output that the model does not have, or that is requested twice.
pub fn check_requested(requested: &[RequestedOutput], signature: &Signature) -> Result<(), Vec<FieldError>> {
    let mut faults = Vec::new();
    for (index, output) in requested.iter().enumerate() {
        let name = &output.name;
        let fault = if signature.output_position(name).is_none() {
            let known: Vec<&str> = signature.outputs.iter().map(|spec| spec.name.as_str()).collect();
            ("unknown_output", format!("the model has no output `{name}`; it has [{}]", known.join(", ")))
        } else if requested[..index].iter().any(|before| before.name == *name) {
            ("duplicate", format!("`{name}` is requested more than once"))
        } else {
            continue;
        };
        faults.push(FieldError::new(format!("/outputs/{index}/name"), fault.0, fault.1));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns the requested outputs; `values` are in the order of the signature.
///
/// # Errors
///
/// If the protocol cannot carry a requested output.
pub fn output_tensors<'v>(
    signature: &'v Signature,
    contract: &Contract,
    values: &'v [Value],
    requested: &[RequestedOutput],
    binary_outputs: bool,
) -> Result<Vec<OutputTensor<'v>>, OutputError> {
    let named = || signature.outputs.iter().zip(values);
    if requested.is_empty() {
        return named()
            .map(|(spec, value)| {
                let tensor = tensor(&spec.name, value)?;
                Ok(OutputTensor { name: &spec.name, tensor, binary: binary_outputs })
            })
            .collect();
    }
    let wanted = requested.iter().filter_map(|output| {
        named().find(|(spec, _)| spec.name == output.name).map(|(spec, value)| (output, spec, value))
    });
    wanted
        .map(|(output, spec, value)| {
            let tensor = tensor(&spec.name, value)?;
            let tensor = match output.classes {
                Some(classes) => {
                    Cow::Owned(classification::greatest(spec, value, &tensor, contract, classes)?)
                }
                None => tensor,
            };
            Ok(OutputTensor { name: &spec.name, tensor, binary: output.binary })
        })
        .collect()
}

fn tensor<'v>(name: &str, value: &'v Value) -> Result<Cow<'v, Tensor>, OutputError> {
    value.as_tensor().ok_or_else(|| OutputError::NotATensor(name.to_owned(), value.kind()))
}
