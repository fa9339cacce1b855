"""Judges the file that was written, on held-out samples, with the runtime that users run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import JUDGED_TRAIN, TEST, TRAIN, VALIDATION, Samples
from converters.data.fields import are_finite, numbers_per_row, select_field
from converters.data.resized_samples import resize_samples
from converters.data.split import Labels
from converters.data.task import AUC, R2, SEGMENTATION, Task
from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.judge.metric import MetricFigures, MetricScore, ScoredAnswers, drop_of, score_of
from converters.judge.paired import Drop, drop_between, worst
from converters.judge.score import FILE, ORIGINAL, Accuracy, Score, score
from converters.model_file import ModelFile
from converters.progress import Progress, Report
from converters.sources.inputs_outputs import Probabilities
from converters.sources.loaded_model import LoadedModel
from converters.tflite.quantization import dequantize_outputs, quantize_inputs

Array = npt.NDArray[Any]

_BATCH = 250
#: Quantized inputs held in memory at a time.
_CHUNK_BYTES = 64 * 2**20
#: Samples that may be judged on, and what a score calls them.
_JUDGED = {JUDGED_TRAIN: TRAIN, VALIDATION: VALIDATION, TEST: TEST}


@dataclass(frozen=True)
class Judgement:
    """How the model and the file did on the same samples."""

    scores: tuple[Score, ...]
    """Scores of both, on each split; empty where the task is no classification."""
    drops: tuple[Drop, ...]
    """Drops from the model to the file, on each split, of several outputs for each."""
    metric: MetricFigures | None = None
    """Figures of another metric; None for a classification, and for several outputs."""
    outputs: tuple[MetricFigures, ...] = ()
    """Figures of each of several outputs; empty for a single one."""
    mean_iou: tuple[float, float] | None = None
    """Mean intersection over union of the model and of the file on the test samples; None unless
    the task is a segmentation of one output."""

    def accuracy(self, subject: str) -> Accuracy | None:
        """Return the accuracy of `ORIGINAL` or `FILE` on the test samples; None for no figure."""
        if self.metric is not None or self.outputs:
            return None
        scores = (s for s in self.scores if (s.subject, s.split) == (subject, TEST))
        of_test = next(scores, None)
        return None if of_test is None else Accuracy(of_test.correct, of_test.samples)


def threshold(probabilities: bool) -> float:
    """Return the value above which a single output, a probability or a logit, chooses class 1."""
    return 0.5 if probabilities else 0.0


def chosen_classes(scores: npt.NDArray[np.float32], probabilities: bool) -> Labels:
    """Return the class that each row of scores chooses.

    Args:
        scores: Scores, float32, shape (n, outputs); a single output tells class 1 from class 0.
        probabilities: Whether the scores are probabilities rather than logits.

    Returns:
        Classes, int64, shape (n,).
    """
    classes: Labels
    if scores.shape[1] > 1:
        classes = scores.argmax(axis=1).astype(np.int64)
    else:
        classes = (scores[:, 0] > threshold(probabilities)).astype(np.int64)
    return classes


def answers_of_source(source: LoadedModel, samples: Samples, report: Report) -> Array:
    """Run the original model on samples.

    Args:
        source: The original model.
        samples: The samples.
        report: Called now and then.

    Returns:
        Answers, float32, shape (n, ...); for several outputs a field for each.

    Raises:
        ConversionError: The model answers with NaN.
    """
    answers: list[Array] = []
    done = 0
    for batch, _ in samples.batches(_BATCH):
        scores = source.predict(batch)
        if not are_finite(scores):
            raise ConversionError(
                f"{source.path}: answers a held-out sample with NaN or infinity", "Train it again."
            )
        answers.append(scores)
        done += len(batch)
        report(Progress("evaluate original", done, len(samples)))
    return np.concatenate(answers)


def is_resized(model: ModelFile, samples: Samples) -> bool:
    """Return whether a file has a smaller input than the samples: a step made it smaller."""
    shape, stored = model.inputs[0].shape[1:], samples.stored.shape[1:]
    return (
        len(model.inputs) == 1
        and shape != stored
        and len(shape) == len(stored) in (2, 3)
        and shape[-1] == stored[-1]
        and all(0 < size <= whole for size, whole in zip(shape, stored, strict=True))
    )


def samples_of_file(model: ModelFile, samples: Samples) -> Samples:
    """Return samples as a file takes them: resized where its input is smaller than they are."""
    shape = model.inputs[0].shape[1:]
    return resize_samples(samples, shape) if is_resized(model, samples) else samples


def answers_of_file(model: ModelFile, samples: Samples, report: Report) -> Array:
    """Run a file on samples, by this host's runtime for its format.

    Args:
        model: The file.
        samples: The samples.
        report: Called now and then.

    Returns:
        Answers, float32, shape (n, ...), also for an integer output; for several outputs a field
        for each.

    Raises:
        ConversionError: The runtime cannot run the file.
    """
    samples = samples_of_file(model, samples)
    widest = max(np.dtype(spec.dtype).itemsize for spec in model.inputs)
    rows = max(1, _CHUNK_BYTES // max(1, numbers_per_row(samples.stored) * widest))
    answers: list[Array] = []
    before = 0
    for batch, _ in samples.batches(rows):
        outputs = FORMATS[model.format].run_here(
            model.path,
            quantize_inputs(model.inputs, batch),
            on_progress=_after(before, len(samples), report),
            reset=model.reset,
        )
        answers.append(dequantize_outputs(model.outputs, outputs, samples.task.names))
        before += len(batch)
    return np.concatenate(answers)


@dataclass(frozen=True)
class ModelAnswers:
    """Answers to samples whose right answers are known."""

    samples: Samples
    """The samples."""
    answers: Array
    """Answers, float32, shape (n, ...); for several outputs a field for each."""
    probabilities: Probabilities
    """Whether scores are probabilities rather than logits."""

    def of_outputs(self) -> dict[str, ModelAnswers]:
        """Return name of each output to its answers; "" to those of a single one."""
        return {
            name: ModelAnswers(
                samples, select_field(self.answers, name), select_field(self.probabilities, name)
            )
            for name, samples in self.samples.by_output().items()
        }

    @property
    def classes(self) -> Labels:
        """Class that each answer of one output chooses, int64, shape (n,)."""
        assert isinstance(self.probabilities, bool)
        return chosen_classes(self.answers, self.probabilities)

    @cached_property
    def by_metric(self) -> ScoredAnswers:
        """Comparison with the right answers by the metric of the task."""
        right = self.samples.right_answers(slice(None))
        return ScoredAnswers(self.samples.task, right, self.answers, self.samples.labels)

    def drops_to(self, other: ModelAnswers, split: str) -> tuple[Drop, ...]:
        """Return what other answers lose against these on the same samples, for each output."""
        others = other.of_outputs()
        return tuple(
            replace(one._drop_to(others[name], split), output=name)  # noqa: SLF001
            for name, one in self.of_outputs().items()
        )

    def drop_to(self, other: ModelAnswers, split: str) -> Drop:
        """Return what other answers lose against these, for the output that loses most."""
        return worst(self.drops_to(other, split))

    def _drop_to(self, other: ModelAnswers, split: str) -> Drop:
        if not self.samples.task.is_classification:
            return drop_of(split, self.by_metric, other.by_metric)
        labels = self.samples.labels
        return drop_between(split, self.classes == labels, other.classes == labels)


def judge_file(
    source: LoadedModel,
    model: ModelFile,
    samples: Mapping[str, Samples],
    report: Report,
    original: Mapping[str, Array] | None = None,
) -> Judgement:
    """Run the model and the file on the same samples, and compare their answers.

    Args:
        source: The original model.
        model: The file that was made from it.
        samples: Use to samples. Those to learn from are left out.
        report: Called now and then.
        original: Use of samples to the answers of the model where these are known, float32, shape
            (n, ...).

    Returns:
        Figures of both.

    Raises:
        ConversionError: The model answers with NaN, or the runtime cannot run the file.
    """
    task = next(iter(samples.values())).task
    known = original or {}
    scores: list[Score] = []
    figures: list[MetricScore] = []
    drops: list[Drop] = []
    mean_iou = None
    for use, split in _JUDGED.items():
        if use not in samples:
            continue
        of_split, probabilities = samples[use], source.probabilities
        answers = known[use] if use in known else answers_of_source(source, of_split, report)
        before = ModelAnswers(of_split, answers, probabilities)
        after = ModelAnswers(of_split, answers_of_file(model, of_split, report), probabilities)
        for subject, every in ((ORIGINAL, before), (FILE, after)):
            for name, each in every.of_outputs().items():
                if each.samples.task.is_classification:
                    one = score(subject, split, each.classes, each.samples.labels)
                    scores.append(replace(one, output=name))
                else:
                    figures.append(replace(score_of(subject, split, each.by_metric), output=name))
        drops += before.drops_to(after, split)
        if split == TEST and task.kind == SEGMENTATION:
            mean_iou = _mean_ious(before, after)
    outputs = tuple(
        _figures(one, [s for s in figures if s.output == name])
        or _accuracy_figures(one, [s for s in scores if s.output == name])
        for name, one in task.parts.items()
    )
    metric = None if outputs else _figures(task, figures)
    return Judgement(tuple(scores), tuple(drops), metric, outputs, mean_iou)


def _mean_ious(before: ModelAnswers, after: ModelAnswers) -> tuple[float, float]:
    of_model, of_file = before.by_metric.mean_iou, after.by_metric.mean_iou
    assert of_model is not None
    assert of_file is not None
    return of_model, of_file


def _accuracy_figures(task: Task, scores: list[Score]) -> MetricFigures:
    """Figures of one of several outputs that is a classifier."""
    plain = [
        MetricScore(s.subject, s.split, s.samples, s.accuracy, s.interval, s.output) for s in scores
    ]
    last = {score.subject: score for score in plain}  # those of the test samples come last
    original, file = last[ORIGINAL].value, last[FILE]
    return MetricFigures(
        task.kind, task.metric, True, original, file.value, file.samples, tuple(plain), file.output
    )


def _figures(task: Task, scores: list[MetricScore]) -> MetricFigures | None:
    if task.is_classification:
        return None
    last = {score.subject: score for score in scores}  # those of the test samples come last
    original, file = last[ORIGINAL], last[FILE]
    return MetricFigures(
        task.kind,
        task.metric,
        task.higher_is_better,
        original.value,
        file.value,
        file.samples,
        tuple(scores),
        file.output,
    )


def _after(before: int, total: int, report: Report) -> Callable[[int, int], None]:
    """Reports one chunk of samples as a part of all."""
    return lambda done, _: report(Progress("evaluate file", before + done, total))


def warnings_of(source: LoadedModel, judgement: Judgement, path: Path) -> tuple[str, ...]:
    """Warn of an original model that is near chance: then something does not fit.

    Args:
        source: The original model.
        judgement: Figures on the test samples.
        path: Path of the data.

    Returns:
        Warnings, one sentence each.
    """
    accuracy = judgement.accuracy(ORIGINAL)
    if judgement.outputs:
        warnings = (_metric_warnings(one, path) for one in judgement.outputs)
        return tuple(warning for of_one in warnings for warning in of_one)
    if judgement.mean_iou is not None:
        given, file = judgement.mean_iou
        return (f"mean intersection over union {given:.4f} by the model, {file:.4f} by the file",)
    if accuracy is None:
        return _metric_warnings(judgement.metric, path)
    chance = 1 / source.classes
    if accuracy.fraction > 1.5 * chance or chance == 0.5 and accuracy.fraction > 0.65:
        return ()
    return (
        f"the original model is right on {accuracy.fraction:.1%} of {path.name}, near the chance "
        f"of {chance:.1%}: was it trained on other numbers, as 0..1 (--image-range for images, "
        "else scale the arrays), or with its classes in another order?",
    )


def _metric_warnings(metric: MetricFigures | None, path: Path) -> tuple[str, ...]:
    """R2 of 0 is that of always answering the mean, AUC of 0.5 that of guessing."""
    chance = {R2: 0.0, AUC: 0.5}
    if metric is None or metric.name not in chance or metric.given > chance[metric.name] + 0.05:
        return ()
    of_output = f" for the output {metric.output!r}" if metric.output else ""
    return (
        f"the original model has {metric.name} {metric.given:.3g}{of_output} on {path.name}, near "
        f"the {chance[metric.name]:g} of a guess: are the inputs scaled as they were for training?",
    )
