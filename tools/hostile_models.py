"""Models that do harm: to memory, time, files, or the process that loads them. `make_test_models.py` writes them.

What each does was seen with ONNX Runtime 1.32 on x86_64. The functions' names are the files' names.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from model_parts import ML_OPSET, MODELS, OPSET, constant, graph, rows, save

FUNCTIONS = helper.make_opsetid("functions", 1)


def wants_a_tebibyte() -> onnx.ModelProto:
    """Loads, and asks for 1 TiB a row when it runs: the size comes from the input, so that it is not known before."""
    nodes = [
        helper.make_node("Shape", ["x"], ["count"], end=1),
        helper.make_node("Mul", ["count", "a_row"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    floats_a_row = constant("a_row", np.array([2**38], np.int64))
    return graph("wants_a_tebibyte", nodes, [rows("x", 1)], [rows("y", 1)], [floats_a_row])


def folding_bomb(doublings: int = 28) -> onnx.ModelProto:
    """About 1 KB that becomes 1 GiB while it loads, with a peak of 3 GiB: one number, doubled 28 times."""
    nodes = [
        helper.make_node("Concat", [f"c{step}", f"c{step}"], [f"c{step + 1}"], axis=0) for step in range(doublings)
    ]
    nodes += [
        helper.make_node("ReduceSum", [f"c{doublings}"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    return graph("folding_bomb", nodes, [rows("x", 1)], [rows("y", 1)], [constant("c0", np.zeros(1, np.float32))])


def endless_load(levels: int = 24) -> onnx.ModelProto:
    """About 2 KB that does not end loading: functions that each call the next one twice are written out as 2^24 nodes.

    Twice the levels take the square of the time and of the memory; 16 levels take 5 s and 50 MB.
    """
    opsets = [OPSET, FUNCTIONS]

    def call(level: int, argument: str, result: str) -> onnx.NodeProto:
        return helper.make_node(f"f{level}", [argument], [result], domain="functions")

    functions = [
        helper.make_function(
            "functions", f"f{level}", ["a"], ["c"], [call(level + 1, "a", "b"), call(level + 1, "b", "c")], opsets
        )
        for level in range(levels)
    ]
    last = [helper.make_node("Neg", ["a"], ["c"])]
    functions.append(helper.make_function("functions", f"f{levels}", ["a"], ["c"], last, opsets))
    return graph("endless_load", [call(0, "x", "y")], [rows("x", 1)], [rows("y", 1)], (), opsets, functions)


def deep_if(depth: int = 9) -> onnx.ModelProto:
    """Needs 350 times its size in memory to load: a condition within both branches of a condition, nine deep."""

    def value(level: int) -> onnx.ValueInfoProto:
        return rows(f"o{level}", 1)

    def branch(level: int) -> onnx.GraphProto:
        if level == depth:
            node = helper.make_node("Identity", ["x"], [f"o{level}"])
        else:
            node = choose(level)
        return helper.make_graph([node], "branch", [], [value(level)])

    def choose(level: int) -> onnx.NodeProto:
        inner = branch(level + 1)
        return helper.make_node("If", ["positive"], [f"o{level}"], then_branch=inner, else_branch=inner)

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["positive"], to=TensorProto.BOOL),
        choose(0),
        helper.make_node("Identity", ["o0"], ["y"]),
    ]
    return graph("deep_if", nodes, [rows("x", 1)], [rows("y", 1)])


def deep_tree(depth: int = 5000) -> onnx.ModelProto:
    """A decision tree that is one long branch. ONNX Runtime walks down by recursion while it loads.

    On a thread with a stack of 2 MiB, as Rust's and tokio's have, that ends in SIGSEGV; with the 8 MiB of a main thread
    it loads and answers. So what a child proved on its main thread could still end a server. With 12,000 levels
    (190 KB) it ends a main thread too.
    """
    step = np.arange(1, depth + 1)
    step[-1] = 0
    leaf = [0] * (depth - 1) + [1]
    node = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=1,
        tree_roots=[0],
        nodes_modes=constant("modes", np.zeros(depth, np.uint8)),
        nodes_splits=constant("splits", np.zeros(depth, np.float32)),
        nodes_featureids=[0] * depth,
        nodes_truenodeids=step.tolist(),
        nodes_trueleafs=leaf,
        nodes_falsenodeids=[0] * depth,
        nodes_falseleafs=[1] * depth,
        leaf_targetids=[0],
        leaf_weights=constant("weights", np.ones(1, np.float32)),
    )
    return graph("deep_tree", [node], [rows("x", 1)], [rows("y", 1)], (), [OPSET, ML_OPSET])


# The least integer divided by -1 is one more than the greatest. x86 answers that with a trap, and ONNX Runtime, which
# checks for a zero, does not check for it: SIGFPE. On aarch64 the result is the least integer, and nothing happens.
LEAST = np.iinfo(np.int64).min


def crash_at_load() -> onnx.ModelProto:
    """Ends the process with SIGFPE while it loads, as a division of two constants is worked out then."""
    nodes = [
        helper.make_node("Div", ["least", "minus_one"], ["overflow"]),
        helper.make_node("Add", ["x", "overflow"], ["y"]),
    ]
    constants = [constant("least", np.array([LEAST])), constant("minus_one", np.array([-1]))]
    x, y = rows("x", 1, TensorProto.INT64), rows("y", 1, TensorProto.INT64)
    return graph("crash_at_load", nodes, [x], [y], constants)


def crash_at_run() -> onnx.ModelProto:
    """Loads, and ends the process with SIGFPE at every run, whatever the input."""
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "least"], ["dividend"]),
        helper.make_node("Div", ["dividend", "minus_one"], ["y"]),
    ]
    constants = [
        constant("zero", np.array(0)), constant("least", np.array(LEAST)), constant("minus_one", np.array(-1))
    ]
    x, y = rows("x", 1, TensorProto.INT64), rows("y", 1, TensorProto.INT64)
    return graph("crash_at_run", nodes, [x], [y], constants)


def quotient() -> onnx.ModelProto:
    """y = a / b in whole numbers. A model that means no harm, with which a caller can: the least integer by -1."""
    integers = [rows(name, 1, TensorProto.INT64) for name in "aby"]
    return graph("quotient", [helper.make_node("Div", ["a", "b"], ["y"])], integers[:2], integers[2:])


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
    # A name that whoever keeps copies may have a use for.
    save("external_manifest", with_external_weights("./manifest.json"))
    save("external_missing", with_external_weights("missing.bin"))
    save("external_escape_absolute", with_external_weights("/etc/passwd"))
    # So many steps up that it is the root from anywhere.
    save("external_escape_dotdot", with_external_weights("../" * 24 + "etc/passwd"))


def write_hostile_models() -> None:
    makers = (
        wants_a_tebibyte, folding_bomb, endless_load, deep_if, deep_tree, crash_at_load, crash_at_run, quotient
    )
    for make in makers:
        save(make.__name__, make())
    write_external_models()
