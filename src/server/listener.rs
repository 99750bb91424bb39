//! The accept loop: so many connections at a time, and none lost at the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time,
};

use super::{
    connection::{Connection, Protocol},
    connections::Connections,
    live::CurrentFront,
    shutdown::Shutdown,
    slots::{Slot, Slots},
    workers::Workers,
};
use crate::{config::ServerSettings, telemetry::Metrics, transport::Peer};

/// How long a handshake that has begun is waited for before the socket is closed.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(50);

/// When the system gives no connection (out of file descriptors), trying again at once would only take a CPU.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What connections are held to.
#[derive(Clone, Debug)]
pub(super) struct ListenerLimits {
    pub(super) max_connections: usize,
    max_connections_per_address: usize,
    uncounted: Arc<[IpNet]>,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl ListenerLimits {
    pub(super) fn of(settings: &ServerSettings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_connections_per_address: settings.max_connections_per_address,
            uncounted: settings.trusted_proxies.clone().into(),
            header_timeout: Duration::from_millis(settings.header_timeout_ms),
            write_timeout: Duration::from_millis(settings.write_timeout_ms),
        }
    }
}

/// A bound listener with what it answers.
pub(super) struct Listener {
    socket: TcpListener,
    protocol: Protocol,
    front: CurrentFront,
    limits: watch::Receiver<ListenerLimits>,
    workers: Arc<Workers>,
    slots: Slots,
    by_address: Connections,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl Listener {
    pub(super) fn new(
        socket: TcpListener,
        protocol: Protocol,
        front: CurrentFront,
        limits: watch::Receiver<ListenerLimits>,
        workers: &Arc<Workers>,
        metrics: Arc<Metrics>,
        shutdown: &Shutdown,
    ) -> Self {
        let (slots, by_address) = (Slots::default(), Connections::default());
        let (workers, shutdown) = (Arc::clone(workers), shutdown.clone());
        Self { socket, protocol, front, limits, workers, slots, by_address, metrics, shutdown }
    }

    /// Accepts until told to stop, then waits for the connections to finish.
    pub(super) async fn run(self) {
        loop {
            tokio::select! {
                accepted = self.accept() => self.give(accepted),
                () = self.shutdown.stopped() => break,
            }
        }
        turn_away(&self.socket);
        // Whoever is half-way in comes in; whoever is in may have sent a request.
        time::sleep(HANDSHAKE_GRACE).await;
        while let Some(accepted) = self.accept_now().await {
            self.give(accepted);
        }
        drop(self.socket);
        self.slots.all_free().await;
    }

    /// The next connection, once there is room for it: until then it waits in the system's queue.
    async fn accept(&self) -> (TcpStream, SocketAddr, Slot) {
        loop {
            let slot = self.slots.take(&self.limits).await;
            match self.socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// A connection that is in the system's queue, once there is room for it. It asks the system itself: the runtime
    /// only knows of connections that it has been told of.
    async fn accept_now(&self) -> Option<(TcpStream, SocketAddr, Slot)> {
        let slot = self.slots.take(&self.limits).await;
        loop {
            let accepted = socket2::SockRef::from(&self.socket).accept().and_then(|(socket, peer)| {
                socket.set_nonblocking(true)?;
                let peer = peer.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
                Ok((TcpStream::from_std(socket.into())?, peer))
            });
            match accepted {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                // One that went away while it waited is no reason to leave the others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }

    fn give(&self, (stream, peer, slot): (TcpStream, SocketAddr, Slot)) {
        let address = peer.ip().to_canonical();
        let limits = self.limits.borrow().clone();
        let uncounted = limits.uncounted.iter().any(|network| network.contains(&address));
        let limit = if uncounted { usize::MAX } else { limits.max_connections_per_address };
        let Some(counted) = self.by_address.add(address, limit) else {
            return tracing::debug!(%address, "a connection was closed: its address has too many");
        };
        let connection = Connection {
            protocol: self.protocol,
            front: Arc::clone(&self.front),
            peer: Peer(address),
            header_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            shutdown: self.shutdown.clone(),
        };
        let open = self.metrics.connection_opened();
        self.workers.give(stream, connection, (slot, counted, open));
    }
}

/// Makes the system drop further connection attempts, so that the queue can be emptied before the socket is closed:
/// closing it resets whoever is in the queue, with a request that was sent and never read.
#[cfg(target_os = "linux")]
fn turn_away(socket: &TcpListener) {
    use socket2::SockFilter;
    /// Of a TCP header, byte 13 holds the flags and 0x02 is SYN, which only the first packet of a connection has: no
    /// byte of it is let through, and all of the others, which belong to connections that are half-way in.
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),       // BPF_LD | BPF_B | BPF_ABS
        SockFilter::new(0x45, 0, 1, 0x02),     // BPF_JMP | BPF_JSET | BPF_K
        SockFilter::new(0x06, 0, 0, 0),        // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX), // BPF_RET | BPF_K
    ];
    if let Err(error) = socket2::SockRef::from(socket).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "connection attempts cannot be turned away before the socket is closed");
    }
}

/// Other systems have no such filter: a connection that comes at this very moment is reset.
#[cfg(not(target_os = "linux"))]
fn turn_away(_socket: &TcpListener) {}
