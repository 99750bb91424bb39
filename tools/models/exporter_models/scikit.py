"""Models of scikit-learn, as skl2onnx writes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    impute,
    linear_model,
    mixture,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from . import rows
from .made import Made, labels_of, serialized

OPSET = {"": 21, "ai.onnx.ml": 3}
FLOATS = [("X", FloatTensorType([None, 4]))]
SEED = rows.SEED


def made(
    name: str,
    estimator: Any,
    target: Any = None,
    *,
    given: np.ndarray = rows.FEATURES,
    asked: np.ndarray | None = None,
    types: list = FLOATS,
    zipmap: Any = True,
    flags: tuple[str, ...] = (),
    train: Any = None,
    whole: tuple[str, ...] = (),
    named: bool = True,
) -> Made:
    estimator.fit(given if train is None else train, target)
    options = {} if zipmap is True else {"zipmap": zipmap}
    model = to_onnx(estimator, initial_types=types, options=options, target_opset=OPSET)
    what = type(estimator).__name__ + ("" if zipmap is True else f", zipmap={zipmap!r}")
    column = rows.asked() if asked is None else asked
    return Made(
        f"sk_{name}",
        "skl2onnx",
        what,
        serialized(model),
        {types[0][0]: column},
        flags,
        whole,
        labels_of(estimator) if named else (),
    )


def classifiers() -> Iterator[Made]:
    forest = {"n_estimators": 5, "max_depth": 4, "random_state": SEED}
    yield made("forest", ensemble.RandomForestClassifier(**forest), rows.SPECIES)
    yield made("forest_names", ensemble.RandomForestClassifier(**forest), rows.NAMES)
    yield made("forest_marks", ensemble.RandomForestClassifier(**forest), rows.MARKS, zipmap=False)
    yield made("forest_columns", ensemble.RandomForestClassifier(**forest), rows.NAMES, zipmap="columns")
    yield made("extra_trees", ensemble.ExtraTreesClassifier(**forest), rows.MARKS)
    yield made("tree_signs", tree.DecisionTreeClassifier(max_depth=4, random_state=SEED), rows.SIGNS, zipmap=False)
    boosting = {"n_estimators": 4, "max_depth": 2, "random_state": SEED}
    yield made("boosting", ensemble.GradientBoostingClassifier(**boosting), rows.NAMES, zipmap=False)
    histograms = {"max_iter": 4, "max_depth": 3, "random_state": SEED}
    gaps = rows.with_gaps(rows.FEATURES)
    yield made(
        "histograms_gaps",
        ensemble.HistGradientBoostingClassifier(**histograms),
        rows.MARKS,
        given=gaps,
        zipmap=False,
        asked=rows.asked(missing=True),
        flags=("missing",),
    )
    yield made("logistic_names", linear_model.LogisticRegression(max_iter=500), rows.NAMES, zipmap=False)
    yield made("logistic_signs", linear_model.LogisticRegression(), rows.SIGNS)
    yield made("ridge", linear_model.RidgeClassifier(), rows.MARKS, zipmap=False)
    yield made("linear_svc", svm.LinearSVC(random_state=SEED), rows.NAMES)
    # Of two classes there is one score.
    yield made("linear_svc_signs", svm.LinearSVC(random_state=SEED), rows.SIGNS)
    yield made("svc", svm.SVC(random_state=SEED), rows.NAMES, zipmap=False)
    yield made("svc_probability", svm.SVC(probability=True, random_state=SEED), rows.MARKS, zipmap=False)
    yield made("neighbours", neighbors.KNeighborsClassifier(3), rows.MARKS, zipmap=False)
    yield made("bayes", naive_bayes.GaussianNB(), rows.MARKS, zipmap=False, asked=rows.asked(extreme=20))
    network = neural_network.MLPClassifier(hidden_layer_sizes=(8,), random_state=SEED, max_iter=200)
    yield made("network", network, rows.NAMES, zipmap=False)
    several = multioutput.MultiOutputClassifier(tree.DecisionTreeClassifier(max_depth=2, random_state=SEED))
    yield made("several", several, np.stack([rows.SPECIES, rows.SIGNS > 0], 1).astype(int), zipmap=False)
    # Its labels are places of classes, which the graph does not name.
    pairs = multiclass.OneVsOneClassifier(linear_model.LogisticRegression(max_iter=500))
    yield made("one_vs_one", pairs, rows.MARKS, zipmap=False, named=False)
    forest = ensemble.RandomForestClassifier(3, max_depth=2, random_state=SEED)
    pair = np.stack([rows.SPECIES > 0, rows.SIGNS > 0], 1).astype(int)
    # The first axis of the probabilities counts the targets, that of the labels of the discriminant has the size 1.
    yield made("forest_several", forest, pair, zipmap=False, whole=("probabilities",))
    quadratic = discriminant_analysis.QuadraticDiscriminantAnalysis()
    yield made("quadratic", quadratic, rows.NAMES, zipmap=False, asked=rows.asked(extreme=20), whole=("label",))
    parts = [
        ("line", linear_model.LogisticRegression(max_iter=500)),
        ("tree", tree.DecisionTreeClassifier(max_depth=2, random_state=SEED)),
    ]
    voting = ensemble.VotingClassifier(parts, voting="soft", flatten_transform=False)
    yield made("voting", voting, rows.MARKS, zipmap=False)
    yield made("stacking", ensemble.StackingClassifier(parts, cv=3), rows.NAMES, zipmap=False)
    calibrated = calibration.CalibratedClassifierCV(linear_model.LogisticRegression(max_iter=500), cv=2)
    yield made("calibrated", calibrated, rows.SPECIES, zipmap=False)
    reduced = pipeline.make_pipeline(
        preprocessing.StandardScaler(), decomposition.PCA(2), linear_model.LogisticRegression()
    )
    yield made("scaled_pca", reduced, rows.NAMES)
    whole = tree.DecisionTreeClassifier(max_depth=3, random_state=SEED)
    integers = np.round(rows.FEATURES).astype(np.int64)
    yield made(
        "integers",
        whole,
        rows.MARKS,
        given=integers,
        asked=np.round(rows.asked()).astype(np.int64),
        types=[("X", Int64TensorType([None, 4]))],
        zipmap=False,
    )


def others() -> Iterator[Made]:
    """Without classes: regressors, clusters, outliers, and what transforms rows."""
    forest = {"n_estimators": 5, "max_depth": 4, "random_state": SEED}
    yield made("forest_regressor", ensemble.RandomForestRegressor(**forest), rows.PRICES)
    histograms = {"max_iter": 4, "max_depth": 3, "random_state": SEED}
    yield made(
        "histograms_regressor",
        ensemble.HistGradientBoostingRegressor(**histograms),
        rows.PRICES,
        given=rows.with_gaps(rows.FEATURES),
        asked=rows.asked(missing=True),
        flags=("missing",),
    )
    yield made("linear", linear_model.LinearRegression(), rows.PRICES)
    doubles = [("X", DoubleTensorType([None, 4]))]
    given = rows.FEATURES.astype(np.float64)
    asked = rows.asked().astype(np.float64)
    yield made("ridge_doubles", linear_model.Ridge(), rows.PRICES, given=given, asked=asked, types=doubles)
    yield made("svr", svm.SVR(), rows.PRICES)
    yield made("neighbours_regressor", neighbors.KNeighborsRegressor(3), rows.PRICES)
    network = neural_network.MLPRegressor(hidden_layer_sizes=(8,), random_state=SEED, max_iter=300)
    yield made("network_regressor", network, rows.PRICES)
    pair = multioutput.MultiOutputRegressor(tree.DecisionTreeRegressor(max_depth=3, random_state=SEED))
    yield made("several_numbers", pair, np.stack([rows.PRICES, rows.FEATURES[:, 0]], 1))
    yield made("isolation", ensemble.IsolationForest(n_estimators=5, max_samples=32, random_state=SEED))
    yield made("kmeans", cluster.KMeans(3, n_init=1, random_state=SEED))
    yield made("mixture", mixture.GaussianMixture(3, random_state=SEED), asked=rows.asked(extreme=20))
    yield made("pca", decomposition.PCA(2))


def columns() -> Iterator[Made]:
    """Models of a frame: each column an input, with encoders as they are by default."""
    import pandas as pd

    kinds = {"city": StringTensorType, "colour": StringTensorType, "visits": Int64TensorType}
    types = [(name, kinds.get(name, FloatTensorType)([None, 1])) for name in rows.PEOPLE]
    frame = pd.DataFrame(rows.PEOPLE)
    texts, numbers = ["city", "colour"], ["age", "fare"]
    scaled = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    for name, encoder, last in (
        ("one_hot", preprocessing.OneHotEncoder(), linear_model.LogisticRegression()),
        ("ordinal", preprocessing.OrdinalEncoder(), ensemble.RandomForestClassifier(5, max_depth=4, random_state=SEED)),
        ("one_hot_lenient", preprocessing.OneHotEncoder(handle_unknown="ignore"), linear_model.Ridge()),
    ):
        prepared = compose.ColumnTransformer(
            [("texts", encoder, texts), ("numbers", scaled, numbers), ("whole", "passthrough", ["visits"])]
        )
        steps = pipeline.make_pipeline(prepared, last).fit(frame, rows.RETURNED)
        options = {"zipmap": False} if hasattr(last, "classes_") else {}
        model = to_onnx(steps, initial_types=types, options=options, target_opset=OPSET)
        asked = rows.people(rows.COUNT, SEED + 1)
        if name == "one_hot_lenient":
            asked["city"][::5] = "Lugano"
        inputs = {column: values.reshape(-1, 1) for column, values in asked.items()}
        what = f"ColumnTransformer, {type(encoder).__name__}, {type(last).__name__}"
        yield Made(
            f"sk_columns_{name}", "skl2onnx", what, serialized(model), inputs, labels=labels_of(last) if options else ()
        )


def texts() -> Iterator[Made]:
    words = feature_extraction.text
    kinds = [("text", StringTensorType([None, 1]))]
    for name, counted, last in (
        ("tfidf", words.TfidfVectorizer(), linear_model.LogisticRegression()),
        ("counts", words.CountVectorizer(), naive_bayes.MultinomialNB()),
    ):
        steps = pipeline.make_pipeline(counted, last)
        yield made(
            f"text_{name}",
            steps,
            rows.MOODS,
            train=rows.TEXTS,
            asked=rows.asked_texts().reshape(-1, 1),
            types=kinds,
            zipmap=False,
        )


def models() -> Iterator[Made]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group in (classifiers, others, columns, texts):
            yield from group()
