"""HTTP/2 for one request at a time, over loopback alone: REST with TLS, and gRPC, with any headers."""

from __future__ import annotations

import socket
import struct

import h2.config
import h2.connection
import h2.events

from .http1 import HOST, Answer, Headers, Listener, connect, pairs

SERVICE = "/inference.GRPCInferenceService"
# The status of REST that means the same as a code of gRPC.
STATUSES = {0: 200, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 409, 12: 501, 13: 500, 14: 503, 16: 401}


class Stream:
    """A connection with one request. Headers are sent as they are given, right or wrong."""

    def __init__(self, listener: Listener, source: str = HOST, timeout: float = 30) -> None:
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self.scheme = "https" if listener.authority else "http"
        self.socket: socket.socket = connect(listener, source, timeout, "h2")
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.answer = Answer(0, {}, b"")
        self.is_ended = False

    def begin(self, method: str, path: str, headers: Headers) -> None:
        top = [(":method", method), (":scheme", self.scheme), (":authority", HOST), (":path", path)]
        self.state.send_headers(1, [*top, *((name.lower(), value) for name, value in pairs(headers))])
        self.flush()

    def send(self, body: bytes) -> None:
        """Sends a body, no faster than the gateway reads it, and ends the request."""
        while body and not self.is_ended:
            room = min(self.state.local_flow_control_window(1), self.state.max_outbound_frame_size)
            if room > 0:
                self.state.send_data(1, body[:room])
                body = body[room:]
                self.flush()
            else:
                self.receive()
        if not self.is_ended:
            self.state.end_stream(1)
            self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def receive(self) -> None:
        """Takes what has arrived; `EOFError` if the connection ends before the answer does."""
        received = self.socket.recv(65536)
        if not received:
            raise EOFError("the connection ended without an answer")
        for event in self.state.receive_data(received):
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    headers = {str(name): str(value) for name, value in event.headers}
                    self.answer.headers |= headers
                    self.answer.status = int(headers.get(":status", self.answer.status))
                case h2.events.DataReceived():
                    self.answer.body += event.data
                    self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.is_ended = True
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    # A response may end before its request does; then the rest is not wanted (RFC 9113 section 8.1).
                    if not self.answer.status:
                        raise EOFError(f"reset with code {event.error_code}")
                    self.is_ended = True
        self.flush()

    def whole(self) -> Answer:
        while not self.is_ended:
            self.receive()
        return self.answer


def ask(
    listener: Listener,
    method: str,
    path: str,
    body: bytes,
    headers: Headers,
    source: str = HOST,
    timeout: float = 30,
) -> Answer:
    """Sends a request on a connection of its own. The headers of the answer include its trailers."""
    stream = Stream(listener, source, timeout)
    with stream.socket:
        stream.begin(method, path, headers)
        stream.send(body)
        return stream.whole()


def call(
    listener: Listener, method: str, message: bytes, headers: Headers, source: str = HOST, timeout: float = 30
) -> Answer:
    """Calls a method of the Open Inference Protocol. The status is the one of REST with the same meaning."""
    lines = [("content-type", "application/grpc"), ("te", "trailers"), *pairs(headers)]
    framed = struct.pack(">BI", 0, len(message)) + message
    answer = ask(listener, "POST", f"{SERVICE}/{method}", framed, lines, source, timeout)
    code = answer.headers.get("grpc-status")
    # What is refused before it is a call has a status of HTTP alone.
    answer.status = answer.status if code is None else STATUSES.get(int(code), -1)
    answer.body = answer.body[5:]
    return answer
