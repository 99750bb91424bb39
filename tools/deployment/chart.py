"""The Helm chart: its form, what it renders, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from . import resources
from .base import CHART, Document, Wrong, documents, expect, files, named, packaged, run, say

# The newest Kubernetes whose schemas are here.
NEWEST = "1.37"

# Values that the chart refuses, and a part of the reason.
REFUSED = {
    "replicaCount=-1": "minimum",
    "tsl.enabled=true": "'tsl' not allowed",
    "settings.sever.threads=1": "'sever' not allowed",
    "settings.server.listen=x": "set the value listenAddress",
    "settings.auth.signing_secret=x": "set the value credentials.existingSecret",
    "settings.models.repository=x": "set the value repository.source",
    "rateLimit.redis.enabled=true": "set url, or existingSecret",
    "rateLimit.redis.url=redis://user:password@redis": "does not match pattern",
    "replicaCount=2,state.persistence.enabled=true": "several pods need ReadWriteMany",
    "certManager.enabled=true": "set tls.enabled",
    "tls.enabled=true,tls.clientCertificates=required": "name the Secret with ca.crt",
    "probes.port=http,tls.enabled=true,tls.clientCertificates=required,tls.clientCaSecret=x": "set probes.port",
    "repository.source=existingClaim": "name the claim",
    "repository.source=initContainer": "at least one container",
    "repository.source=volume": "describe the volume",
    "monitoring.podMonitor.enabled=true,monitoring.serviceMonitor.enabled=true": "not both",
    "monitoring.serviceMonitor.enabled=true,adminService.enabled=false": "needs adminService.enabled",
}


def render(*arguments: str | Path) -> list[Document]:
    return documents(run([packaged("helm"), "template", "release", CHART, "--namespace", "models", *arguments]))


def oldest(values: Path) -> str:
    """The oldest Kubernetes that these values are for: that of their first comment, or that of the chart."""
    told = re.match(r"# Kubernetes (\d+\.\d+) and later", values.read_text())
    chart = re.match(r">=(\d+\.\d+)", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])
    if chart is None:
        raise Wrong("Chart.yaml: kubeVersion does not begin with >=MAJOR.MINOR")
    return (told or chart)[1]


def pod_of(rendered: list[Document]) -> Document:
    (deployment,) = (one for one in rendered if one["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]


def unsafe(rendered: list[Document]) -> list[str]:
    """Whatever breaks the restricted Pod Security Standard, or holds a secret."""
    pod, found = pod_of(rendered), []
    security = pod["securityContext"]
    if not security["runAsNonRoot"] or security["seccompProfile"]["type"] != "RuntimeDefault":
        found.append("the pod may run as root, or without seccomp")
    if pod["automountServiceAccountToken"]:
        found.append("the pod has a token of Kubernetes")
    (gateway,) = (container for container in pod["containers"] if container["name"] == "gateway")
    own = gateway["securityContext"]
    if own["allowPrivilegeEscalation"] or not own["readOnlyRootFilesystem"] or own["capabilities"]["drop"] != ["ALL"]:
        found.append("the container may gain rights, write its root file system, or keeps capabilities")
    found += [f"{named(one)}: the chart makes no Secret" for one in rendered if one["kind"] == "Secret"]
    return found


def mismatched(rendered: list[Document]) -> list[str]:
    """Names that lead nowhere: ports, selectors and volumes."""
    pod, found = pod_of(rendered), []
    (deployment,) = (one for one in rendered if one["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    (gateway,) = (container for container in pod["containers"] if container["name"] == "gateway")
    ports = {port["name"] for port in gateway["ports"]}
    for service in (one for one in rendered if one["kind"] == "Service"):
        if not service["spec"]["selector"].items() <= labels:
            found.append(f"{named(service)} selects no pod of the Deployment")
        targets = [port["targetPort"] for port in service["spec"]["ports"]]
        found += [f"{named(service)}: the pod has no port {target}" for target in targets if target not in ports]
    probes = [gateway[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    found += [f"a probe asks the port {probe['port']}" for probe in probes if probe["port"] not in ports]
    volumes = {volume["name"] for volume in pod["volumes"]}
    containers = pod["containers"] + pod.get("initContainers", [])
    mounts = {mount["name"] for container in containers for mount in container.get("volumeMounts", [])}
    found += [f"the volume {name} is mounted or defined, but not both" for name in volumes ^ mounts]
    return found


def check() -> None:
    helm = packaged("helm")
    run([helm, "lint", "--strict", CHART])
    count = 0
    for values in files(CHART / "ci", "*.yaml"):
        run([helm, "lint", "--strict", CHART, "--values", values])
        for version in (oldest(values), NEWEST):
            rendered = render("--values", values, "--kube-version", version)
            faults = resources.faults(rendered, version) + unsafe(rendered) + mismatched(rendered)
            expect([f"{values.name}, Kubernetes {version}: {fault}" for fault in faults])
            count += len(rendered)
    for value, reason in REFUSED.items():
        try:
            render("--set", value)
        except Wrong as refusal:
            if reason not in str(refusal):
                raise Wrong(f"--set {value}: expected `{reason}`, got: {refusal}") from None
        else:
            raise Wrong(f"--set {value} is accepted")
    say(f"the chart: {count} objects by the schemas of Kubernetes and of the custom resources, {len(REFUSED)} refusals")
