"""The image, built and run as it is meant to be: what `tools/container-test` consists of."""
