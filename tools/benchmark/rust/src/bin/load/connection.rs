//! One connection, with at most one request on its way.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    answer::{self, Answer},
    transport::{Stream, Tls, encrypted},
};

const BUFFER_BYTES: usize = 64 * 1024;

pub struct Connection {
    stream: Box<dyn Stream>,
    unsent: usize,
    received: Vec<u8>,
    filled: usize,
    /// The request that it waits for: its number, and from when its latency counts.
    pub waiting: Option<(usize, Instant)>,
}

impl Connection {
    pub fn open(
        address: SocketAddr,
        tls: Option<&Tls>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        // Opened before it is made non-blocking: how long that takes is not measured.
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let connection = tls.map(|tls| tls.connect(&mut stream, address)).transpose()?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let stream = encrypted(stream, connection);
        Ok(Self { stream, unsent: 0, received: vec![0; BUFFER_BYTES], filled: 0, waiting: None })
    }

    pub fn begin(&mut self, number: usize, request: &[u8], since: Instant) -> io::Result<()> {
        self.waiting = Some((number, since));
        self.unsent = request.len();
        self.send(request)
    }

    /// Sends what the kernel takes of the rest of its request; the event loop says when it takes more.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&request[request.len() - self.unsent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.unsent -= bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // What was encrypted may still wait for the kernel.
        match self.stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            outcome => outcome,
        }
    }

    /// Reads what is there; the answer, once it is whole.
    pub fn receive(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if self.filled == self.received.len() {
                self.received.resize(self.filled * 2, 0);
            }
            match self.stream.read(&mut self.received[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // Nothing comes after an answer before there is another request, so no read has to say so.
            if let Some(answer) = answer::parse(&self.received[..self.filled])? {
                if answer.bytes != self.filled {
                    return Err(io::Error::other("bytes behind the end of an answer"));
                }
                self.filled = 0;
                return Ok(Some(answer));
            }
        }
    }
}
