"""The release binary from outside, as a user runs it: what `tools/end-to-end` consists of."""
