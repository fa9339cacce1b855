"""Judges the file that was written, on held-out samples, with the runtime that users run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.conversion import Accuracy, TensorSpec
from converters.dataset import Samples
from converters.errors import ConversionError
from converters.golden import Golden, sample_count
from converters.model_source import LoadedModel
from converters.progress import Progress, Report
from converters.split import Labels, balanced_choice
from converters.tflite.reader import ModelFile
from converters.tflite.run import run_model

Array = npt.NDArray[Any]

_BATCH = 250
#: Quantized inputs held in memory at a time.
_CHUNK_BYTES = 64 * 2**20


def quantize(batch: npt.NDArray[np.float32], spec: TensorSpec) -> Array:
    """Real numbers as a file's input takes them.

    Rounds half to even and clips to the type, as TFLite's own QUANTIZE op rounds to nearest.

    Args:
        batch: float32, any shape.
        spec: The input; a float one takes the batch as it is.

    Returns:
        Same shape, `spec.dtype`.
    """
    if spec.scale is None or spec.zero_point is None:
        return batch.astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    steps = np.round(batch / np.float32(spec.scale)) + spec.zero_point
    quantized: Array = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return quantized


def dequantize(values: Array, spec: TensorSpec) -> npt.NDArray[np.float32]:
    """Real numbers that a file's output stands for; same shape."""
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32)
    return ((values.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)).astype(
        np.float32
    )


def chosen_classes(scores: npt.NDArray[np.float32], probabilities: bool) -> Labels:
    """The class that each row of scores chooses.

    Args:
        scores: float32, shape (n, outputs); a single output tells class 1 from class 0.
        probabilities: Whether the scores are probabilities rather than logits.

    Returns:
        int64, shape (n,).
    """
    chosen: Labels
    if scores.shape[1] > 1:
        chosen = scores.argmax(axis=1).astype(np.int64)
    else:
        chosen = (scores[:, 0] > (0.5 if probabilities else 0.0)).astype(np.int64)
    return chosen


def judge_source(source: LoadedModel, test: Samples, report: Report) -> Accuracy:
    """Accuracy of the model as it was given.

    Raises:
        ConversionError: The model answers with NaN.
    """
    correct = done = 0
    for batch, labels in test.batches(_BATCH):
        scores = source.predict(batch)
        if not np.isfinite(scores).all():
            raise ConversionError(
                f"{source.path}: answers a test sample with NaN or infinity", "train it again"
            )
        correct += int((chosen_classes(scores, source.probabilities) == labels).sum())
        done += len(labels)
        report(Progress("evaluate original", done, len(test)))
    return Accuracy(correct, len(test))


def judge_file(model: ModelFile, test: Samples, probabilities: bool, report: Report) -> Accuracy:
    """Accuracy of the file that was written, run by this host's TFLite runtime.

    Args:
        model: The file.
        test: Held-out samples.
        probabilities: Whether its scores are probabilities.
        report: Told now and then.

    Raises:
        ConversionError: The runtime cannot run the file.
    """
    (spec,), (output,) = model.inputs, model.outputs
    rows = max(1, _CHUNK_BYTES // max(1, test.stored[:1].size * np.dtype(spec.dtype).itemsize))
    correct = before = 0
    for batch, labels in test.batches(rows):
        outputs = run_model(
            model.path,
            {spec.name: quantize(batch, spec)},
            on_progress=_after(before, len(test), report),
        )
        scores = dequantize(outputs[output.name], output)
        correct += int((chosen_classes(scores, probabilities) == labels).sum())
        before += len(labels)
    return Accuracy(correct, len(test))


def _after(before: int, total: int, report: Report) -> Callable[[int, int], None]:
    """Reports one chunk of samples as a part of all."""
    return lambda done, _: report(Progress("evaluate file", before + done, total))


def golden_inputs(model: ModelFile, test: Samples, seed: int) -> Golden:
    """Real held-out samples as the file takes them, for a comparison on a board.

    Args:
        model: The file.
        test: Held-out samples.
        seed: Decides which are taken.
    """
    (spec,) = model.inputs
    sample_bytes = int(np.prod(spec.shape[1:])) * np.dtype(spec.dtype).itemsize
    rows = balanced_choice(test.labels, sample_count(len(test), sample_bytes), seed)
    inputs = {spec.name: quantize(test.batch(rows), spec)}
    return Golden(model.sha256, inputs, test.labels[rows])


def warnings_of(source: LoadedModel, accuracy: Accuracy, path: Path) -> tuple[str, ...]:
    """What is worth a warning about the float accuracy: near chance, something does not fit."""
    chance = 1 / source.classes
    if accuracy.fraction > 1.5 * chance or chance == 0.5 and accuracy.fraction > 0.65:
        return ()
    return (
        f"the original model is right on {accuracy.fraction:.1%} of {path.name}, near the chance "
        f"of {chance:.1%}: was it trained on 0..1 or -1..1 (--image-range), or with its classes in "
        "another order?",
    )
