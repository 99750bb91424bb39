"""TLS: what an audit finds, handshakes without end, and certificates that change under load."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.certificates import issue

from .frames import PREFACE
from .gateway import ROW, Gateway, until
from .http1 import HOST, Listener, connect, connect_plain, read, request
from .registry import Encrypted, Run, Wrong, case, expect
from .slow import GRACE_SECONDS, TIMEOUT_MS
from .watcher import Watcher

AUDIT_SECONDS = 600
# Findings of testssl.sh above LOW that say nothing of the gateway.
ALLOWED = {
    ("cert_revocation", "HIGH"): "the authority of the suite publishes no revocations",
    # openssl s_client ends with its input, often before the ticket of TLS 1.3 has come: then there is none to resume
    # with, and testssl.sh takes that for a failed connection. `resumes` tries it properly.
    ("sessionresumption_ticket", "WARN"): "the ticket had not come when its client ended",
}
# The listener of gRPC answers HTTP/1.1 with 505.
ALLOWED_OF_GRPC = {
    ("HTTP_status_code", "WARN"): "HTTP/1.1 is not spoken there",
    ("security_headers", "MEDIUM"): "that 505 has nothing that a browser could show",
}
GOOD = ("OK", "INFO", "LOW", "DEBUG")
LOAD = 2
BLOCK_BYTES = 65536
HANDSHAKES = 20


def audited(run: Run, listener: Listener, allowed: Collection[tuple[str, str]]) -> str:
    """Runs testssl.sh against a listener. Returns the number of findings by severity."""
    report = run.scratch / f"testssl-{listener.port}.json"
    trust = ["--add-ca", str(run.certificates.authority)]
    how = ["--quiet", "--color", "0", "--warnings", "batch", "--ip", "one", "--jsonfile", str(report)]
    done = subprocess.run(
        ["testssl", *how, *trust, f"https://{HOST}:{listener.port}"],
        capture_output=True,
        text=True,
        timeout=AUDIT_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if not report.exists():
        raise Wrong(f"testssl.sh ends with {done.returncode}: {done.stdout[-300:]}")
    findings = json.loads(report.read_text())
    expect(len(findings) > 50, f"only {len(findings)} findings, so it was not audited: {findings[-3:]}")
    bad = [
        one
        for one in findings
        if one["severity"] not in GOOD and (one["id"].split(" ")[0], one["severity"]) not in allowed
    ]
    expect(not bad, "; ".join(f"{one['severity']} {one['id']}: {one['finding']}" for one in bad))
    counts = Counter(one["severity"] for one in findings)
    left = {one["id"] for one in findings if one["severity"] not in ("OK", "INFO")}
    return f"{dict(counts)}, not plainly good: {sorted(left)}"


def resumes(listener: Listener, protocol: str) -> bool:
    """Returns true if a second connection resumes the session of a first one, which has read something."""
    trust = listener.tls(protocol)
    expect(trust is not None, "there is no TLS")
    assert trust is not None
    asks = PREFACE if protocol == "h2" else request("GET", "/health/live", None, {})
    session = None
    for _ in range(2):
        with trust.wrap_socket(connect_plain(listener), server_hostname=HOST, session=session) as connection:
            connection.sendall(asks)
            # Tickets come before what was asked for.
            connection.recv(BLOCK_BYTES)
            session, is_resumed = connection.session, connection.session_reused
    return bool(is_resumed)


@case(
    "testssl.sh",
    "an audit of the listeners of REST, gRPC and operators; then two handshakes on each",
    "no finding above LOW but about the suite's own authority and the lack of HTTP/1.1 on that of gRPC; the second "
    "handshake resumes the session of the first",
    only_full=True,
    needs=("testssl", "testssl.sh"),
)
def audit(run: Run) -> str:
    # That of operators has a certificate only by itself.
    own: dict[str, Any] = {f"admin.tls__{name}": value for name, value in run.certificates.settings.items()}
    with Gateway(replace(run, tls=True), **own) as gateway:
        admin, of_grpc = Listener(gateway.admin, gateway.rest.authority), ALLOWED | ALLOWED_OF_GRPC
        seen = {}
        for name, listener, protocol, allowed in (
            ("REST", gateway.rest, "http/1.1", ALLOWED),
            ("gRPC", gateway.calls, "h2", of_grpc),
            ("operators", admin, "http/1.1", ALLOWED),
        ):
            expect(resumes(listener, protocol), f"{name}: the session is not resumed")
            seen[name] = audited(run, listener, allowed)
        gateway.good()
        return "; ".join(f"{listener}: {found}" for listener, found in seen.items())


@case(
    "slow handshakes",
    "connections that send nothing, or the first bytes of a handshake",
    "closed at the deadline of headers, others are answered",
)
def handshakes(run: Run) -> str:
    with Gateway(replace(run, tls=True), server__header_timeout_ms=TIMEOUT_MS) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        began = []
        for number in range(run.pick(60, 400)):
            listener = (gateway.rest, gateway.calls)[number % 2]
            connection = connect_plain(listener, f"127.0.0.{31 + number % 4}")
            connection.sendall(b"\x16\x03\x01\x02\x00\x01"[: number % 7])
            began.append((time.monotonic(), connection))
        took = []
        for begin, connection in began:
            with connection:
                while connection.recv(4096):
                    pass
            took.append(time.monotonic() - begin)
        during = watcher.end()
        seen = f"{len(took)} closed within {max(took):.1f} s; another caller: {during['requests']} asked, "
        seen += f"{during['lost']} lost, p99 {during['p99_ms']:.0f} ms"
        expect(max(took) < TIMEOUT_MS / 1000 + GRACE_SECONDS, seen)
        expect(during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
        gateway.good()
        return seen


def shaken(listener: Listener, source: str) -> bool:
    """Returns true if a handshake succeeds."""
    try:
        with connect(listener, source, 10, "h2"):
            return True
    except (ssl.SSLError, OSError):
        return False


@case(
    "handshakes of one address",
    f"ten times the quota of {HANDSHAKES} handshakes, and one of another address",
    "no more than the quota; the other address is answered, also a request on a connection that is open",
)
def many_handshakes(run: Run) -> str:
    quota: dict[str, Any] = {
        "rate_limit__enabled": True,
        "rate_limit.handshakes__requests": HANDSHAKES,
        "rate_limit.handshakes__period_seconds": 3600,
        "rate_limit.per_address__requests": 100_000,
    }
    with Gateway(replace(run, tls=True), **quota) as gateway:
        kept = connect(gateway.rest, "127.0.0.61")
        counts = Counter(
            shaken(listener, "127.0.0.61") for _ in range(5 * HANDSHAKES) for listener in (gateway.rest, gateway.calls)
        )
        with kept:
            headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
            kept.sendall(request("POST", "/predict", ROW, headers))
            status = read(kept).status
        other = gateway.ask("POST", "/predict", ROW, source="127.0.0.62").status
        seen = f"{counts[True]} of {counts.total()} handshakes, the open connection {status}, another address {other}"
        expect(counts[True] == HANDSHAKES - 1 and status == 200 and other == 200, seen)
        return seen


def renewed(gateway: Gateway, certificate: Path, name: str, folder: Path) -> None:
    """Puts another certificate and key in the place of those of the gateway, and waits until it shows it."""
    new, key = issue(folder, name)
    for source, target in ((new, certificate), (key, certificate.with_suffix(".key"))):
        whole = target.with_name(target.name + ".whole")
        shutil.copy(source, whole)
        whole.rename(target)
    gateway.process.send_signal(signal.SIGHUP)
    expected = ssl.PEM_cert_to_DER_cert(new.read_text())

    def is_shown() -> bool:
        with connect(gateway.rest) as connection:
            return isinstance(connection, ssl.SSLSocket) and connection.getpeercert(binary_form=True) == expected

    until(is_shown, 20, f"certificate {name} is shown")


def asked_anew(gateway: Gateway, ended: threading.Event, outcomes: Counter[str]) -> None:
    """A handshake for each request."""
    while not ended.is_set():
        try:
            outcomes[str(gateway.ask("POST", "/predict", ROW).status)] += 1
        except (OSError, EOFError) as error:
            outcomes[f"lost: {type(error).__name__}"] += 1


@case(
    "certificates that change under load",
    "100 new certificates and keys (5 in the short form) while one client keeps its connection and 2 shake hands again "
    "and again",
    "each is shown, no request and no handshake fails",
)
def reloads(run: Run) -> str:
    # A folder of its own: the certificate of the other gateways stays.
    own = replace(run, tls=True, scratch=run.scratch / "renewed")
    own.scratch.mkdir(exist_ok=True)
    files = own.certificates
    with Gateway(own) as gateway:
        watcher = Watcher(gateway.rest, gateway.token)
        ended, outcomes = threading.Event(), Counter[str]()
        count = run.pick(5, 100)
        with ThreadPoolExecutor(LOAD) as pool:
            load = [pool.submit(asked_anew, gateway, ended, outcomes) for _ in range(LOAD)]
            try:
                for number in range(count):
                    renewed(gateway, files.certificate, f"renewed-{number}", files.authority.parent)
            finally:
                ended.set()
            for one in load:
                one.result()
        during = watcher.end()
        seen = f"{count} certificates; new connections: {dict(outcomes)}; a kept one: {during['requests']} asked, "
        seen += f"{during['lost']} lost, {during['statuses']}"
        expect(set(outcomes) == {"200"} and during["lost"] == 0 and set(during["statuses"]) == {"200"}, seen)
        gateway.good()
        return seen


@case(
    "HTTP without TLS",
    "a request in plain text to a listener with TLS",
    "400 that says to use https, and no prediction",
    encrypted=Encrypted.NEVER,
)
def plain(run: Run) -> str:
    with Gateway(replace(run, tls=True)) as gateway:
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        with connect_plain(gateway.rest) as connection:
            connection.sendall(request("POST", "/predict", ROW, headers))
            answer = read(connection)
        seen = f"{answer.status}: {answer.json()}"
        expect(answer.status == 400 and answer.json()["code"] == "tls_required", seen)
        gateway.good()
        return seen
