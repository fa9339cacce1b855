"""Judges the file that was written, on held-out samples, with the runtime that users run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.conversion import Accuracy
from converters.dataset import JUDGED_TRAIN, TEST, TRAIN, VALIDATION, Samples
from converters.errors import ConversionError
from converters.golden import Golden, sample_count
from converters.model_source import LoadedModel
from converters.paired import Drop, drop_between
from converters.progress import Progress, Report
from converters.score import FILE, ORIGINAL, Score, score
from converters.split import Labels, balanced_choice
from converters.tflite.quantization import dequantize, quantize
from converters.tflite.reader import ModelFile
from converters.tflite.run import run_model

Array = npt.NDArray[Any]

_BATCH = 250
#: Quantized inputs held in memory at a time.
_CHUNK_BYTES = 64 * 2**20
#: Samples that may be judged on, and what a score calls them.
_JUDGED = {JUDGED_TRAIN: TRAIN, VALIDATION: VALIDATION, TEST: TEST}


@dataclass(frozen=True)
class Judgement:
    """How the model and the file did on the same samples.

    Attributes:
        scores: Of both, on each split.
        drops: From the one to the other, on each split.
    """

    scores: tuple[Score, ...]
    drops: tuple[Drop, ...]

    def accuracy(self, subject: str) -> Accuracy:
        """Of `ORIGINAL` or `FILE`, on the test samples."""
        of_test = next(s for s in self.scores if (s.subject, s.split) == (subject, TEST))
        return Accuracy(of_test.correct, of_test.samples)


def threshold(probabilities: bool) -> float:
    """The value above which a single output, a probability or a logit, chooses class 1."""
    return 0.5 if probabilities else 0.0


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
        chosen = (scores[:, 0] > threshold(probabilities)).astype(np.int64)
    return chosen


def answers_of_source(source: LoadedModel, samples: Samples, report: Report) -> Labels:
    """The class that the model as it was given chooses for each sample; int64, shape (n,).

    Raises:
        ConversionError: The model answers with NaN.
    """
    chosen: list[Labels] = []
    done = 0
    for batch, labels in samples.batches(_BATCH):
        scores = source.predict(batch)
        if not np.isfinite(scores).all():
            raise ConversionError(
                f"{source.path}: answers a held-out sample with NaN or infinity", "train it again"
            )
        chosen.append(chosen_classes(scores, source.probabilities))
        done += len(labels)
        report(Progress("evaluate original", done, len(samples)))
    return np.concatenate(chosen)


def answers_of_file(
    model: ModelFile, samples: Samples, probabilities: bool, report: Report
) -> Labels:
    """The class that the file that was written chooses, run by this host's TFLite runtime.

    Args:
        model: The file.
        samples: What to ask it about.
        probabilities: Whether its scores are probabilities.
        report: Told now and then.

    Returns:
        int64, shape (n,).

    Raises:
        ConversionError: The runtime cannot run the file.
    """
    (spec,), (output,) = model.inputs, model.outputs
    rows = max(1, _CHUNK_BYTES // max(1, samples.stored[:1].size * np.dtype(spec.dtype).itemsize))
    chosen: list[Labels] = []
    before = 0
    for batch, labels in samples.batches(rows):
        outputs = run_model(
            model.path,
            {spec.name: quantize(batch, spec)},
            on_progress=_after(before, len(samples), report),
        )
        scores = dequantize(outputs[output.name], output)
        chosen.append(chosen_classes(scores, probabilities))
        before += len(labels)
    return np.concatenate(chosen)


def judge(
    source: LoadedModel, model: ModelFile, samples: Mapping[str, Samples], report: Report
) -> Judgement:
    """Ask the model and the file about the same samples.

    Args:
        source: The model as it was given.
        model: The file that was made from it.
        samples: By use; those to learn from are left out, of those judged on all are asked about.
        report: Told now and then.

    Raises:
        ConversionError: The model answers with NaN, or the runtime cannot run the file.
    """
    scores: list[Score] = []
    drops: list[Drop] = []
    for use, split in _JUDGED.items():
        if use not in samples:
            continue
        labels = samples[use].labels
        before = answers_of_source(source, samples[use], report)
        after = answers_of_file(model, samples[use], source.probabilities, report)
        scores += [score(ORIGINAL, split, before, labels), score(FILE, split, after, labels)]
        drops.append(drop_between(split, before == labels, after == labels))
    return Judgement(tuple(scores), tuple(drops))


def _after(before: int, total: int, report: Report) -> Callable[[int, int], None]:
    """Reports one chunk of samples as a part of all."""
    return lambda done, _: report(Progress("evaluate file", before + done, total))


def golden_inputs(source: LoadedModel, model: ModelFile, test: Samples, seed: int) -> Golden:
    """Real held-out samples as the file takes them, for a comparison on a board.

    Args:
        source: The model that was given, which knows what its outputs mean.
        model: The file.
        test: Held-out samples.
        seed: Decides which are taken.
    """
    (spec,) = model.inputs
    sample_bytes = int(np.prod(spec.shape[1:])) * np.dtype(spec.dtype).itemsize
    rows = balanced_choice(test.labels, sample_count(len(test), sample_bytes), seed)
    inputs = {spec.name: quantize(test.batch(rows), spec)}
    single = all(np.prod(output.shape) == 1 for output in model.outputs)
    decides = threshold(source.probabilities) if single else None
    return Golden(model.sha256, inputs, test.labels[rows], decides)


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
