"""Places that a token names: nothing is opened there, and nothing is asked of them."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from .gateway import encoded, signed
from .http1 import HOST
from .issuer import signed_by
from .issuers import known
from .registry import Encrypted, Run, case, expect
from .tokens import HEADER, claims, refused
from .wires import on_each, wires


class Trap:
    """A listener and a pipe that nobody should reach for. It says who did."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.create_server((HOST, 0))
        self.listener.setblocking(False)
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)
        self.opened = threading.Event()
        self.ended = False
        self.waiting = threading.Thread(target=self.wait)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.listener.getsockname()[1]}/keys.json"

    def wait(self) -> None:
        # This ends only when something opens the pipe to read it.
        with self.pipe.open("wb"):
            if not self.ended:
                self.opened.set()

    def __enter__(self) -> Self:
        self.waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        while self.waiting.is_alive():
            os.close(os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK))
            self.waiting.join(0.05)
        self.listener.close()

    def sprung(self) -> list[str]:
        found = ["the pipe was opened"] if self.opened.is_set() else []
        with suppress(BlockingIOError):
            connection, _ = self.listener.accept()
            connection.close()
            found.append("the listener was asked")
        return found


@case(
    "places that a token names",
    "jku, x5u, jwk, kid and iss with the URL of a listener, the path of a pipe, and a key of the token's own",
    "401 on every wire; nothing is opened, nothing is asked",
    encrypted=Encrypted.FULL,
)
def named(run: Run) -> str:
    with known(run, "login") as (gateway, issuers), Trap(gateway.folder) as trap:
        issuer = issuers["login"]
        key, stranger = issuer.keys[-1], issuer.new_key("own")
        places = {"URL": trap.url, "path": str(trap.pipe), "relative path": "./pipe", "file URL": f"file://{trap.pipe}"}
        own_key = dict(stranger.as_dict(private=False))
        tokens: list[tuple[str, str]] = []
        for what, place in places.items():
            for name in ("jku", "x5u"):
                header = {name: place}
                tokens += [
                    (f"{name}, {what}, our key", signed(HEADER | header, claims())),
                    (f"{name}, {what}, its key", signed_by(key, "ES256", str(key.kid), issuer.claims(), **header)),
                    (f"{name}, {what}, another key", signed_by(stranger, "ES256", place, issuer.claims(), **header)),
                ]
            tokens += [
                (f"kid, {what}", signed(HEADER | {"kid": place}, claims())),
                (f"iss, {what}", signed_by(stranger, "ES256", "own", issuer.claims(iss=place))),
            ]
        tokens.append(("a key of its own", signed_by(stranger, "ES256", "own", issuer.claims(), jwk=own_key)))
        certificate = {"x5c": [encoded(b"certificate")]}
        tokens.append(("x5c", signed_by(key, "ES256", str(key.kid), issuer.claims(), **certificate)))
        fetches = len(issuer.fetches)
        seen = {wire.name: refused(wire, tokens) for wire in wires(gateway)}
        expect(not trap.sprung(), "; ".join(trap.sprung()))
        asked = len(issuer.fetches) - fetches
        expect(asked <= 1, f"the issuer was asked for its keys {asked} times")
        return on_each(gateway, seen)
