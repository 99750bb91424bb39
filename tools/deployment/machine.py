"""Files for one machine: the compose file and the unit of systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import yaml

from .base import DEPLOYMENT, Document, Wrong, expect, packaged, run, say, system_program

COMPOSE = DEPLOYMENT / "compose" / "compose.yaml"
UNIT = DEPLOYMENT / "systemd" / "onnx-gateway.service"
# By `systemd-analyze security`: 10 is no protection.
MOST_EXPOSURE = 2.0
SECRETS = {"SIGNING_SECRET": "not-a-secret", "GRAFANA_PASSWORD": "not-a-secret"}


def unsafe(name: str, service: Document) -> list[str]:
    """Files that are not there, rights that are not needed, and images without a version."""
    sources = [volume["source"] for volume in service.get("volumes", []) if volume["type"] == "bind"]
    found = [f"{name} mounts {source}, which is not there" for source in sources if not Path(source).exists()]
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
        found.append(f"{name} keeps capabilities, or may gain some")
    public = [port["target"] for port in service.get("ports", []) if port.get("host_ip") != "127.0.0.1"]
    found += [f"{name} publishes {port} to other machines" for port in public]
    if "build" not in service and not re.search(r":(?!latest$)[^/]+$", service["image"]):
        found.append(f"{name}: the image {service['image']} has no version")
    return found


def check_compose() -> None:
    command: list[str | Path] = [packaged("docker-compose"), "--file", COMPOSE, "config"]
    plain = {key: value for key, value in os.environ.items() if key not in SECRETS}
    described = json.loads(run([*command, "--format", "json"], plain | SECRETS))
    expect([fault for name, service in described["services"].items() for fault in unsafe(name, service)])
    # Without a key nothing starts: there is no default.
    for missing in SECRETS:
        try:
            run([*command, "--quiet"], plain | {key: value for key, value in SECRETS.items() if key != missing})
        except Wrong as refusal:
            if missing not in str(refusal):
                raise
        else:
            raise Wrong(f"compose.yaml starts without {missing}")
    provisioned = COMPOSE.parent / "grafana" / "datasources" / "prometheus.yaml"
    (source,) = yaml.safe_load(provisioned.read_text())["datasources"]
    host = re.fullmatch(r"http://([a-z]+):\d+", source["url"])
    if host is None or host[1] not in described["services"]:
        raise Wrong(f"Grafana's source {source['url']} is none of the services")
    say(f"compose: {len(described['services'])} services")


def check_unit() -> None:
    analyze = system_program("systemd-analyze", "systemd")
    with tempfile.TemporaryDirectory(prefix="check-deploy-") as name:
        unit = Path(name) / UNIT.name
        # The program is not installed here.
        unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true')}", UNIT.read_text()))
        said = run([analyze, "verify", unit], errors=True)
        security = run([analyze, "security", "--offline=true", "--no-pager", unit])
    if said.strip():
        raise Wrong(f"systemd-analyze verify: {said}")
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", security)
    if level is None:
        raise Wrong(f"systemd-analyze security names no level: {security[-300:]}")
    if float(level[1]) >= MOST_EXPOSURE:
        raise Wrong(f"systemd-analyze security: {level[1]}; below {MOST_EXPOSURE} is expected")
    say(f"systemd: no fault, exposure {level[1]}")
