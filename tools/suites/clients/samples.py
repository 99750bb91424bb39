"""For each model what to ask, and what it must answer."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from .checks import Wrong, expect

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sample:
    model: str
    inputs: Arrays
    outputs: Arrays
    # Whether clients can write it as JSON, and as the typed contents of gRPC.
    plain: bool = True


def texts(*words: str) -> np.ndarray:
    return np.array([word.encode() for word in words], np.object_)


def samples() -> list[Sample]:
    a, b = np.array([[1.5, -2], [3e30, 4]], np.float32), np.array([[0.1, 1e-30], [5, 6]], np.float32)
    words = texts("a", "", "ö€😀", "x" * 300, "0", "\n\t").reshape(2, 3)
    halves = np.array([[0.1, -65504], [6e-8, 2]], np.float16)
    sound = np.arange(12, dtype=np.float32).reshape(2, 3, 2) / 3
    truths = np.array([[[True], [False]]])
    small = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) + 230
    large = np.array([0, 2**53 + 1, 2**64 - 1], np.uint64)
    return [
        Sample("same_symbol", {"a": a, "b": b}, {"y": a + b}),
        Sample("texts", {"x": words}, {"y": words}),
        Sample("one_text", {"x": texts("one")}, {"y": texts("one")}),
        Sample("half", {"x": halves}, {"y": halves}, plain=False),
        Sample(
            "brain_half",
            {"x": halves.astype(ml_dtypes.bfloat16)},
            {"y": halves.astype(ml_dtypes.bfloat16)},
            plain=False,
        ),
        Sample(
            "scalar",
            {"sound": sound, "gain": np.array(0.1, np.float32)},
            {"louder": sound * np.float32(0.1), "length": np.array([2, 3, 2])},
        ),
        Sample("truths", {"x": truths}, {"y": ~truths}),
        Sample("unsigned", {"x": large}, {"y": large}),
        Sample("bytes_in", {"x": small}, {"y": small}),
        every_type(),
    ]


def every_type() -> Sample:
    """The least and the greatest of each type."""
    inputs: Arrays = {"bool": np.array([False, True, True])}
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        limits = np.iinfo(name)
        inputs[name] = np.array([limits.min, limits.max, 7], name)
    for name, numpy_type in (("fp32", np.float32), ("fp64", np.float64)):
        limits = np.finfo(numpy_type)
        inputs[name] = np.array([limits.min, limits.max, limits.tiny / 3], numpy_type)
    inputs["bytes"] = texts("a", "", "ö")
    return Sample("every_type", inputs, {f"same_{name}": array for name, array in inputs.items()})


def as_bytes(array: np.ndarray) -> list[bytes]:
    return [item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel()]


def same(came: np.ndarray | None, wanted: np.ndarray, name: str) -> None:
    """Equal bit for bit, in shape and type."""
    if came is None:
        raise Wrong(f"there is no output {name}")
    came = np.asarray(came)
    expect(came.shape == wanted.shape, f"{name}: shape {came.shape} in place of {wanted.shape}")
    if wanted.dtype == np.object_:
        expect(as_bytes(came) == as_bytes(wanted), f"{name}: {came.tolist()}")
        return
    expect(came.dtype == wanted.dtype, f"{name}: {came.dtype} in place of {wanted.dtype}")
    expect(came.tobytes() == wanted.tobytes(), f"{name}: {came.tolist()} in place of {wanted.tolist()}")
