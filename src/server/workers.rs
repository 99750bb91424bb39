//! The threads that handle requests: each has its own runtime, and a connection stays on one of them.
//!
//! Threads that steal work from each other share their queues, and the data of a request moves between the caches of
//! CPUs. With an even distribution at the start, stealing is unnecessary: a connection goes to the thread with the
//! fewest.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime,
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    client_stream::{ClientStream, StdClientStream},
    connection::Connection,
};
use crate::runtime::{STACK_BYTES, set_worker};

/// A group of threads. They end when this is dropped, and cut off their requests.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// The sender whose drop ends the threads.
    _end: watch::Sender<()>,
}

#[derive(Debug)]
struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    connections: Arc<AtomicUsize>,
}

/// An accepted connection, and the resources to release when it ends.
struct Arrival {
    stream: StdClientStream,
    connection: Connection,
    held: Box<dyn Send>,
}

impl Workers {
    /// Starts this number of threads.
    ///
    /// # Errors
    ///
    /// If the system cannot start a thread.
    pub(super) fn start(name: &str, count: usize) -> io::Result<Self> {
        let (end, ended) = watch::channel(());
        let worker = |number| {
            let (arrivals, arrived) = mpsc::unbounded_channel();
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                // The stack of the threads that this runtime starts itself.
                .thread_stack_size(STACK_BYTES)
                .build()?;
            let ended = ended.clone();
            thread::Builder::new().name(format!("{name}-{number}")).stack_size(STACK_BYTES).spawn(
                move || {
                    set_worker(number);
                    runtime.block_on(serve(arrived, ended));
                    // A run that ignores its cancellation must not delay the end.
                    runtime.shutdown_background();
                },
            )?;
            Ok(Worker { arrivals, connections: Arc::default() })
        };
        Ok(Self { workers: (0..count.max(1)).map(worker).collect::<io::Result<_>>()?, _end: end })
    }

    /// Assigns a connection to the thread with the fewest; `held` is dropped when the connection ends.
    pub(super) fn give(&self, stream: ClientStream, connection: Connection, held: impl Send + 'static) {
        let fewest = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let (Some(worker), Ok(stream)) = (fewest, stream.into_std()) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let held = Box::new((held, Counted(Arc::clone(&worker.connections))));
        // Fails only if the thread has ended, which happens at shutdown.
        let _ = worker.arrivals.send(Arrival { stream, connection, held });
    }
}

/// A connection of a thread, counted until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves new connections until the end.
async fn serve(mut arrived: mpsc::UnboundedReceiver<Arrival>, mut ended: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(Arrival { stream, connection, held }) = arrived.recv() => {
                connections.spawn(async move {
                    match ClientStream::from_std(stream) {
                        Ok(stream) => connection.run(stream).await,
                        Err(error) => tracing::warn!(%error, "failed to serve a connection"),
                    }
                    drop(held);
                });
            }
            Some(_) = connections.join_next() => {}
            _ = ended.changed() => return,
        }
    }
}
