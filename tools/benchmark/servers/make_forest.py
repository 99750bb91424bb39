"""Trains the forest that tools/train_iris.py exported, for servers that run scikit-learn itself."""

import sys

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

# As tools/train_iris.py has them.
TREES = 100
SEED = 42

iris = load_iris()
forest = RandomForestClassifier(n_estimators=TREES, random_state=SEED)
joblib.dump(forest.fit(iris.data.astype(np.float32), iris.target), sys.argv[1])
