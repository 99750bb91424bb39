"""Networks of Keras, by tf2onnx and by Keras's own `export`."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import tensorflow
import tf2onnx
from tensorflow import keras

from . import rows
from .made import Made, serialized

OPSET = 18


def classifier() -> keras.Model:
    return keras.Sequential(
        [keras.layers.Input((4,), name="x"), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax", name="y")]
    )


def regressor() -> keras.Model:
    return keras.Sequential([keras.layers.Input((4,), name="x"), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])


def picture() -> keras.Model:
    return keras.Sequential(
        [
            keras.layers.Input((6, 6, 1), name="picture"),
            keras.layers.Conv2D(2, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, "softmax"),
        ]
    )


def models() -> Iterator[Made]:
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    pictures = np.random.default_rng(rows.SEED).integers(0, 256, (rows.COUNT, 6, 6, 1)).astype(np.float32)
    flowers = rows.asked(extreme=100)
    for name, make, given in (
        ("classifier", classifier, flowers),
        ("regressor", regressor, flowers),
        ("picture", picture, pictures),
    ):
        keras.utils.set_random_seed(rows.SEED)
        model = make()
        kinds = (tensorflow.TensorSpec((None, *given.shape[1:]), tensorflow.float32, name=model.inputs[0].name),)

        @tensorflow.function(input_signature=kinds)
        def run(value: tensorflow.Tensor, model: keras.Model = model) -> tensorflow.Tensor:
            return model(value)

        converted, _ = tf2onnx.convert.from_function(run, input_signature=kinds, opset=OPSET)
        inputs = {converted.graph.input[0].name: given}
        yield Made(f"keras_{name}", "tf2onnx", f"Keras, {name}", serialized(converted), inputs)
