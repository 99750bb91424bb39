//! The least that a server written with axum can do: reads one row of JSON, or bytes, and writes them back. The
//! yardstick.

use std::{io, net::SocketAddr};

use axum::{Json, Router, body::Bytes, routing::post};
use clap::Parser;
use serde::{Deserialize, Serialize};

/// Answers each POST with the row that it brings, or with its bytes.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
}

#[derive(Deserialize, Serialize)]
struct Row {
    features: Vec<f64>,
}

async fn echo(Json(row): Json<Row>) -> Json<Row> {
    Json(row)
}

async fn echo_bytes(bytes: Bytes) -> Bytes {
    bytes
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(Arguments::parse().listen).await?;
    let routes = Router::new().route("/predict", post(echo)).route("/bytes", post(echo_bytes));
    axum::serve(listener, routes).await
}
