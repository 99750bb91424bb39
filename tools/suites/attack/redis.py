"""A Redis server on a loopback address, with TLS if wanted, and a relay that makes it slow."""

from __future__ import annotations

import queue
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from lib.certificates import Certificates
from lib.gateway import free_port

from .gateway import until
from .http1 import HOST

START_SECONDS = 20
BLOCK_BYTES = 65536


class Redis:
    """A server without files."""

    def __init__(self, folder: Path, certificates: Certificates | None = None) -> None:
        self.port, self.folder, self.certificates = free_port(), folder, certificates
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"{'rediss' if self.certificates else 'redis'}://{HOST}:{self.port}/1"

    def start(self) -> None:
        options = ["--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        if tls := self.certificates:
            options += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            options += ["--tls-cert-file", str(tls.certificate), "--tls-key-file", str(tls.key)]
            options += ["--tls-ca-cert-file", str(tls.authority)]
        else:
            options += ["--port", str(self.port)]
        command = ["redis-server", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, START_SECONDS, "redis-server answers")

    def answers(self) -> bool:
        try:
            with self.connect() as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def connect(self) -> socket.socket:
        plain = socket.create_connection((HOST, self.port), timeout=1)
        if not self.certificates:
            return plain
        # The server may show a certificate of another name: that is for the gateway to see.
        trust = ssl.create_default_context(cafile=self.certificates.authority)
        trust.check_hostname = False
        return trust.wrap_socket(plain)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Relay:
    """Passes connections on to a port of this machine; its responses arrive `delay` seconds late."""

    def __init__(self, port: int) -> None:
        self.port, self.delay = port, 0.0
        self.listener = socket.create_server((HOST, 0))
        self.open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.listener.getsockname()[1]}/1"

    def __enter__(self) -> Self:
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.listener, *self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.open.append(near)
                try:
                    far = socket.create_connection((HOST, self.port))
                except OSError:
                    # As the server itself does when it is down.
                    near.close()
                    continue
                self.open.append(far)
                late: queue.Queue[tuple[float, bytes]] = queue.Queue()
                for work, given in ((self.forward, (near, far)), (self.take, (far, late)), (self.give, (late, near))):
                    threading.Thread(target=work, args=given, daemon=True).start()

    @staticmethod
    def forward(near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while part := near.recv(BLOCK_BYTES):
                far.sendall(part)
            far.shutdown(socket.SHUT_WR)

    def take(self, far: socket.socket, late: queue.Queue[tuple[float, bytes]]) -> None:
        part = b"first"
        while part:
            try:
                part = far.recv(BLOCK_BYTES)
            except OSError:
                part = b""
            late.put((time.monotonic() + self.delay, part))

    @staticmethod
    def give(late: queue.Queue[tuple[float, bytes]], near: socket.socket) -> None:
        with suppress(OSError):
            while True:
                due, part = late.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not part:
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(part)
