"""ONNX's own backend test cases against the gateway: what `tools/onnx-suite` consists of."""
