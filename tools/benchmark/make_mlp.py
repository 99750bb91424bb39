"""Writes a neural network, from `x` (N, 64) to `y` (N, 10), all float. Run in .venv.

make_mlp.py FILE [WIDTH ...]   the widths of the hidden layers, 512 512 512 by default
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = [int(width) for width in sys.argv[2:]] or [512, 512, 512]
WIDTHS = (64, *HIDDEN, 10)
SEED = 0

chance = np.random.default_rng(SEED)
nodes, constants, last = [], [], "x"
for index, (rows, columns) in enumerate(pairwise(WIDTHS)):
    # He's scale: what goes through keeps its size.
    weights = (chance.standard_normal((rows, columns)) * np.sqrt(2 / rows)).astype(np.float32)
    constants.append(numpy_helper.from_array(weights, f"w{index}"))
    constants.append(numpy_helper.from_array(np.zeros(columns, np.float32), f"b{index}"))
    ends = columns == WIDTHS[-1]
    product = "logits" if ends else f"p{index}"
    nodes.append(helper.make_node("Gemm", [last, f"w{index}", f"b{index}"], [product]))
    last = "y" if ends else f"h{index}"
    nodes.append(helper.make_node("Softmax" if ends else "Relu", [product], [last]))

inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTHS[0]])]
outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", WIDTHS[-1]])]
body = helper.make_graph(nodes, "mlp", inputs, outputs, constants)
model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model)
Path(sys.argv[1]).write_bytes(model.SerializeToString())
