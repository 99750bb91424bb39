"""The cases of `tools/attack`, one module for each kind of harm."""

CASES = (
    "memory",
    "connections",
    "slow",
    "logins",
    "limits",
    "shared_quotas",
    "overload",
    "tokens",
    "secrets",
    "issuers",
    "encryption",
    "framing",
    "frames",
    "numbers",
    "files",
    "candidates",
    "swaps",
    "ending",
    "system",
)
