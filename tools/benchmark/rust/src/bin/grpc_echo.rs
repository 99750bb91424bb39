//! The least that a gRPC server written with tonic can do: reads a `ModelInferRequest` and writes its tensors back. The
//! yardstick of gRPC.

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use clap::Parser;
use tonic::{
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    transport::Server,
};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// Answers each call with the tensors that it brings.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
}

/// A part of the protocol's message: what the benchmark sends.
#[derive(Clone, PartialEq, prost::Message)]
struct Tensors {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(message, repeated, tag = "5")]
    tensors: Vec<Tensor>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    raw_contents: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
}

struct Echo;

impl UnaryService<Tensors> for Echo {
    type Response = Tensors;
    type Future = Ready<Result<tonic::Response<Tensors>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Tensors>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

#[derive(Clone)]
struct EchoServer;

impl NamedService for EchoServer {
    const NAME: &'static str = "inference.GRPCInferenceService";
}

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(ProstCodec::<Tensors, Tensors>::default()).unary(Echo, request).await) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Ok(Server::builder().add_service(EchoServer).serve(Arguments::parse().listen).await?)
}
