"""The measurements of `tools/bench`."""
