"""Measurements of cell nuclei: 569 real samples of 30 numbers, which arrive with scikit-learn.

"Breast Cancer Wisconsin (Diagnostic)", Street, Wolberg and Mangasarian, 1993. Benign samples are
normal, malignant ones are the anomalies, as in the collection ODDS for anomaly detection.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer

#: Every third benign sample is held out, beside all malignant ones.
HELD_OUT = 3


def load():
    """Return the samples; the detector learns from normal ones alone.

    Returns:
        x_train and x_test: float32, (n, 30), mean 0 and deviation 1 over the training samples.
        y_test: int64, (n,): 0 normal, 1 anomaly. There is no y_train: the model learns x_train.
    """
    samples = load_breast_cancer()
    is_normal = samples.target == 1
    normal, anomalies = samples.data[is_normal], samples.data[~is_normal]
    is_test = np.arange(len(normal)) % HELD_OUT == 0
    train = normal[~is_test]
    test = np.concatenate([normal[is_test], anomalies])
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return {
        "x_train": ((train - mean) / deviation).astype(np.float32),
        "x_test": ((test - mean) / deviation).astype(np.float32),
        "y_test": np.repeat([0, 1], [is_test.sum(), len(anomalies)]),
    }
