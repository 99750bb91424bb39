//! The threads that answer requests: each has a runtime of its own, and a connection stays with one of them.
//!
//! Threads that steal work from each other share their queues, and whatever a request touches wanders from one CPU's cache
//! to the other's. What is spread evenly at the start needs no stealing: a connection goes to the thread that has the
//! fewest.

use std::{
    io,
    net::TcpStream as StdTcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime,
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::connection::Connection;
use crate::runtime::{STACK_BYTES, set_worker};

/// Some threads. They end when this is dropped, and cut off what they have in hand.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Dropped, it ends them.
    _end: watch::Sender<()>,
}

#[derive(Debug)]
struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    connections: Arc<AtomicUsize>,
}

/// A connection that was accepted, and what is to be given back when it is over.
struct Arrival {
    stream: StdTcpStream,
    connection: Connection,
    held: Box<dyn Send>,
}

impl Workers {
    /// Starts so many.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(name: &str, count: usize) -> io::Result<Self> {
        let (end, ended) = watch::channel(());
        let worker = |number| {
            let (arrivals, arrived) = mpsc::unbounded_channel();
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                // For what leaves this thread.
                .thread_stack_size(STACK_BYTES)
                .build()?;
            let ended = ended.clone();
            thread::Builder::new().name(format!("{name}-{number}")).stack_size(STACK_BYTES).spawn(
                move || {
                    set_worker(number);
                    runtime.block_on(serve(arrived, ended));
                    // A run that does not end when it is told to must not hold up the end.
                    runtime.shutdown_background();
                },
            )?;
            Ok(Worker { arrivals, connections: Arc::default() })
        };
        Ok(Self { workers: (0..count.max(1)).map(worker).collect::<io::Result<_>>()?, _end: end })
    }

    /// Gives a connection to the thread that has the fewest; what it holds is dropped when it is over.
    pub(super) fn give(&self, stream: TcpStream, connection: Connection, held: impl Send + 'static) {
        let fewest = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let (Some(worker), Ok(stream)) = (fewest, stream.into_std()) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let held = Box::new((held, Counted(Arc::clone(&worker.connections))));
        // One that has ended has been told to.
        let _ = worker.arrivals.send(Arrival { stream, connection, held });
    }
}

/// A connection of a thread.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers what arrives until the end.
async fn serve(mut arrived: mpsc::UnboundedReceiver<Arrival>, mut ended: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(Arrival { stream, connection, held }) = arrived.recv() => {
                connections.spawn(async move {
                    match TcpStream::from_std(stream) {
                        Ok(stream) => connection.run(stream).await,
                        Err(error) => tracing::warn!(%error, "a connection cannot be answered"),
                    }
                    drop(held);
                });
            }
            Some(_) = connections.join_next() => {}
            _ = ended.changed() => return,
        }
    }
}
