//! The accept loop: every connection is accepted, admitted or closed, and none is lost at shutdown.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{
    connection::{Application, Connection},
    connection_table::{ConnectionTable, NewConnection, Refusal, Room},
    current_tls::CurrentTls,
    descriptors::{ADMIN_CONNECTIONS, MAX_WAITING},
    limits::ListenerLimits,
    shutdown::Shutdown,
    socket::{Arrived, Socket},
    workers::Workers,
};
use crate::{
    protocols::SharedService,
    telemetry::{ConnectionEnd, Metrics},
};

/// Time that handshakes in progress have before the socket is closed.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(50);

/// Pause after a failed accept (out of file descriptors), during which a retry would only use CPU time.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Interval between two attempts to find room.
const ROOM_RETRY: Duration = Duration::from_millis(10);

/// Longest wait of a connection whose address has its share: a response of that address may be nearly finished.
const SHARE_PATIENCE: Duration = Duration::from_millis(50);

/// The audience of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Clients: the limits are those of the settings.
    Clients,
    /// Operators, whose connections are counted separately.
    Operators,
}

/// A bound listener and the service behind it.
pub(super) struct Listener {
    pub(super) socket: Socket,
    pub(super) application: Application,
    pub(super) audience: Audience,
    pub(super) front: SharedService,
    pub(super) limits: watch::Receiver<ListenerLimits>,
    pub(super) tls: Arc<CurrentTls>,
    pub(super) workers: Arc<Workers>,
    /// Shared by the listeners whose connections are counted together.
    pub(super) table: ConnectionTable,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
}

impl Listener {
    /// Accepts connections until the shutdown, then waits for them to finish.
    pub(super) async fn run(self) {
        let mut waiting = Waiting::default();
        // New connections do not postpone the next attempt, so waiting ones cannot starve.
        let mut retry_at = Instant::now();
        loop {
            tokio::select! {
                arrived = self.accept() => self.receive(arrived, &mut waiting),
                () = time::sleep_until(retry_at), if !waiting.is_empty() => {
                    self.retry(&mut waiting);
                    retry_at = Instant::now() + ROOM_RETRY;
                }
                () = self.shutdown.stopped() => break,
            }
        }
        self.socket.refuse_connections();
        // Clients may have a handshake in progress, or may already have sent a request.
        time::sleep(HANDSHAKE_GRACE).await;
        while let Some(arrived) = self.accept_now() {
            self.receive(arrived, &mut waiting);
        }
        while !waiting.is_empty() {
            self.retry(&mut waiting);
            time::sleep(ROOM_RETRY).await;
        }
        drop(self.socket);
        self.table.all_closed().await;
    }

    /// Returns the next connection.
    async fn accept(&self) -> Arrived {
        loop {
            match self.socket.accept().await {
                Ok(arrived) => return arrived,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Returns a connection from the system's queue; `None` if it is empty.
    fn accept_now(&self) -> Option<Arrived> {
        loop {
            match self.socket.accept_now() {
                Ok(arrived) => return Some(arrived),
                // A connection that was aborted in the queue does not affect the others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }

    /// Admits a connection, queues it until there is room, or closes it.
    fn receive(&self, arrived: Arrived, waiting: &mut Waiting) {
        if let Err((arrived, refusal)) = self.admit_connection(arrived) {
            if waiting.has_room(refusal) {
                let longest = match refusal {
                    Refusal::Full => self.limits.borrow().header_timeout,
                    Refusal::Share => SHARE_PATIENCE,
                };
                waiting.add(arrived, Instant::now() + longest);
            } else {
                self.close(arrived, refusal);
            }
        }
    }

    /// Closes a connection for which there is no room.
    fn close(&self, (_, peer): Arrived, refusal: Refusal) {
        self.metrics.connection_closed(match refusal {
            Refusal::Full => ConnectionEnd::Full,
            Refusal::Share => ConnectionEnd::AddressShare,
        });
        tracing::debug!(address = %peer.address, ?refusal, "closed a connection: a limit of connections is reached");
    }

    /// Admits waiting connections in their order, as far as there is room.
    fn retry(&self, waiting: &mut Waiting) {
        for (arrived, until) in waiting.take() {
            match self.admit_connection(arrived) {
                Ok(()) => {}
                Err((arrived, _)) if Instant::now() < until => waiting.add(arrived, until),
                Err((arrived, refusal)) => self.close(arrived, refusal),
            }
        }
    }

    fn admit_connection(&self, (stream, peer): Arrived) -> Result<(), (Arrived, Refusal)> {
        let limits = self.limits.borrow().clone();
        let is_proxy = peer.is_trusted(&limits.proxies);
        let newcomer = NewConnection {
            address: peer.address,
            // The quota of connections by address is none of those on Unix sockets, which have none.
            is_proxy: is_proxy || peer.is_unix,
            is_this_host: peer.address.is_loopback() || stream.is_to(peer.address),
        };
        let room = match self.audience {
            Audience::Clients => limits.room,
            Audience::Operators => Room { most: ADMIN_CONNECTIONS, most_per_address: ADMIN_CONNECTIONS },
        };
        let admitted = match self.table.admit(newcomer, room) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(((stream, peer), refusal)),
        };
        let connection = Connection {
            application: self.application,
            front: Arc::clone(&self.front),
            peer,
            is_proxy,
            proxies: (is_proxy && limits.proxy_protocol && self.audience == Audience::Clients)
                .then(|| Arc::clone(&limits.proxies)),
            handshakes: limits.handshakes.filter(|_| self.audience == Audience::Clients),
            tls: Arc::clone(&self.tls),
            encrypted: None,
            slot: Arc::clone(&admitted.slot),
            metrics: Arc::clone(&self.metrics),
            header_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            least_rate: limits.least_rate,
            shutdown: self.shutdown.clone(),
        };
        let open = self.metrics.connection_opened();
        self.workers.give(stream, connection, (admitted, open));
        Ok(())
    }
}

/// Connections for which there is no room yet.
#[derive(Default)]
struct Waiting(VecDeque<(Arrived, Instant)>);

impl Waiting {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if another connection may wait. Those whose address has its share may use half of the queue.
    fn has_room(&self, refusal: Refusal) -> bool {
        let most = match refusal {
            Refusal::Full => MAX_WAITING,
            Refusal::Share => MAX_WAITING / 2,
        };
        self.0.len() < most
    }

    fn add(&mut self, arrived: Arrived, until: Instant) {
        self.0.push_back((arrived, until));
    }

    fn take(&mut self) -> VecDeque<(Arrived, Instant)> {
        std::mem::take(&mut self.0)
    }
}
