"""Real pairs of models for the deltas: ResNet-8 before and after one epoch of fine-tuning.

    python -m benchmarks.fleet_delta_pairs FOLDER     # minutes; writes the four files

Both models become files by kedge's own `ptq_w8a8`. The pair `frozen` keeps the quantization
parameters of the base: the fine-tuned weights are rounded with the scales of the base file.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.stored_tensors import stored_tensors

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
MODEL = SHARED / "models" / "resnet8_cifar10.h5"
DATA = SHARED / "data" / "cifar10.tar.gz"

LEARNING_RATE = 1e-4
BATCH = 64

#: Names of the files that `make_pairs` writes.
BASE, EPOCH, FROZEN, HEAD = "base.tflite", "epoch.tflite", "frozen.tflite", "head.tflite"


def make_pairs(folder: Path) -> None:
    """Write the base and what fine-tuning makes of it; files that are there stay.

    Args:
        folder: Folder of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tuned, head = folder / "epoch.h5", folder / "head.h5"
    if not tuned.exists():
        _fine_tune(tuned, head_only=False)
    if not head.exists():
        _fine_tune(head, head_only=True)
    fine_tuned = folder / "epoch_float.tflite"
    for model, recipe, file in (
        (MODEL, "ptq_w8a8", folder / BASE),
        (tuned, "ptq_w8a8", folder / EPOCH),
        (tuned, "float32", fine_tuned),
        (head, "ptq_w8a8", folder / HEAD),
    ):
        if not file.exists():
            _convert(model, recipe, file)
    _freeze(folder / BASE, fine_tuned, folder / FROZEN)


def _fine_tune(out: Path, head_only: bool) -> None:
    import tf_keras

    images, labels = _training_images()
    model = tf_keras.models.load_model(MODEL, compile=False)
    if head_only:
        for layer in model.layers:
            layer.trainable = isinstance(layer, tf_keras.layers.Dense)
    model.compile(tf_keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy")
    tf_keras.utils.set_random_seed(1)
    model.fit(images, labels, BATCH, epochs=1, verbose=2)
    model.save(out)


def _training_images() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the 50,000 training images, float32 in 0–255, (N, 32, 32, 3), and their classes."""
    from PIL import Image

    images, classes = [], []
    with tarfile.open(DATA) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if "train" in parts and member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                images.append(np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")))
                classes.append(parts[-2])
    names = sorted(set(classes))
    labels = np.array([names.index(name) for name in classes])
    return np.stack(images).astype(np.float32), labels


def _convert(model: Path, recipe: str, out: Path) -> None:
    folder = out.parent / f"{out.stem}_conversion"
    command = ["convert", str(model), "--data", str(DATA), "--recipe", recipe, "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "toolkit.cli", *command], check=True)
    (file,) = folder.rglob("*.tflite")
    out.write_bytes(file.read_bytes())


def _freeze(base: Path, fine_tuned: Path, out: Path) -> None:
    """Write the base with fine-tuned weights, rounded by the scales that the base has.

    Args:
        base: int8 file.
        fine_tuned: float32 file of the fine-tuned model; its tensors have the names of the base.
        out: New file.
    """
    content, floats = bytearray(base.read_bytes()), fine_tuned.read_bytes()
    sources = {tensor.name: tensor for tensor in stored_tensors(fine_tuned)}
    model = schema.Model.GetRootAs(bytes(content), 0)
    graph = model.Subgraphs(0)
    by_name = {
        graph.Tensors(i).Name().decode(): graph.Tensors(i) for i in range(graph.TensorsLength())
    }
    for tensor in stored_tensors(base):
        quantization = by_name[tensor.name].Quantization()
        source = sources.get(tensor.name)
        if source is None or quantization is None or quantization.ScaleLength() == 0:
            continue
        place = slice(source.offset, source.offset + source.size)
        values = np.frombuffer(floats[place], np.float32).reshape(tensor.shape)
        axis = quantization.QuantizedDimension()
        shape = [-1 if number == axis else 1 for number in range(values.ndim)]
        scales = np.asarray(quantization.ScaleAsNumpy(), np.float64).reshape(shape)
        most = 127 if tensor.dtype == "int8" else 2**31 - 1
        rounded = np.clip(np.rint(values / scales), -most, most).astype(tensor.dtype)
        content[tensor.offset : tensor.offset + tensor.size] = rounded.tobytes()
    out.write_bytes(content)


if __name__ == "__main__":
    make_pairs(Path(sys.argv[1]))
