#!/usr/bin/env bash
# tonic 0.14.9: a message above the limit for decoding ends with OUT_OF_RANGE. gRPC's guide to status codes lists
# OUT_OF_RANGE among those that only applications generate, never a library; other libraries of gRPC say
# RESOURCE_EXHAUSTED. Seen: code 11 (OUT_OF_RANGE) for a message of 102 bytes where 50 are the limit. Ends with 1 if
# that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "finding-tonic"
version = "0.1.0"
edition = "2024"

[dependencies]
bytes = "=1.12.2"
http-body-util = "=0.1.5"
prost = "=0.14.6"
tokio = { version = "=1.54.1", features = ["macros", "rt"] }
tonic = { version = "=0.14.9", default-features = false, features = ["codegen"] }
tonic-prost = "=0.14.9"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use bytes::{BufMut, BytesMut};
use http_body_util::Full;
use prost::Message;
use tonic::{
    Code,
    codec::{Codec, Streaming},
};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let message = Text { text: "a".repeat(100) };
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    let mut codes = Vec::new();
    for limit in [message.encoded_len(), 50] {
        let decoder = ProstCodec::<Text, Text>::default().decoder();
        let mut stream = Streaming::new_request(decoder, Full::new(frame.clone().freeze()), None, Some(limit));
        let code = stream.message().await.map_or_else(|status| status.code(), |_| Code::Ok);
        println!("{} bytes, limit {limit}: code {} ({code:?})", message.encoded_len(), code as i32);
        codes.push(code);
    }
    std::process::exit(i32::from(codes != [Code::Ok, Code::OutOfRange]));
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml"
