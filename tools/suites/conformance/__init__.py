"""The rules that `tools/conformance` checks, by theme. Each module registers its own when it is imported."""

import importlib

# In the order in which they are checked.
THEMES = (
    "metadata",
    "health",
    "infer",
    "outputs",
    "broken_requests",
    "numbers",
    "json_form",
    "parameters",
    "binary",
    "binary_refused",
    "raw_request",
    "encodings",
    "classification",
    "repository",
    "statistics",
    "configuration",
    "http_form",
    "access",
    "grpc_core",
    "grpc_tensors",
    "grpc_extensions",
)
for theme in THEMES:
    importlib.import_module(f".{theme}", __name__)
