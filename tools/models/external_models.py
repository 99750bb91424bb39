"""Models whose weights lie in a file beside them, or are said to. `make_test_models.py` writes them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from model_parts import MODELS, graph, rows, save


def with_external_weights(location: str) -> onnx.ModelProto:
    """y = x · weights, where the two weights are the first eight bytes of another file."""
    weights = onnx.TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2, 1])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "8")):
        weights.external_data.add(key=key, value=value)
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return graph("external", [node], [rows("x", 2)], [rows("y", 1)], [weights])


def write_external_models() -> None:
    """`external` is y = 2 a + 3 b with its weights in a file beside it, and `external_retrained` is y = 4 a + 5 b.

    The others name a file that is not there, and one that is not theirs to read. The latter exists and is long enough,
    so that only a check of the place refuses them.
    """
    for folder, values in (("external", [2.0, 3.0]), ("external_retrained", [4.0, 5.0])):
        save(f"{folder}/model", with_external_weights("weights.bin"))
        (MODELS / folder / "weights.bin").write_bytes(np.array(values, "<f4").tobytes())
    # A name that the gateway's own copies may have a use for.
    save("external_manifest", with_external_weights("./manifest.json"))
    save("external_missing", with_external_weights("missing.bin"))
    save("external_escape_absolute", with_external_weights("/etc/passwd"))
    # More steps up than any path has: the root.
    save("external_escape_dotdot", with_external_weights("../" * 24 + "etc/passwd"))
