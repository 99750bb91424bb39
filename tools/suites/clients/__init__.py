"""The parts of `tools/client-suite`, by client. Each has `checks`: names and functions."""

# Modules, in the order in which they are asked. Each has a process of its own: clients come with messages of the same
# names, of which protobuf takes only one in a process.
PARTS = (
    "triton_http",
    "triton_http_async",
    "triton_grpc",
    "triton_grpc_async",
    "kserve_rest",
    "kserve_grpc",
    "described",
    "generated",
    "reflection",
    "buf_curl",
    "dialects",
    "mcp",
    "same_numbers",
    "same_numbers_kserve",
    "encrypted",
    "encrypted_kserve",
    "documents",
    "protocol",
)
