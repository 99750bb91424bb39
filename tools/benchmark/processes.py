"""Servers as processes: started, waited for, measured, and ended whatever happens."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from lib.gateway import NotServing

from .place import LOGS

START_SECONDS = 60
STOP_SECONDS = 20
REQUEST_SECONDS = 30
POLL_SECONDS = 0.001
OK = 200


def connect(port: int, certificate: Path | None) -> http.client.HTTPConnection:
    if certificate is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    trusting = ssl.create_default_context(cafile=certificate)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=REQUEST_SECONDS, context=trusting)


def ask(
    port: int, path: str, headers: dict[str, str], body: bytes, certificate: Path | None = None
) -> tuple[int, bytes]:
    connection = connect(port, certificate)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Server:
    """A process in a group of its own, with all that it starts. Ended at the end of a `with`."""

    def __init__(self, name: str, port: int, command: list[str | Path], environment: dict[str, str], log: Path) -> None:
        self.name, self.port, self.log = name, port, log
        self.ready_seconds = 0.0
        # Of a server that speaks TLS.
        self.certificate: Path | None = None
        self.began = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=LOGS,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """The first answer that is a good one, waited for from the start on, or from now on if there was one before."""
        last = "nothing"
        begin = time.monotonic() if self.ready_seconds else self.began
        while time.monotonic() - begin < START_SECONDS:
            if self.process.poll() is not None:
                raise NotServing(f"{self.name} ended with {self.process.returncode}: {self.last_words()}")
            try:
                status, answer = ask(self.port, path, headers, body, self.certificate)
            except OSError as error:
                last = str(error)
            else:
                if status == OK:
                    self.ready_seconds = self.ready_seconds or time.monotonic() - self.began
                    return answer
                last = f"{status} {answer[:200]!r}"
            time.sleep(POLL_SECONDS)
        raise NotServing(f"{self.name} does not serve after {START_SECONDS} s: {last}; {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:])

    def memory_bytes(self) -> int:
        """Resident memory of it and its children. Pages of files are shared, so the largest share counts once."""
        own, files = 0, [0]
        for process in self.tree():
            try:
                lines = Path(f"/proc/{process}/status").read_text().splitlines()
            except OSError:
                continue
            sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss")}
            own += sizes.get("RssAnon:", 0) + sizes.get("RssShmem:", 0)
            files.append(sizes.get("RssFile:", 0))
        return own + max(files)

    def tree(self) -> list[int]:
        found, pending = [], [self.process.pid]
        while pending:
            process = pending.pop()
            found.append(process)
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                try:
                    pending += [int(child) for child in children.read_text().split()]
                except OSError:
                    continue
        return found

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:
            # Whatever is left of its group, too: a master that has ended may leave its workers.
            self.signal(signal.SIGKILL)
            self.process.wait()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
