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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.certificates import issue

from .gateway import ROW, Gateway, until
from .http1 import HOST, Listener, connect, connect_plain, read, request
from .registry import Encrypted, Run, Wrong, case, expect
from .slow import GRACE_SECONDS, TIMEOUT_MS
from .watcher import Watcher

AUDIT_SECONDS = 600
# Findings of testssl.sh that are about what a suite's own authority cannot have.
ALLOWED = {
    "cert_revocation": "the authority of the suite publishes no revocations",
    "OCSP_stapling": "the authority of the suite has no OCSP responder",
    "DNS_CAArecord": "127.0.0.1 has no DNS",
    "cert_chain_of_trust": "the authority is one that only the suite trusts",
}
GOOD = ("OK", "INFO", "LOW", "DEBUG")
LOAD = 2
HANDSHAKES = 20


def audited(run: Run, listener: Listener) -> str:
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
    bad = [one for one in findings if one["severity"] not in GOOD and one["id"].split(" ")[0] not in ALLOWED]
    expect(not bad, "; ".join(f"{one['severity']} {one['id']}: {one['finding']}" for one in bad))
    counts = Counter(one["severity"] for one in findings)
    left = {one["id"] for one in findings if one["severity"] not in ("OK", "INFO")}
    return f"{dict(counts)}, not plainly good: {sorted(left)}"


@case(
    "testssl.sh",
    "an audit of the listeners of REST and gRPC",
    "no finding above LOW but those of an authority that only the suite trusts",
    only_full=True,
    needs=("testssl", "testssl.sh"),
)
def audit(run: Run) -> str:
    with Gateway(replace(run, tls=True)) as gateway:
        seen = {"REST": audited(run, gateway.rest), "gRPC": audited(run, gateway.calls)}
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
