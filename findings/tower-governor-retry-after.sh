#!/usr/bin/env bash
# tower_governor 0.8.0: `retry-after` of a 429 is the wait in whole seconds, rounded down. A client that waits for as
# long as it says is too early, and is refused again. Seen, with one request each 1.9 seconds: 429 with `retry-after:
# 1`, and 429 once more after 1 second. With one each 0.9 seconds the header says 0. Ends with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"

[dependencies]
axum = { version = "=0.8.9", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
tower = { version = "=0.5.3", features = ["util"] }
tower_governor = { version = "=0.8.0", default-features = false, features = ["axum"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::time::Duration;

use axum::{Router, body::Body, http::Request, routing::get};
use tower::ServiceExt;
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor};

fn limited(milliseconds: u64) -> Router {
    let mut builder = GovernorConfigBuilder::default().key_extractor(GlobalKeyExtractor);
    let config = builder.per_millisecond(milliseconds).burst_size(1).finish().unwrap();
    Router::new().route("/", get(|| async { "answered" })).layer(GovernorLayer::new(config))
}

async fn ask(router: &Router) -> (u16, Option<u64>) {
    let response = router.clone().oneshot(Request::new(Body::empty())).await.unwrap();
    let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    println!("  {}, retry-after {wait:?}", response.status());
    (response.status().as_u16(), wait)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("one request each 1900 ms:");
    let router = limited(1900);
    let mut seen = vec![ask(&router).await, ask(&router).await];
    let wait = seen[1].1.unwrap();
    println!("  after {wait} s:");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    seen.push(ask(&router).await);
    println!("one request each 900 ms:");
    let router = limited(900);
    seen.extend([ask(&router).await, ask(&router).await]);
    let expected = [(200, None), (429, Some(1)), (429, Some(0)), (200, None), (429, Some(0))];
    std::process::exit(i32::from(seen != expected));
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml"
