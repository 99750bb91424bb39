"""Boosters: LightGBM and XGBoost by onnxmltools, CatBoost by its own exporter, and InterpretML's by ebm2onnx."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import catboost
import ebm2onnx
import lightgbm
import numpy as np
import onnx
import xgboost
from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from . import rows
from .made import Made, labels_of, serialized

GAPS = rows.with_gaps(rows.FEATURES)
TYPES = [("input", FloatTensorType([None, 4]))]
OPSET = 15


def from_lightgbm() -> Iterator[Made]:
    settings = {"n_estimators": 4, "num_leaves": 6, "min_child_samples": 5, "random_state": rows.SEED, "verbose": -1}
    classifier, regressor = lightgbm.LGBMClassifier, lightgbm.LGBMRegressor
    for name, estimator, given, target, zipmap in (
        ("classifier", classifier, rows.FEATURES, rows.SPECIES, True),
        ("names", classifier, rows.FEATURES, rows.NAMES, True),
        ("marks_gaps", classifier, GAPS, rows.MARKS, False),
        ("signs_gaps", classifier, GAPS, rows.SIGNS, False),
        ("regressor_gaps", regressor, GAPS, rows.PRICES, True),
    ):
        trained = estimator(**settings).fit(given, target)
        model = convert_lightgbm(trained, initial_types=TYPES, zipmap=zipmap, target_opset=OPSET)
        missing = given is GAPS
        what = estimator.__name__ + ("" if zipmap else ", zipmap=False")
        inputs = {"input": rows.asked(missing=missing)}
        flags = ("missing",) if missing else ()
        yield Made(f"lgbm_{name}", "onnxmltools", what, serialized(model), inputs, flags, labels=labels_of(trained))


def from_xgboost() -> Iterator[Made]:
    settings = {"n_estimators": 4, "max_depth": 3, "random_state": rows.SEED, "n_jobs": 1}
    classifier, regressor = xgboost.XGBClassifier, xgboost.XGBRegressor
    for name, estimator, given, target in (
        ("classifier", classifier, rows.FEATURES, rows.SPECIES),
        ("signs_gaps", classifier, GAPS, (rows.SIGNS > 0).astype(int)),
        ("regressor_gaps", regressor, GAPS, rows.PRICES),
    ):
        trained = estimator(**settings).fit(given, target)
        model = convert_xgboost(trained, initial_types=TYPES, target_opset=OPSET)
        missing = given is GAPS
        inputs = {"input": rows.asked(missing=missing)}
        flags = ("missing",) if missing else ()
        what, labels = estimator.__name__, labels_of(trained)
        yield Made(f"xgb_{name}", "onnxmltools", what, serialized(model), inputs, flags, labels=labels)


def from_catboost() -> Iterator[Made]:
    settings = {"iterations": 4, "depth": 3, "random_seed": rows.SEED, "verbose": False, "allow_writing_files": False}
    classifier, regressor = catboost.CatBoostClassifier, catboost.CatBoostRegressor
    for name, estimator, target in (
        ("classifier", classifier, rows.SPECIES),
        ("names", classifier, rows.NAMES),
        ("marks", classifier, rows.MARKS),
        ("signs", classifier, rows.SIGNS),
        ("regressor", regressor, rows.PRICES),
    ):
        trained = estimator(**settings).fit(rows.FEATURES, target)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            trained.save_model(path, format="onnx")
            model = onnx.load(path)
        what, labels = estimator.__name__, tuple(np.unique(target)) if estimator is classifier else ()
        yield Made(f"cat_{name}", "catboost", what, serialized(model), {"features": rows.asked()}, labels=labels)


def from_interpret() -> Iterator[Made]:
    import pandas as pd

    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    frame = pd.DataFrame(rows.FEATURES.astype(np.float64), columns=names)
    asked = {name: rows.asked()[:, index] for index, name in enumerate(names)}
    settings = {"max_rounds": 20, "max_bins": 8, "interactions": 0, "outer_bags": 1, "n_jobs": 1}
    for name, estimator, target in (
        ("classifier", ExplainableBoostingClassifier, rows.SIGNS),
        ("regressor", ExplainableBoostingRegressor, rows.PRICES),
    ):
        trained = estimator(random_state=rows.SEED, **settings).fit(frame, target)
        kinds = dict.fromkeys(names, "float")
        options = {"predict_proba": True} if name == "classifier" else {}
        model = ebm2onnx.to_onnx(trained, kinds, **options)
        what, labels = estimator.__name__, labels_of(trained)
        yield Made(f"ebm_{name}", "ebm2onnx", what, serialized(model), asked, labels=labels)


def models() -> Iterator[Made]:
    yield from from_lightgbm()
    yield from from_xgboost()
    yield from from_catboost()
    yield from from_interpret()
