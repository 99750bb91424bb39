//! Sessions of ONNX Runtime, made as the gateway makes its own.

use std::{env, error::Error, path::Path};

use ort::{environment::Environment, session::Session, value::TensorRef};

/// Loads ONNX Runtime, from where `ORT_DYLIB_PATH` says. One environment a process is all that it allows, and it has to
/// live as long as its sessions.
///
/// # Errors
///
/// If the library is not there, or cannot be loaded.
pub fn environment() -> Result<Environment, Box<dyn Error>> {
    let library = env::var_os("ORT_DYLIB_PATH").ok_or("ORT_DYLIB_PATH does not say where ONNX Runtime is")?;
    Ok(ort::init_from(library)?.with_name("benchmark").with_telemetry(false).build()?)
}

/// Opens `number` sessions of a model. With one thread, a session runs on its caller's.
///
/// # Errors
///
/// If ONNX Runtime refuses the file.
pub fn open(
    environment: &Environment,
    file: &Path,
    number: usize,
    threads: usize,
) -> Result<Vec<Session>, Box<dyn Error>> {
    (0..number)
        .map(|_| {
            let mut builder =
                Session::builder(environment)?.with_intra_threads(threads)?.with_inter_threads(1)?;
            Ok(builder.commit_from_file(file)?)
        })
        .collect()
}

/// Runs a model that takes rows on some of them, and drops what it gives.
///
/// # Errors
///
/// If ONNX Runtime does not run it.
pub fn run(session: &mut Session, rows: &[f32], columns: usize) -> ort::Result<()> {
    let input = TensorRef::from_array_view(([rows.len() / columns, columns], rows))?;
    session.run(ort::inputs![input])?;
    Ok(())
}
