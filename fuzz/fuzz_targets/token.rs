//! See the target of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onnx_gateway_fuzz::token::run(data));
