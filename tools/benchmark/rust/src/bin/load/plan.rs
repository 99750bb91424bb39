//! The plan of a run: requests, connections and times.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use benchmark::bodies;
use clap::Parser;

use crate::transport::Tls;

/// Asks a server, over HTTP/1.1 or gRPC, with connections that stay open, each with one request at a time, over gRPC
/// with as many as there are streams.
#[derive(Parser)]
pub struct Arguments {
    /// Where the server listens.
    #[arg(long)]
    address: SocketAddr,
    /// The path of each request.
    #[arg(long)]
    path: String,
    /// `name: value`, for each request; repeatable.
    #[arg(long)]
    header: Vec<String>,
    /// A file of bodies, each behind its length as a little-endian `u32`; they are sent in turn.
    #[arg(long)]
    bodies: PathBuf,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Time that is measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Time before that, in which nothing is counted.
    #[arg(long, default_value_t = 0.5)]
    warmup_seconds: f64,
    /// Requests per second, sent when they are due whatever became of those before; without: as fast as answers come.
    #[arg(long)]
    rate: Option<f64>,
    /// The certificate of a server that speaks TLS, as PEM.
    #[arg(long)]
    tls_certificate: Option<PathBuf>,
    /// Bodies are messages of gRPC, with their prefix.
    #[arg(long)]
    grpc: bool,
    /// Requests at a time on each connection, over gRPC.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// The server's process, whose time on CPUs is reported.
    #[arg(long)]
    process: Option<u32>,
}

/// Arguments, with the requests as they go out.
pub struct Plan {
    pub address: SocketAddr,
    pub path: String,
    pub headers: Vec<String>,
    /// Over HTTP/1.1 with their heads, over gRPC messages.
    pub requests: Vec<Vec<u8>>,
    /// `None` if the server speaks no TLS.
    pub tls: Option<Tls>,
    pub grpc: bool,
    pub connections: usize,
    /// Requests at a time on each connection, over gRPC.
    pub streams: usize,
    pub warmup: Duration,
    pub measured: Duration,
    pub rate: Option<f64>,
    pub process: Option<u32>,
}

impl Plan {
    /// Reads the bodies.
    pub fn new(arguments: &Arguments) -> io::Result<Self> {
        let bodies = bodies::read(&arguments.bodies)?;
        let requests = if arguments.grpc {
            bodies
        } else {
            bodies.iter().map(|body| request(arguments, body)).collect()
        };
        Ok(Self {
            address: arguments.address,
            path: arguments.path.clone(),
            headers: arguments.header.clone(),
            requests,
            tls: arguments.tls_certificate.as_deref().map(Tls::new).transpose()?,
            grpc: arguments.grpc,
            connections: arguments.connections.max(1),
            streams: arguments.streams.max(1),
            warmup: Duration::from_secs_f64(arguments.warmup_seconds),
            measured: Duration::from_secs_f64(arguments.seconds),
            rate: arguments.rate,
            process: arguments.process,
        })
    }
}

fn request(arguments: &Arguments, body: &[u8]) -> Vec<u8> {
    let mut lines = vec![
        format!("POST {} HTTP/1.1", arguments.path),
        format!("host: {}", arguments.address),
        format!("content-length: {}", body.len()),
    ];
    lines.extend(arguments.header.iter().cloned());
    let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
