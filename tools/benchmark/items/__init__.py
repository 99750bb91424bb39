"""The work items. Each is a function that returns results under its name."""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..rounds import Result
from . import credentials, grpc, half_load, instances, iris_1, iris_1024, mlp, p99, profile, protocols, start, variants

# In the order in which they are measured.
ITEMS: dict[str, Callable[[Bench], list[Result]]] = {
    "iris-1": iris_1.measure,
    "protocols": protocols.measure,
    "iris-1024-json": iris_1024.measure_json,
    "iris-1024-binary": iris_1024.measure_binary,
    "mlp": mlp.measure,
    "instances": instances.measure,
    "p99": p99.measure,
    "half-load": half_load.measure,
    "grpc": grpc.measure,
    "auth": credentials.measure,
    "tls": credentials.measure_tls,
    "metrics-off": variants.measure_without_metrics,
    "access-log": variants.measure_with_access_log,
    "traces": variants.measure_with_traces,
    "start": start.measure,
    "profile": profile.measure,
}
