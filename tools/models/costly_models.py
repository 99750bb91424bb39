"""Ordinary models that cost some seconds or some hundred megabytes, at most: low limits refuse them.

`make_test_models.py` writes them. The functions' names are the files' names. Loading works out what no input changes,
so a cost falls to loading if it does not depend on the input, and to each run if it does.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
from onnx import helper

from model_parts import constant, graph, rows, save

# Rows and columns of a square matrix of which one product is a third of a second of work, or a whole one.
WIDTH = 3072
PRODUCTS = 15
MEGABYTES = 256
# Rows and columns of weights of 64 MiB.
DENSE = (2048, 8192)


def filled(name: str, shape: list[int], value: float) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    """A node that makes a tensor of one value, and its shape: a few bytes in the file."""
    number = helper.make_tensor("number", onnx.TensorProto.FLOAT, [1], [value])
    node = helper.make_node("ConstantOfShape", [f"shape_of_{name}"], [name], value=number)
    return node, constant(f"shape_of_{name}", np.array(shape, np.int64))


def with_cost(name: str, nodes: list, cost: str, constants: list) -> onnx.ModelProto:
    """y = x + the mean of the tensor that costs something."""
    nodes = [
        *nodes,
        helper.make_node("ReduceMean", [cost], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    return graph(name, nodes, [rows("x", 1)], [rows("y", 1)], constants)


def products(name: str, start: list, first: str, constants: list) -> onnx.ModelProto:
    """A chain of matrix products, each of which leaves a matrix of equal numbers as it is."""
    weights, shape = filled("weights", [WIDTH, WIDTH], 1 / WIDTH)
    values = [first, *(f"product_{number}" for number in range(PRODUCTS))]
    chain = [helper.make_node("MatMul", [value, "weights"], [result]) for value, result in pairwise(values)]
    return with_cost(name, [*start, weights, *chain], values[-1], [*constants, shape])


def mean_of_x() -> onnx.NodeProto:
    return helper.make_node("ReduceMean", ["x"], ["mean_of_x"], keepdims=0)


def seconds_to_load() -> onnx.ModelProto:
    """y = x + 1, where the 1 takes some seconds to work out."""
    ones, shape = filled("ones", [WIDTH, WIDTH], 1.0)
    return products("seconds_to_load", [ones], "ones", [shape])


def seconds_to_run() -> onnx.ModelProto:
    """y = x + the mean of x, which takes some seconds to work out at each run."""
    ones, shape = filled("ones", [WIDTH, WIDTH], 1.0)
    nodes = [ones, mean_of_x(), helper.make_node("Mul", ["ones", "mean_of_x"], ["means"])]
    return products("seconds_to_run", nodes, "means", [shape])


def megabytes_to_load() -> onnx.ModelProto:
    """y = x + 1, where the 1 is the mean of 256 MiB."""
    ones, shape = filled("ones", [MEGABYTES << 18], 1.0)
    return with_cost("megabytes_to_load", [ones], "ones", [shape])


def megabytes_to_run() -> onnx.ModelProto:
    """y = x + the mean of x, which each run repeats in 256 MiB."""
    nodes = [mean_of_x(), helper.make_node("Expand", ["mean_of_x", "size"], ["many"])]
    return with_cost("megabytes_to_run", nodes, "many", [constant("size", np.array([MEGABYTES << 18], np.int64))])


def megabytes_of_weights() -> onnx.ModelProto:
    """y = x, by way of weights that take 64 MiB as long as the model is loaded."""
    spread, spread_shape = filled("spread", [1, DENSE[0]], 1.0)
    weights, shape = filled("weights", list(DENSE), 1 / DENSE[0])
    nodes = [
        spread,
        weights,
        helper.make_node("MatMul", ["x", "spread"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "weights"], ["many"]),
        helper.make_node("ReduceMean", ["many", "axes"], ["y"], keepdims=1),
    ]
    constants = [spread_shape, shape, constant("axes", np.array([1], np.int64))]
    return graph("megabytes_of_weights", nodes, [rows("x", 1)], [rows("y", 1)], constants)


def write_costly_models() -> None:
    makers = (seconds_to_load, seconds_to_run, megabytes_to_load, megabytes_to_run, megabytes_of_weights)
    for make in makers:
        model = make()
        onnx.checker.check_model(model)
        save(make.__name__, model)
