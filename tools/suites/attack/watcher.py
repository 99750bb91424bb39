"""Another caller, in a process of its own: asks again and again, until its input ends, and says how it went.

python -m suites.attack.watcher PORT AUTHORITY TOKEN SOURCE

AUTHORITY is the file with the authority of the gateway's certificate, empty without TLS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib.gateway import REPOSITORY

from .http1 import Listener, connect, read, request

PAUSE_SECONDS = 0.01
LEAST_REQUESTS = 10
TIMEOUT_SECONDS = 15
ROW = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()


class Watcher:
    """That process. Its figures: requests, lost, statuses, and latencies in milliseconds."""

    def __init__(self, listener: Listener, token: str, source: str = "127.0.0.201") -> None:
        module = [sys.executable, "-m", "suites.attack.watcher"]
        command = [*module, str(listener.port), str(listener.authority or ""), token, source]
        folder = REPOSITORY / "tools"
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=60)
        return json.loads(out)


def watched(listener: Listener, token: str, seconds: float) -> dict[str, Any]:
    """Figures where nothing else happens."""
    watcher = Watcher(listener, token)
    time.sleep(seconds)
    return watcher.end()


def percentile(latencies: list[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] if latencies else 0.0


def main() -> None:
    """Asks until the input ends; one whose starter failed has nobody to tell."""
    port, authority, token, source = sys.argv[1:]
    listener = Listener(int(port), Path(authority) if authority else None)
    ended = threading.Event()

    def end_with_input() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = request("POST", "/predict", ROW, headers)
    statuses: dict[int, int] = {}
    latencies: list[float] = []
    lost: list[str] = []
    connection = None
    # An attack that is refused at once may be over before this process asks anything.
    while not ended.is_set() or len(latencies) < LEAST_REQUESTS:
        begin = time.monotonic()
        try:
            connection = connection or connect(listener, source, TIMEOUT_SECONDS)
            connection.sendall(asked)
            answer = read(connection)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            if answer.closes:
                connection.close()
                connection = None
        except (OSError, EOFError) as error:
            lost.append(f"{type(error).__name__}: {error}")
            connection = None
            time.sleep(PAUSE_SECONDS)
        latencies.append((time.monotonic() - begin) * 1000)
        time.sleep(PAUSE_SECONDS)
    latencies.sort()
    with suppress(BrokenPipeError):
        print(
            json.dumps(
                {
                    "requests": len(latencies),
                    "lost": len(lost),
                    "first_lost": lost[:1],
                    "statuses": statuses,
                    "p50_ms": percentile(latencies, 0.5),
                    "p99_ms": percentile(latencies, 0.99),
                    "max_ms": percentile(latencies, 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
