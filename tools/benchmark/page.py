"""docs/benchmarks.md, made of the figures."""

from __future__ import annotations

from typing import Any

from . import table
from .rounds import Result

HEAD = """\
# Benchmarks

Made by `tools/bench --record`; the figures with all digits are in [benchmarks.json](benchmarks.json). To measure again:

```sh
tools/setup --train                # ONNX Runtime, and what makes the models of `mlp` and `instances`
tools/bench                        # everything; prints these tables
tools/bench --only iris-1          # one item
tools/bench --record               # everything, and writes this page anew
tools/bench --quick                # in about a minute: is it still what is written here?
```

What is measured is the gateway as one would run it: tokens are verified, quotas are counted (so large that none ends),
metrics and the log are on. The others do less: what each does stands below.

![CPU time, requests and latency of each server, one row a request](benchmarks.svg)
"""

SERVERS = """\
## Who is measured

| name | what it is | tokens | quotas |
| --- | --- | --- | --- |
| gateway | this binary: `POST /predict`, validated, unless another route is named | JWT, HS256 | by address and caller |
| echo | axum, which reads one row of JSON and writes it back; no model. The yardstick | no | no |
| echo, bytes; echo, gRPC | axum, which writes bytes back; tonic, which reads a message and writes it back | no | no |
| plain | axum and ONNX Runtime, as one writes it by hand | no | no |
| furnace | furnace-server with ONNX Runtime under it, `/v2/models/iris/infer` | one API key | by key |
| fastapi-onnx | FastAPI, PyJWT and ONNX Runtime; uvicorn with uvloop and httptools, a worker for each CPU | JWT, HS256 | no |
| tutorial | FastAPI, PyJWT, slowapi and scikit-learn itself; uvicorn likewise | JWT, HS256 | by address |
| mlserver | MLServer with ONNX Runtime in a runtime of its own, in one process, `/v2/models/iris/infer` | no | no |
| mlserver-workers | as mlserver, with a process for each CPU that runs the model | no | no |
| bentoml | BentoML with ONNX Runtime, a worker for each CPU | no | no |
| litserve | LitServe with ONNX Runtime, a worker and an API server for each CPU, its fast queue | no | no |
| mosec | mosec with ONNX Runtime, a worker for each CPU, `/inference` | no | no |
| bare | no server: `session.run` again and again, a session for each thread | no | no |

mlserver uses one CPU where others use all; with workers, its one HTTP process hands each request on. BentoML, LitServe
and mosec run one row a request, without the batching that they offer.

All answer the same rows of the same model, and their answers are compared with the gateway's before anything is timed.
"""

REMARKS = """\
## How to read it

- The load generator, one thread, has to share the CPUs with the server. So requests per second say what this machine
  does with both; **CPU time per request** is the server's alone (of all its processes, from the kernel's scheduler),
  and the better figure to compare.
- × is the ratio to the yardstick of the same round, row by row: to `echo`, or to `bare` where that is in the table, or
  to what the item names.
  Servers take turns in rounds, and every figure is the median of the rounds, the ratios too. `× gateway` is the same
  ratio to the gateway as it usually is.
- Latencies are the load generator's. With as many requests as are answered (all but `p99` and `half-load`), connections
  wait for each other's requests, and a latency says little more than the throughput does. `p99` and `half-load` send
  requests when they are due and count from then, so that a server that stalls is charged for all whom it keeps waiting.
  Where other programs run on the machine, the highest percentiles are theirs.
- MB is resident memory after the load, of all processes of a server; pages of files that they share count once.
- The Iris forest takes ONNX Runtime some microseconds a row: what is measured is what a server adds to a model. With
  slow models all servers are alike.
"""

ITEMS = {
    "iris-1": "One row a request over REST, as many requests as are answered.",
    "protocols": (
        "One row a request over each protocol, with 32 connections; `gRPC, streams`: 1 connection with 32 calls at a "
        "time. The yardstick: what axum needs to write a body back, or tonic a message. furnace and MLServer take the very "
        "bodies of `/v2 JSON`."
    ),
    "iris-1024-json": "1024 rows a request as JSON: `instances` on `/predict`, one tensor on `/v2/models/iris/infer`.",
    "iris-1024-binary": "1024 rows a request as bytes, on `/v2/models/iris/infer`; the answer too.",
    "mlp": (
        "A network 64 → 512 → 512 → 512 → 10, one row a request. The yardstick: the model alone, 64 rows a run; at half "
        "of the gateway's rate, one row a run."
    ),
    "p99": "The most requests per second with a 99th percentile of at most 1 ms, with 32 connections: found by bisection "
    "between none and as many as are answered, each rate tried twice if need be; also per CPU of the machine. 0: not even "
    "the lowest rate that was tried.",
    "half-load": "Requests at half of the rate that the gateway reached at most with 32 connections.",
    "instances": (
        "One instance of a model and four (`runtime.instances`): a dense network of 100 MB and a forest of 25 MB, one row a "
        "request as bytes, with 8 connections. The yardstick: one instance. `MB loaded` is resident memory before the load."
    ),
    "grpc": "One row a request over gRPC, beside REST with JSON and with bytes.",
    "auth": "Tokens signed with RSA of 2048 bits and with ECDSA on P-256, and API keys, in place of HS256. Each is verified at "
    "its first use, and known after that.",
    "tls": "TLS 1.3 over connections that stay open; handshakes are not part of it.",
    # Of records before there was `auth`.
    "rs256": "Tokens signed with an RSA key of 2048 bits in place of HS256.",
    "metrics-off": "Without metrics (`metrics.enabled = false`).",
    "traces": "With traces (`telemetry.otlp`) of 1 % and of all requests.",
    "access-log": "With a line logged for each answer (`log.access = true`), to a file and to `/dev/null`. Without, the "
    "log is a file too.",
    "start": "From the start of the process to the first answer. The gateway has admitted the model's bytes before, or "
    "starts with an empty folder for its state (`new files`).",
    "profile": (
        "Where the CPU time of one request goes. Instructions outside the kernel are counted by valgrind, 8 "
        "connections; the kernel's share is of its CPU time without valgrind. An instruction is taken for as long as "
        "any other, which makes the forest's and the hash's share too large: this processor hashes in hardware."
    ),
}


def write(record: dict[str, Any]) -> str:
    parts = [HEAD, SERVERS, REMARKS, "## Figures\n"]
    for name in (name for name in ITEMS if name in record["items"]):
        item = record["items"][name]
        parts.append(f"### {name}\n\n{ITEMS[name]} {item['how']}, {item['date']}, {item['gateway']}.\n")
        results = [result_of(entry) for entry in item["results"]]
        if results:
            parts.append(markdown(table.lines(results)))
        parts += [f"Left out: {reason}\n" for reason in item["left_out"]]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if name != "gateway")
    parts.append(f"## The machine\n\n{record['machine']}.\n\n{versions}.\n")
    return "\n".join(parts)


def result_of(entry: dict[str, Any]) -> Result:
    names = ("item", "setting", "contestant")
    figures = {key: value for key, value in entry.items() if key not in names}
    return Result(entry["item"], entry["setting"], entry["contestant"], figures)


def markdown(lines: list[tuple[str, ...]]) -> str:
    # The item is in the heading.
    head, *body = ([cell or " " for cell in line[1:]] for line in lines)
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body)) + "\n"
