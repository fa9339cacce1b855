"""Takes the models of task_models.py through recipes:
task_report.py FOLDER REPORT.json CASE…"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from converters.request import ConversionRequest
from tests.converters.programs.case_report import outcome, recipe_file

CODE = """
import numpy as np
import tensorflow as tf

def loss(right, answers):
    return tf.reduce_mean(tf.math.log(tf.math.cosh(answers - right)), axis=-1)

def worst(right, answers):
    return float(np.abs(right - answers).max())

def each(right, answers):
    return np.abs(right - answers).max(axis=1)
"""

TRAINING = """
schema = 1
[task]
loss = "LOSS"
metric = "METRIC"
[[step]]
kind = "channels"
macs_ratio = 0.6
[[step]]
kind = "distill"
epochs = 3
learning_rate = 1e-3
[[step]]
kind = "qat_w8a8"
epochs = 2
learning_rate = 1e-4
"""

WEIGHTS = """
schema = 1
[task]
loss = "my_task:loss"
metric = "my_task:worst"
[[step]]
kind = "sparse"
sparsity = 0.5
epochs = 2
learning_rate = 1e-3
[[step]]
kind = "ptq_w8a8"
equalize = "if_better"
bias_correction = "if_better"
"""

AUC = """
schema = 1
[task]
metric = "auc"
[[step]]
kind = "ptq_w8a8"
"""

MIXED = """
schema = 1
[task]
metric = "my_task:each"
[[step]]
kind = "mixed_w8a8"
max_drop = 0.001
"""

AUTO = """
schema = 1
[task]
kind = "reconstruction"
loss = "mae"
[[step]]
kind = "qat_w8a8"
epochs = 2
learning_rate = 1e-4
"""

OWN = """
schema = 1
[task]
custom_objects = "own_layers:objects"
"""

PTQ = """
[[step]]
kind = "ptq_w8a8"
"""

OWN_TRAINED = """
[[step]]
kind = "tune"
epochs = 2
learning_rate = 3e-3
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-4
"""

CASES = {
    "regression": ("regression.keras", "regression.npz", "ptq_w8a8", None),
    "trained": ("regression.keras", "regression.npz", TRAINING, 0.05),
    "unlabelled": ("regression.keras", "unlabelled.npz", TRAINING, 0.05),
    "own": ("regression.keras", "regression.npz", WEIGHTS, None),
    "mixed": ("regression.keras", "regression.npz", MIXED, None),
    "pictures": ("autoencoder.keras", "pictures.npz", AUTO, None),
    "own layers": ("own.keras", "bars.npz", OWN + OWN_TRAINED, None),
    "own layers in h5": ("own.h5", "bars.npz", OWN + PTQ, None),
    "strange": ("strange.keras", "bars.npz", OWN, None),
    "strange, trained": ("strange.keras", "bars.npz", OWN + OWN_TRAINED, None),
    "nobody's layers": ("own.h5", "bars.npz", "ptq_w8a8", None),
    "anomalies": ("autoencoder.keras", "anomalies.npz", AUC, None),
}


def main(folder: Path, report: Path, cases: list[str]) -> None:
    """Some cases."""
    (folder / "my_task.py").write_text(CODE)
    shutil.copy(Path(__file__).with_name("own_layers.py"), folder)
    found = {}
    for name in cases:
        model, data, recipe, max_drop = CASES[name]
        text = recipe.replace("LOSS", "huber").replace("METRIC", "r2")
        request = ConversionRequest(
            folder / model,
            folder / data,
            recipe_file(text, folder / f"{name}.toml"),
            folder / name,
            max_drop=max_drop,
        )
        found[name] = outcome(request, Path(tempfile.mkdtemp(dir=folder)))
    report.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
