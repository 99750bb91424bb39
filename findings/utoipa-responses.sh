#!/usr/bin/env bash
# utoipa 6.0.0: the schema of an answer that a path names itself is collected into the document. Of one that
# derive(IntoResponses) names, only the reference is written, so the document points at what is not there. Seen: `$ref`
# to #/components/schemas/Answer in both documents, and the schema in the first only; no error or warning. Ends with 1
# if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "finding-utoipa"
version = "0.1.0"
edition = "2024"

[dependencies]
serde_json = "=1.0.154"
utoipa = "=6.0.0"
TOML
cat >"$folder/src/main.rs" <<'RUST'
#![allow(dead_code)]
use utoipa::{IntoResponses, OpenApi, ToSchema};

#[derive(ToSchema)]
struct Answer {
    text: String,
}

#[derive(IntoResponses)]
enum Responses {
    /// What was asked for.
    #[response(status = 200)]
    Ok(Answer),
}

#[utoipa::path(get, path = "/", responses((status = 200, description = "What was asked for.", body = Answer)))]
fn named_by_path() {}

#[utoipa::path(get, path = "/", responses(Responses))]
fn named_by_derive() {}

#[derive(OpenApi)]
#[openapi(paths(named_by_path))]
struct ByPath;

#[derive(OpenApi)]
#[openapi(paths(named_by_derive))]
struct ByDerive;

fn main() {
    let mut seen = Vec::new();
    for (name, document) in [("path", ByPath::openapi()), ("derive", ByDerive::openapi())] {
        let document = serde_json::to_value(document).unwrap();
        let schema = &document["paths"]["/"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let reference = schema["$ref"].as_str().unwrap();
        let is_there = document.pointer(reference.trim_start_matches('#')).is_some();
        println!("named by the {name}: reference to {reference}, which is there: {is_there}");
        seen.push(is_there);
    }
    std::process::exit(i32::from(seen != [true, false]));
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml"
