"""Training data of the models, and the rows that they are asked: usual ones, and some that are unlike them all."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_iris

COUNT = 64
SEED = 7

IRIS = load_iris()
FEATURES = IRIS.data.astype(np.float32)
SPECIES = IRIS.target
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
# Labels that are not the places of their classes: marks of 3 to 8, and -1 or 1.
MARKS = 3 + np.digitize(FEATURES[:, 2], [1.4, 2.5, 4.2, 4.9, 5.6])
SIGNS = np.where(FEATURES[:, 3] > 1.3, 1, -1)
PRICES = (FEATURES @ np.array([1.5, -2, 3, 0.5], np.float32) + np.sin(FEATURES[:, 0] * 3)).astype(np.float32)


def asked(*, missing: bool = False, extreme: float = 1000.0) -> np.ndarray:
    """64 rows of four numbers: 48 of flowers, then nothing, signs, extremes, and one row that comes again and again."""
    drawn = np.random.default_rng(SEED)
    flowers = FEATURES[drawn.permutation(len(FEATURES))[:48]].copy()
    odd = np.array(
        [
            [0] * 4,
            [-1] * 4,
            [extreme, 0, 0, 0],
            [0, -extreme, 0, 0],
            [extreme] * 4,
            [-extreme] * 4,
            [1e-6] * 4,
            [5.1, 3.5, 1.4, 0.2],
            [5.1, 3.5, 1.4, 0.2],
            [5.1, 3.5, 1.4, 0.2],
            [0.5, 9, 0.5, 9],
            [9, 0.5, 9, 0.5],
            [2.45] * 4,
            [1, 2, 3, 4],
            [4, 3, 2, 1],
            [extreme / 2, -extreme / 2, 1, 1],
        ],
        np.float32,
    )
    rows = np.concatenate([flowers, odd])
    # Not in order: a batch of the first half has some of all.
    rows = rows[drawn.permutation(COUNT)]
    if missing:
        rows[drawn.random(rows.shape) < 0.2] = np.nan
    return rows


def with_gaps(rows: np.ndarray) -> np.ndarray:
    """These rows with a tenth of their numbers missing, for what learns from that."""
    gaps = rows.copy()
    gaps[np.random.default_rng(SEED).random(rows.shape) < 0.1] = np.nan
    return gaps


CITIES = np.array(["Basel", "Bern", "Genève", "Zürich"])
COLOURS = np.array(["blue", "green", "red"])


def people(count: int, seed: int) -> dict[str, np.ndarray]:
    """Columns of two kinds of texts, two of numbers and one of whole numbers, as frames have them."""
    drawn = np.random.default_rng(seed)
    return {
        "city": drawn.choice(CITIES, count).astype(object),
        "colour": drawn.choice(COLOURS, count).astype(object),
        "age": drawn.integers(0, 100, count).astype(np.float32),
        "fare": np.round(drawn.exponential(30, count), 2).astype(np.float32),
        "visits": drawn.integers(0, 12, count),
    }


PEOPLE = people(200, SEED)
RETURNED = ((PEOPLE["fare"] > 20) ^ (PEOPLE["city"] == "Bern")).astype(int)

TEXTS = [
    "the parcel came late and broken",
    "very good, came early",
    "never again: late, broken, no answer",
    "good price and good quality",
    "no answer for weeks",
    "early, whole, well packed",
    "broken on arrival",
    "well made and well packed",
    "late again",
    "quality is very good",
]
MOODS = np.array(["bad", "good", "bad", "good", "bad", "good", "bad", "good", "bad", "good"])


def asked_texts() -> np.ndarray:
    """64 texts: known words, unknown ones, other scripts, none at all, and a long one."""
    drawn = np.random.default_rng(SEED)
    words = sorted({word for text in TEXTS for word in text.replace(",", " ").replace(":", " ").split()})
    usual = [" ".join(drawn.choice(words, drawn.integers(1, 12))) for _ in range(COUNT - 20)]
    odd = ["", "Zürich", "日本語のレビュー", "GOOD", "a", "good " * 4, "late! (again?)", "1 2 3", "the " * 60, "é"]
    odd = [*TEXTS, *odd]
    return np.array(usual + odd, object)[drawn.permutation(COUNT)]
