"""The cases of `tools/attack`, one module for each kind of harm."""

CASES = (
    "memory",
    "connections",
    "slow",
    "logins",
    "limits",
    "tokens",
    "framing",
    "frames",
    "numbers",
    "files",
    "swaps",
    "ending",
    "system",
)
