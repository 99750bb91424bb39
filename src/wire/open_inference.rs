//! The Open Inference Protocol (v2): what is asked and answered, whichever transport it comes by.

mod answer;
mod classification;
mod elements;
mod input;
mod outputs;
mod parameters;
mod request;

pub use answer::{InferAnswer, write_infer_answer};
pub use outputs::{OutputError, OutputTensor, RequestedOutput, check_requested, output_tensors};
pub use request::{InferRequest, read_infer_request, read_raw_request};
