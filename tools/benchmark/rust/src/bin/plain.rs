//! A server of the Iris model as one writes it by hand, without tokens, quotas, limits, metrics or a log.

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use benchmark::sessions;
use clap::Parser;
use ort::{session::Session, value::TensorRef};
use serde::{Deserialize, Serialize};

const CLASSES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Serves the Iris model on /predict.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    model: PathBuf,
}

#[derive(Deserialize)]
struct Row {
    features: [f32; 4],
}

#[derive(Serialize)]
struct Answer {
    prediction: &'static str,
    probabilities: Probabilities,
}

#[derive(Serialize)]
struct Probabilities {
    setosa: f32,
    versicolor: f32,
    virginica: f32,
}

type Sessions = Arc<Vec<Mutex<Session>>>;

async fn predict(
    State(sessions): State<Sessions>,
    Json(row): Json<Row>,
) -> Result<Json<Answer>, (StatusCode, String)> {
    // A run takes some microseconds, which is less than handing it to another thread would.
    let free = sessions.iter().find_map(|session| session.try_lock().ok());
    let mut session = free.unwrap_or_else(|| sessions[0].lock().unwrap_or_else(PoisonError::into_inner));
    answer(&mut session, &row)
        .map(Json)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn answer(session: &mut Session, row: &Row) -> Result<Answer, Box<dyn Error>> {
    let outputs =
        session.run(ort::inputs![TensorRef::from_array_view(([1_usize, 4], &row.features[..]))?])?;
    let (_, labels) = outputs["label"].try_extract_tensor::<i64>()?;
    let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
    let (&[label], &[setosa, versicolor, virginica]) = (labels, probabilities) else {
        return Err("another number of labels and probabilities".into());
    };
    let prediction = CLASSES.get(usize::try_from(label)?).ok_or("a label of no class")?;
    Ok(Answer { prediction, probabilities: Probabilities { setosa, versicolor, virginica } })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let number = thread::available_parallelism()?.get();
    let environment = sessions::environment()?;
    let opened = sessions::open(&environment, &arguments.model, number, 1)?;
    let sessions = opened.into_iter().map(Mutex::new).collect();
    let router = Router::new().route("/predict", post(predict)).with_state(Sessions::new(sessions));
    axum::serve(tokio::net::TcpListener::bind(arguments.listen).await?, router).await?;
    Ok(())
}
