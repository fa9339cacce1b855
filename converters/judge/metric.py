"""How well a model does where no answer is simply right or wrong: errors, R2, AUC, the user's own.

The figures of mae, mse and r2 are means over samples, so a paired interval of a difference follows
from the differences of the samples. Where that is not so (auc, a function that gives one number for
all) samples are drawn again, the same ones for both, 400 times (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 13: the percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.split import Labels
from converters.data.task import (
    AUC,
    LOGITS_CROSS_ENTROPY,
    MAE,
    MSE,
    PIXEL_ACCURACY,
    R2,
    SEGMENTATION,
    Task,
)
from converters.data.user_function import user_function
from converters.errors import ConversionError
from converters.judge.paired import Drop
from converters.judge.places import PlaceCounts

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_RESAMPLES = 400
#: Student's t, two-sided 95 %: values for 1 and 2 degrees of freedom, then the coefficients of its
#: expansion in 1 / degrees of freedom (Abramowitz and Stegun, 26.7.5, at 1.959964), which is within
#: 0.2 % from 3 on.
_T_95 = (12.706205, 4.302653)
_T_95_EXPANSION = (1.959964, 2.372320, 2.822570, 2.555852, 1.589534)


@dataclass(frozen=True)
class MetricScore:
    """One model on one split."""

    subject: str
    """`ORIGINAL`, the model that was given, or `FILE`, the .tflite that was written."""
    split: str
    """"train", "validation" or "test"."""
    samples: int
    """Number of samples."""
    value: float
    """Value of the metric."""
    interval: tuple[float, float]
    """95 % interval of the value."""
    output: str = ""
    """Name of the output, of several; "" for a single one."""


@dataclass(frozen=True)
class MetricFigures:
    """Figures of a metric in conversion.json, in the place of an accuracy."""

    kind: str
    """Kind of the task."""
    name: str
    """Name of the metric."""
    higher_is_better: bool
    """Whether a higher value is better."""
    given: float
    """Value of the original model, on the test samples."""
    file: float
    """Value of the file, on the test samples."""
    samples: int
    """Number of test samples."""
    scores: tuple[MetricScore, ...]
    """Scores of the model and of the file, on each split that was judged."""
    output: str = ""
    """Name of the output, of several; "" for a single one."""


class ScoredAnswers:
    """Answers to samples, compared with the right answers by the metric of a task."""

    def __init__(self, task: Task, wanted: Array, answers: Array, labels: Labels) -> None:
        """Take the answers.

        Args:
            task: The task, which names the metric.
            wanted: Right answers, numbers of any type, shape (n, ...).
            answers: Answers of the model, float32, shape (n, ...) with as many numbers a sample.
            labels: 1 for an anomaly, 0 for every other sample, int64, shape (n,).
        """
        self._wanted: Floats = wanted.reshape(len(wanted), -1).astype(np.float64)
        self._answers: Floats = answers.reshape(len(answers), -1).astype(np.float64)
        self._labels = labels
        self.task, self.metric = task, metric_on(task, labels)
        self._places: PlaceCounts | None = None
        if task.kind == SEGMENTATION:
            limit = 0.0 if task.loss == LOGITS_CROSS_ENTROPY else 0.5
            self._places = PlaceCounts(wanted, answers, limit)
        self._function: Callable[..., Any] | None = None
        function = user_function(self.metric, task.folder)
        if function is not None:
            self._function = function.load()

    def __len__(self) -> int:
        return len(self._labels)

    @cached_property
    def each(self) -> Floats | None:
        """Share of each sample in the metric, float64, shape (n,): the metric is their mean.

        None where the metric is no mean over samples.
        """
        if self._places is not None and self.metric == PIXEL_ACCURACY:
            return self._places.accuracy_of_each()
        errors = self._answers - self._wanted
        if self.metric == MAE:
            return np.asarray(np.abs(errors).mean(axis=1))
        if self.metric == MSE:
            return np.asarray((errors**2).mean(axis=1))
        if self.metric == R2:
            # 1 - SSE / SST is a mean over samples, as SST is the same for every model.
            spread = ((self._wanted - self._wanted.mean(axis=0)) ** 2).sum()
            return np.asarray(1 - len(self) * (errors**2).sum(axis=1) / max(float(spread), 1e-300))
        if self._function is not None:
            values = self._call(slice(None))
            return values if values.shape == (len(self),) and len(self) > 1 else None
        return None

    @cached_property
    def value(self) -> float:
        """Value of the metric on all samples."""
        return self.value_on(slice(None)) if self.each is None else float(self.each.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the value."""
        if self.each is not None:
            return _around(self.value, self.each)
        return _percentiles([self.value_on(rows) for rows in bootstrap_rows(self._labels)])

    @property
    def mean_iou(self) -> float | None:
        """Mean intersection over union of a segmentation on all samples; None for other tasks."""
        return None if self._places is None else self._places.mean_iou(slice(None))

    def value_on(self, rows: slice | npt.NDArray[np.int64]) -> float:
        """Compute a metric that is no mean over samples, on some of them.

        Args:
            rows: A slice, or row numbers, int64, shape (rows,).

        Raises:
            ConversionError: The user's function fails, or gives no single number.
        """
        if self._places is not None:
            return self._places.mean_iou(rows)
        if self.metric == AUC:
            errors = ((self._answers[rows] - self._wanted[rows]) ** 2).mean(axis=1)
            return auc(errors, self._labels[rows])
        result = self._call(rows)
        if result.size != 1:
            raise ConversionError(
                f"the metric {self.metric} gives the shape {result.shape}, expected one number, or "
                f"one of each sample ({len(self)},)",
                "Correct the function: (right answers, answers) to a number.",
            )
        return float(result.reshape(()))

    def _call(self, rows: slice | npt.NDArray[np.int64]) -> Floats:
        assert self._function is not None
        try:
            return np.asarray(self._function(self._wanted[rows], self._answers[rows]), np.float64)
        except Exception as error:  # whatever the user's code raises
            raise ConversionError(
                f"the metric {self.metric} fails: {type(error).__name__}: {error}",
                "It is called with two arrays (n, numbers of an answer): right answers, answers.",
            ) from error


def metric_on(task: Task, labels: Labels) -> str:
    """Return the metric by which these samples can be judged.

    An anomaly detector learns and validates on normal samples only: there is no AUC of them, so the
    mean squared error stands in.
    """
    return MSE if task.metric == AUC and len(np.unique(labels)) < 2 else task.metric


def higher_is_better(task: Task, metric: str) -> bool:
    """Return whether a higher value is better, of the metric that `metric_on` gave."""
    return task.higher_is_better if metric == task.metric else False


def score_of(subject: str, split: str, answers: ScoredAnswers) -> MetricScore:
    """Return the figure of a model on a split, with its interval."""
    return MetricScore(subject, split, len(answers), answers.value, answers.interval)


def drop_of(split: str, before: ScoredAnswers, after: ScoredAnswers) -> Drop:
    """Compute what a file lost against its model, as a share of the model's figure.

    Args:
        split: Name of the samples.
        before: Answers of the model.
        after: Answers of the file, to those samples.

    Raises:
        ConversionError: The user's metric fails.
    """
    higher, sign, size = _scale(before)
    lost = won = 0
    if before.each is not None and after.each is not None:
        worse = sign * (after.each - before.each)
        lost, won = int((worse > 0).sum()), int((worse < 0).sum())
        low, high = _around(float(worse.mean()), worse)
    else:
        low, high = _percentiles(
            [
                sign * (after.value_on(rows) - before.value_on(rows))
                for rows in bootstrap_rows(before._labels)  # noqa: SLF001
            ]
        )
    return Drop(
        split,
        len(before),
        lost,
        won,
        (low / size, high / size),
        before.metric,
        before.value,
        after.value,
        higher,
    )


def share_lost(before: ScoredAnswers, after: ScoredAnswers) -> float:
    """Return what the second loses against the first, as a share of its figure; below 0 a gain.

    Infinite where the second has no figure, as of answers that are no numbers.
    """
    _, sign, size = _scale(before)
    lost = sign * (after.value - before.value) / size
    return inf if isnan(lost) else lost


def _scale(before: ScoredAnswers) -> tuple[bool, float, float]:
    """Whether higher is better, the sign of a loss, and the size that it is a share of."""
    higher = higher_is_better(before.task, before.metric)
    return higher, -1.0 if higher else 1.0, max(abs(before.value), 1e-12)


def auc(scores: Floats, labels: Labels) -> float:
    """Return how often an anomaly has the higher score, of all pairs of anomaly and normal sample.

    Source: Mann-Whitney's U as the area under the ROC curve (Hanley and McNeil, 1982); ties count
    half.

    Args:
        scores: Scores, float64, shape (n,); higher is stranger.
        labels: 1 for an anomaly, 0 for a normal sample, int64, shape (n,); both occur.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def bootstrap_rows(labels: Labels) -> list[npt.NDArray[np.int64]]:
    """Draw rows with replacement, within each label; equal labels give equal rows.

    Args:
        labels: Labels of the samples, int64, shape (n,).

    Returns:
        400 arrays of row numbers, int64, shape (n,).
    """
    random = np.random.default_rng(0)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return [
        np.concatenate([group[random.integers(0, len(group), len(group))] for group in groups])
        for _ in range(_RESAMPLES)
    ]


def _around(mean: float, each: Floats) -> tuple[float, float]:
    if len(each) < 2:
        return mean, mean
    half = _student_95(len(each) - 1) * float(each.std(ddof=1)) / sqrt(len(each))
    return mean - half, mean + half


def _student_95(freedom: int) -> float:
    """Factor of the standard error in a 95 % interval of a mean, with these degrees of freedom."""
    if freedom <= len(_T_95):
        return _T_95[freedom - 1]
    return float(sum(part / freedom**power for power, part in enumerate(_T_95_EXPANSION)))


def _percentiles(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
