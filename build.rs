//! Makes Rust of the description of the gRPC service. `protox` reads it, so that nobody needs `protoc`.
#![allow(clippy::allow_attributes, reason = "an expectation would be one of every build of this file")]

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const DIRECTORY: &str = "src/protocols/open_inference/grpc";
const DESCRIPTION: &str = "open_inference.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DIRECTORY}/{DESCRIPTION}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut description = protox::compile([DESCRIPTION], [DIRECTORY])?;

    // What the gateway serves. Bytes stay where they were received.
    tonic_prost_build::configure()
        .bytes(".")
        // What is said of parameters does not depend on chance.
        .btree_map(".")
        .build_client(false)
        .build_transport(false)
        .codec_path("crate::edge::grpc::codec::Codec")
        .compile_fds(description.clone())?;

    // What tests ask it with, of the same messages.
    let client = out.join("client");
    fs::create_dir_all(&client)?;
    tonic_prost_build::configure()
        .out_dir(client)
        .extern_path(".inference", "::onnx_gateway::protocols::open_inference::grpc::proto")
        .build_server(false)
        .build_transport(false)
        .compile_fds(description.clone())?;

    // What reflection tells; comments are no part of it.
    for file in &mut description.file {
        file.source_code_info = None;
    }
    fs::write(out.join("open_inference.bin"), description.encode_to_vec())?;
    Ok(())
}
