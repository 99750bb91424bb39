"""Objects of Kubernetes, cert-manager and the Prometheus Operator, against their schemas.

Those of Kubernetes are JSON schemas that allow no unknown key. The others are types and validators in JavaScript: the
compiler of TypeScript finds unknown keys, and a validator values that do not fit a pattern.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import kubernetes_validate

from .base import NODE_MODULES, Document, named, node

# The package of each custom resource, and the name of its validator there.
CUSTOM = {
    "cert-manager.io/v1": ("cert-manager", "ComGithubCertManagerCertManagerPkgApisCertmanagerV1"),
    "monitoring.coreos.com/v1": (
        "prometheus-operator",
        "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1",
    ),
}


def faults(objects: list[Document], version: str) -> list[str]:
    found = []
    for one in objects:
        if one["apiVersion"] not in CUSTOM:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as fault:
                found.append(f"{named(one)}: {'/'.join(map(str, fault.path))}: {fault.message}")
            except kubernetes_validate.SchemaNotFoundError as fault:
                found.append(f"{named(one)}: {fault.message}")
    return found + custom_faults([one for one in objects if one["apiVersion"] in CUSTOM])


def custom_faults(objects: list[Document]) -> list[str]:
    if not objects:
        return []
    types, validators, calls = [], [], []
    for index, one in enumerate(objects):
        package, prefix = CUSTOM[one["apiVersion"]]
        folder = (NODE_MODULES / "@kubernetes-models" / package).as_posix()
        module = f"{folder}/{one['apiVersion']}/{one['kind']}.js"
        if not Path(module).exists():
            return [f"{named(one)}: {one['apiVersion']} has no such kind"]
        text = json.dumps(one)
        types.append(f'import type {{ I{one["kind"]} as T{index} }} from "{module}";')
        types.append(f"export const v{index}: T{index} = {text};")
        validators.append(f'import {{ validate as c{index} }} from "{folder}/_schemas/{prefix}{one["kind"]}.js";')
        calls.append(f"if (!c{index}({text})) console.log({json.dumps(named(one))}, JSON.stringify(c{index}.errors));")
    compiler = NODE_MODULES / "typescript" / "lib" / "tsc.js"
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"]
    with tempfile.TemporaryDirectory(prefix="check-deploy-") as name:
        source, script = Path(name) / "objects.mts", Path(name) / "objects.mjs"
        source.write_text("\n".join(types))
        script.write_text("\n".join(validators + calls))
        compiled = subprocess.run([node(), compiler, *options, source], capture_output=True, text=True, check=False)
        validated = subprocess.run([node(), script], capture_output=True, text=True, check=False)
    said = compiled.stdout + compiled.stderr if compiled.returncode else ""
    return [line for line in (said + validated.stdout + validated.stderr).splitlines() if line.strip()]
