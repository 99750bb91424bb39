"""The settings of every deployment, as the gateway itself reads them: `onnx-gateway check` accepts them.

Paths of the container are replaced by paths of a folder here, and Secrets by files with values that are made up.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.certificates import issue, make_authority
from lib.gateway import BINARY, NotServing, environment, fetch, free_ports

from . import kserve
from .base import CHART, DEPLOYMENT, REPOSITORY, Document, Wrong, expect, files, run, say
from .chart import pod_of, render

START_SECONDS = 30
IMAGE_SETTINGS = REPOSITORY / "config" / "container.toml"
# Folders of the container, and what stands for them here.
FOLDERS = {"/run/secrets": "secrets", "/var/lib/onnx-gateway": "state", "/models": "models"}


class Container:
    """A folder that stands for the container's file system: settings of the image, models, state and Secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").mkdir()
        (folder / "config" / "default.toml").write_text(self.translated(IMAGE_SETTINGS.read_text()))
        (folder / "state").mkdir()
        shutil.copytree(REPOSITORY / "models" / "iris", folder / "models" / "iris")

    def translated(self, text: str) -> str:
        for inside, outside in FOLDERS.items():
            text = text.replace(f'"{inside}', f'"{self.folder / outside}')
        return text

    def write(self, path: str, content: str) -> None:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600)

    def add_secrets(self, settings: Mapping[str, Any]) -> None:
        """Makes each file of a Secret that the settings name."""
        auth = settings.get("auth", {})
        if "signing_secret_file" in auth:
            self.write(auth["signing_secret_file"], secrets.token_hex(32))
        for client in auth.get("clients", {}).values():
            hashed = run([BINARY, "hash-secret"], environment(), self.folder, given=secrets.token_hex(16))
            self.write(client["secret_hash_file"], hashed)
        if "store_file" in settings.get("rate_limit", {}):
            self.write(settings["rate_limit"]["store_file"], "rediss://gateway:not-a-secret@redis.databases:6380")
        if "tls" in settings.get("server", {}):
            authority = self.folder / "authority"
            make_authority(authority)
            certificate, key = issue(authority, "gateway")
            tls = settings["server"]["tls"]
            self.write(tls["certificate_file"], certificate.read_text())
            self.write(tls["private_key_file"], key.read_text())
            if "client_ca_file" in tls:
                self.write(tls["client_ca_file"], (authority / "authority.pem").read_text())

    def check(self, settings: str | None, variables: Mapping[str, str]) -> str:
        """Returns what `check --verbose` says of the settings and the models, warnings included."""
        arguments: list[str | Path] = []
        if settings is not None:
            path = self.folder / "gateway.toml"
            path.write_text(self.translated(settings))
            self.add_secrets(tomllib.loads(path.read_text()))
            arguments = ["--config", path]
        variables = environment() | dict(variables)
        return run([BINARY, *arguments, "check", "--verbose"], variables, self.folder, errors=True)


@contextmanager
def container() -> Iterator[Container]:
    with tempfile.TemporaryDirectory(prefix="check-deploy-") as name:
        yield Container(Path(name))


def settings_of(rendered: list[Document]) -> str:
    (settings,) = (one["data"]["gateway.toml"] for one in rendered if "gateway.toml" in one.get("data", {}))
    return settings


def applied(said: str) -> dict[str, Any]:
    """The settings as `check --verbose` shows them."""
    return tomllib.loads(said[said.index("# settings") : said.index("# models")])


def contradictions(pod: Document, settings: Mapping[str, Any]) -> list[str]:
    """Ports and times of the pod that are not those of the settings that apply."""
    found = []
    (gateway,) = (one for one in pod["containers"] if one["name"] == "gateway")
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    for name, section in (("http", "server"), ("grpc", "grpc"), ("admin", "admin")):
        if not settings[section]["listen"].endswith(f":{ports[name]}"):
            found.append(f"{section}.listen is {settings[section]['listen']}, the port is {ports[name]}")
    server = settings["server"]
    needed = (server["shutdown_delay_ms"] + server["drain_timeout_ms"]) / 1000
    if pod["terminationGracePeriodSeconds"] <= needed:
        found.append(f"the pod has {pod['terminationGracePeriodSeconds']} s to stop, the gateway takes {needed} s")
    return found


def check_chart() -> int:
    count = 0
    for values in files(CHART / "ci", "*.yaml"):
        rendered = render("--values", values)
        with container() as place:
            said = place.check(settings_of(rendered), {})
        expect([f"{values.name}: {fault}" for fault in contradictions(pod_of(rendered), applied(said))])
        count += 1
    return count


def variables_of(described: list[Document], place: Container) -> dict[str, str]:
    """The environment that KServe gives a container, with a made-up value for each Secret."""
    made = {one["name"]: one.get("value", secrets.token_hex(32)) for one in described}
    return {name: value.replace("/mnt/models", str(place.folder / "models")) for name, value in made.items()}


def check_kserve() -> int:
    runtimes, services = kserve.read()
    (server,) = runtimes["ServingRuntime"]["spec"]["containers"]
    for service in services:
        with container() as place:
            more = service["spec"]["predictor"]["model"].get("env", [])
            said = applied(place.check(None, variables_of([*server["env"], *more], place)))
        if not said["server"]["listen"].endswith(":8080") or not said["grpc"]["listen"].endswith(":9000"):
            raise Wrong("KServe sends REST to 8080, and gRPC to 9000 as the port in iris-v2-grpc.yaml says")
    return len(services)


def check_compose() -> None:
    settings = (DEPLOYMENT / "compose" / "gateway.toml").read_text()
    with container() as place:
        place.check(settings, {"GATEWAY__AUTH__SIGNING_SECRET": secrets.token_hex(32)})


def check_schema() -> None:
    """The chart's schema takes every section of settings that the gateway has, and no other."""
    known = json.loads(run([BINARY, "config-schema"], environment()))["properties"]
    chart = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]["properties"]
    if differing := set(known) ^ set(chart):
        names = ", ".join(sorted(differing))
        raise Wrong(f"values.schema.json: settings differs from the gateway's sections in {names}")


def check_probes() -> None:
    """A gateway with the chart's defaults answers its probes, and Prometheus, as the pod describes them."""
    rendered = render()
    (gateway,) = (one for one in pod_of(rendered)["containers"] if one["name"] == "gateway")
    paths = [gateway[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    ports = dict(zip((8000, 8001, 8002), free_ports(3), strict=True))
    with container() as place:
        text = place.translated(settings_of(rendered))
        for inside, outside in ports.items():
            text = text.replace(f'"0.0.0.0:{inside}"', f'"127.0.0.1:{outside}"')
        path = place.folder / "gateway.toml"
        path.write_text(text)
        place.add_secrets(tomllib.loads(text))
        arguments = [one.replace("/etc/onnx-gateway", str(place.folder)) for one in gateway["args"]]
        with (place.folder / "log").open("w") as log:
            process = subprocess.Popen([BINARY, *arguments], cwd=place.folder, env=environment(), stderr=log)
        try:
            for asked in [*paths, "/metrics"]:
                wait_for(f"http://127.0.0.1:{ports[8002]}{asked}", process, place.folder / "log")
        finally:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if fetch(url).status == 200:
                return
        except (OSError, NotServing):
            pass
        time.sleep(0.1)
    raise Wrong(f"{re.sub(r'^.*:[0-9]+', '', url)} does not answer 200: {log.read_text().strip()}")


def check() -> None:
    charts, services = check_chart(), check_kserve()
    check_compose()
    check_schema()
    check_probes()
    say(f"settings: the gateway accepts those of {charts} charts, {services} services of KServe and compose")
