//! furnace-server with ONNX Runtime under it: API keys and rate limits are on, as far as it has them.

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

use benchmark::sessions;
use clap::Parser;
use furnace::{
    DataType, FurnaceError, HostTensor, IoSpec, Model, ModelError, Server, TensorModel, Values,
    access::ClientRateLimit,
};
use ort::{session::Session, value::TensorRef};

/// A limit that nobody meets.
const LIMIT: ClientRateLimit = ClientRateLimit { per_second: 1e9, burst: 1_000_000_000 };
const CONCURRENT_REQUESTS: usize = 1024;

/// Serves the Iris model on /v2.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    model: PathBuf,
    #[arg(long)]
    api_key: String,
}

#[derive(Debug)]
struct Iris {
    sessions: Vec<Mutex<Session>>,
}

impl TensorModel for Iris {
    fn name(&self) -> &'static str {
        "iris"
    }

    fn backend(&self) -> &'static str {
        "cpu"
    }

    fn inputs(&self) -> Vec<IoSpec> {
        vec![IoSpec::fp32("features", &[4])]
    }

    fn outputs(&self) -> Vec<IoSpec> {
        vec![IoSpec::new("label", DataType::Int64, &[]), IoSpec::fp32("probabilities", &[3])]
    }

    fn run(&self, inputs: Vec<HostTensor>) -> furnace::Result<Vec<HostTensor>> {
        answer(&self.sessions, &inputs)
            .map_err(|error| FurnaceError::Model(ModelError::InferenceFailed(error.to_string())))
    }
}

fn answer(sessions: &[Mutex<Session>], inputs: &[HostTensor]) -> Result<Vec<HostTensor>, Box<dyn Error>> {
    let [HostTensor { shape, values: Values::F32(features) }] = inputs else {
        return Err("another input than the declared one".into());
    };
    let free = sessions.iter().find_map(|session| session.try_lock().ok());
    let mut session = free.unwrap_or_else(|| sessions[0].lock().unwrap_or_else(PoisonError::into_inner));
    let outputs =
        session.run(ort::inputs![TensorRef::from_array_view((shape.clone(), features.as_slice()))?])?;
    let (_, labels) = outputs["label"].try_extract_tensor::<i64>()?;
    let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
    let rows = labels.len();
    Ok(vec![
        HostTensor { shape: vec![rows], values: Values::I64(labels.to_vec()) },
        HostTensor { shape: vec![rows, 3], values: Values::F32(probabilities.to_vec()) },
    ])
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let number = thread::available_parallelism()?.get();
    let environment = sessions::environment()?;
    let opened = sessions::open(&environment, &arguments.model, number, 1)?;
    let sessions = opened.into_iter().map(Mutex::new).collect();
    let listen = arguments.listen;
    let server = Server::new()
        .host(&listen.ip().to_string())
        .port(listen.port())
        .model(Model::custom(Iris { sessions }));
    let secured = server.configure(|config| {
        config.api_keys = vec![arguments.api_key];
        config.rate_limit = Some(LIMIT);
        config.max_concurrent_requests = CONCURRENT_REQUESTS;
    });
    Ok(secured.serve().await?)
}
