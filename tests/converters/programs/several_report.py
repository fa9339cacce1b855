"""Takes the models of several_models.py through recipes: several_report.py FOLDER REPORT.json"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from converters.request import ConversionRequest
from tests.converters.programs.case_report import outcome, recipe_file

MADE = """
schema = 1
[[step]]
kind = "channels"
macs_ratio = 0.5
multiple = 4
[[step]]
kind = "distill"
epochs = 3
learning_rate = 1e-3
teachers = ["turned.keras", "both.keras"]
[[step]]
kind = "qat_w8a8"
epochs = 2
learning_rate = 1e-4
teacher = "original"
"""

TOLD = """
schema = 1
[task.outputs.amount]
loss = "huber"
metric = "r2"
[task.outputs.kind]
class_weights = "balanced"
[[step]]
kind = "tune"
epochs = 2
[[step]]
kind = "sparse"
sparsity = 0.5
epochs = 2
learning_rate = 1e-3
[[step]]
kind = "ptq_w8a8"
equalize = "if_better"
bias_correction = "if_better"
calibration = "mse"
"""

TUNED = """
schema = 1
[[step]]
kind = "tune"
epochs = 1
learning_rate = 1e-4
[[step]]
kind = "ptq_w8a8"
"""

CLUSTERED = """
schema = 1
[[step]]
kind = "cluster"
epochs = 1
learning_rate = 1e-4
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-4
"""

AUGMENTED = '[[step]]\nkind = "qat_w8a8"\naugment = "flip"\n'
FEATURES = '[[step]]\nkind = "distill"\nfeatures = "attention"\n[[step]]\nkind = "ptq_w8a8"\n'
OTHER = '[task.outputs.colour]\nmetric = "mae"\n[[step]]\nkind = "ptq_w8a8"\n'
OF_ALL = '[task]\nmetric = "mae"\n[[step]]\nkind = "ptq_w8a8"\n'

#: Model, data, recipe (a name or its text), and the accuracy that may be lost.
CASES = {
    "keras2": ("both.keras", "both.npz", "ptq_w8a8", None),
    "hdf5": ("both.h5", "both.npz", "float32", None),
    "keras3": ("keras3.keras", "both.npz", "ptq_w8a8", None),
    "graph": ("graph", "both.npz", "mixed_w8a8", None),
    "tflite": ("float.tflite", "both.npz", "ptq_w8a16", None),
    "stored": ("float.tflite", "both.npz", "ptq_weight_only", None),
    "function": ("both.keras", "my_data:load", "ptq_dynamic", None),
    "made": ("both.keras", "both.npz", MADE, 0.05),
    "unlabelled": ("both.keras", "unlabelled.npz", TUNED, None),
    "told": ("keras3.keras", "both.npz", TOLD, None),
    "inputs": ("inputs.keras", "inputs.npz", CLUSTERED, None),
    "augmented": ("both.keras", "both.npz", AUGMENTED, None),
    "features": ("both.keras", "both.npz", FEATURES, None),
    "other": ("both.keras", "both.npz", OTHER, None),
    "of all": ("both.keras", "both.npz", OF_ALL, None),
    "images": ("both.keras", "pictures", "ptq_w8a8", None),
}

FUNCTION = """
from pathlib import Path

import numpy as np
import tensorflow as tf

def load():
    with np.load(Path(__file__).with_name("both.npz")) as stored:
        arrays = dict(stored)

    def of(split):
        x, y = ({key.partition(".")[2]: value for key, value in arrays.items()
                 if key.startswith(f"{side}_{split}.")} for side in "xy")
        # The order of a dict means nothing.
        return dict(reversed(x.items())), dict(sorted(y.items()))

    return {"train": tf.data.Dataset.from_tensor_slices(of("train")).batch(64), "test": of("test")}
"""


def case(folder: Path, name: str) -> dict:
    """What comes of one of them."""
    model, data, text, max_drop = CASES[name]
    recipe = recipe_file(text, folder / f"{name.replace(' ', '_')}.toml")
    out = folder / "out" / name
    out.mkdir(parents=True)
    request = ConversionRequest(folder / model, folder / data, recipe, out, max_drop=max_drop)
    return outcome(request, out)


def main(folder: Path, report: Path) -> None:
    """All of them."""
    (folder / "my_data.py").write_text(FUNCTION)
    (folder / "pictures" / "one").mkdir(parents=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    report.write_text(json.dumps({name: case(folder, name) for name in CASES}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
