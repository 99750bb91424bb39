"""The suites that the commands in tools/ run against a gateway, or another server."""
