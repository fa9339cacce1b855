"""A folder as `kedge convert` leaves it, made without TensorFlow."""

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.digest import sha256_of
from converters.evidence.conversion import Conversion, Split, write_conversion
from converters.evidence.golden import Golden, write_golden
from converters.formats import read_model_file
from converters.judge.score import FILE, Accuracy, Score
from tests.edgetpu_model import edgetpu_model
from tests.tiny_model import relu_model

MODEL_TOML = """schema = 1

[outputs.y0]
task = "classification"
labels_file = "labels.txt"
"""


def compiled_model() -> bytes:
    """What the compiler of the Edge TPU makes of the model of `write_conversion_folder`."""
    return edgetpu_model("y0", schema.TensorType.INT8)


def write_conversion_folder(folder: Path, model: bytes | None = None) -> Path:
    """A model that answers x with x where that is not negative, and all that is known about it."""
    folder.mkdir(parents=True)
    path = folder / "model.tflite"
    path.write_bytes(model or relu_model())
    (folder / "labels.txt").write_text("ant\nbee\ncow\ndog\n")
    (folder / "model.toml").write_text(MODEL_TOML)
    file = read_model_file(path)
    samples = np.random.default_rng(0).integers(-128, 128, (600, 4), dtype=np.int8)
    labels = samples.argmax(axis=1)
    write_golden(folder / "golden.npz", Golden(file.sha256, {"x": samples}, labels))
    conversion = Conversion(
        model=path,
        model_sha256=file.sha256,
        model_bytes=file.size_bytes,
        recipe="ptq_w8a8",
        recipe_steps=({"kind": "ptq", "weights": "int8"},),
        seed=0,
        source="/models/animals.keras",
        source_sha256="a" * 64,
        source_bytes=1000,
        data="/data/animals.npz",
        data_sha256="b" * 64,
        splits=(Split("train", 100, "animals.npz"), Split("test", 600, "animals.npz")),
        versions={"python": "3.11.2", "tensorflow": "2.21.0", "kedge": "0.1.0"},
        float_accuracy=Accuracy(590, 600),
        accuracy=Accuracy(588, 600),
        inputs=file.inputs,
        outputs=file.outputs,
        golden=folder / "golden.npz",
        scores=(Score(FILE, "test", 600, 588, (0.96, 0.99), 0.98, 0.98, 0.98),),
        files={"golden.npz": sha256_of(folder / "golden.npz")},
    )
    write_conversion(conversion)
    return path
