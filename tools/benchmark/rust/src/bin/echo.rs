//! The least that a JSON server written with axum can do: reads one row and writes it back. The yardstick.

use std::{io, net::SocketAddr};

use axum::{Json, Router, routing::post};
use clap::Parser;
use serde::{Deserialize, Serialize};

/// Answers each POST with the row that it brings.
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

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(Arguments::parse().listen).await?;
    axum::serve(listener, Router::new().route("/predict", post(echo))).await
}
