"""Accuracy of a model on a board, over a labelled set, beside this host's answers to the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.dataset import TEST, Samples
from converters.formats import FORMATS
from converters.judge.metric import MetricScore, ScoredAnswers, drop_of, score_of
from converters.judge.paired import Drop, drop_between
from converters.judge.score import wilson
from converters.model_file import ModelFile
from converters.tensor_spec import dequantize
from targets.device import Device
from targets.progress import OnProgress
from targets.staged_file import StagedFile
from toolkit.measure.feeds import feed_batches
from toolkit.measure.labelled_data import LabelledData
from toolkit.measure.outputs import most_output_bytes, require_equal_form
from toolkit.measure.state import MOST_STREAM_BYTES, long_stream_error, reset_before_samples

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class BoardAccuracy:
    """How often a board and this host were right on the same samples."""

    data: Path
    origin: str
    """Samples of the data that were taken, in words."""
    samples: int
    board_correct: int
    host_correct: int
    agreement: float
    """Share of samples that board and host put into the same class, 0 to 1."""
    drop: Drop
    """From the host to the board: samples that only one of them has right, and the paired 95 %
    interval of the difference (McNemar's table)."""

    @property
    def board_interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of the board's accuracy."""
        return wilson(self.board_correct, self.samples)

    @property
    def host_interval(self) -> tuple[float, float]:
        """95 % interval (Wilson) of the host's accuracy."""
        return wilson(self.host_correct, self.samples)

    @property
    def board_is_worse(self) -> bool:
        """Whether the whole interval says that the board loses accuracy."""
        return self.drop.interval[0] > 0


@dataclass(frozen=True)
class BoardMetric:
    """Figures of a board and of this host on the same samples, where no answer is simply right."""

    data: Path
    origin: str
    """Samples of the data that were taken, in words."""
    samples: int
    metric: str
    """Name of the metric."""
    higher_is_better: bool
    """Whether a higher value is better."""
    board: MetricScore
    host: MetricScore
    drop: Drop
    """Loss from the host to the board, as a share of the figure of the host."""

    @property
    def board_is_worse(self) -> bool:
        """Whether the whole interval says that the board does worse."""
        return self.drop.interval[0] > 0


def measure_accuracy(
    model: ModelFile,
    data: LabelledData,
    device: Device,
    on_board: StagedFile,
    on_progress: OnProgress,
) -> BoardAccuracy | BoardMetric:
    """Ask a board and this host about every test sample, a batch at a time.

    Args:
        model: File.
        data: Data set, as `open_labelled` returned it.
        device: Board, with its runtime prepared.
        on_board: The file on it.
        on_progress: Called as the work goes on.

    Returns:
        Accuracies of a classifier; for another task the figures of its metric.

    Raises:
        ConversionError: A sample cannot be read, or this host cannot run the file.
        AgentError: The board cannot.
    """
    samples = data.read(on_progress)
    if data.card.streaming and samples.stored.nbytes > MOST_STREAM_BYTES:
        raise long_stream_error(model)
    (output,), card = model.outputs, data.card
    reset = reset_before_samples(model, card)
    board, host = [], []
    for done, inputs in feed_batches(samples, model.inputs, card):
        on_progress("accuracy on the board", done, len(samples))
        on_host = FORMATS[model.format].run(model.path, inputs, reset=reset)
        _, on_board_outputs = device.jobs.infer(
            on_board, inputs, reset=reset, most_bytes=most_output_bytes(on_host)
        )
        require_equal_form(on_host, on_board_outputs, device.target.name)
        host_scores, board_scores = on_host[output.name], on_board_outputs[output.name]
        host.append(dequantize(host_scores, output))
        board.append(dequantize(board_scores, output))
    on_progress("accuracy on the board", len(samples), len(samples))
    board_answers, host_answers = np.concatenate(board), np.concatenate(host)
    if not samples.task.is_classification:
        return _metric_of(data, samples, board_answers, host_answers)
    threshold = 0.0 if card.output(output.name).activation == "sigmoid" else 0.5
    board_classes = _classes(board_answers, threshold)
    host_classes = _classes(host_answers, threshold)
    labels = samples.labels
    board_right, host_right = board_classes == labels, host_classes == labels
    return BoardAccuracy(
        data=data.dataset.path,
        origin=data.dataset.origins[TEST],
        samples=len(samples),
        board_correct=int(board_right.sum()),
        host_correct=int(host_right.sum()),
        agreement=float(np.mean(board_classes == host_classes)),
        drop=drop_between(TEST, host_right, board_right),
    )


def _classes(answers: Array, threshold: float) -> Array:
    """The class of each sample: the largest score, or whether a single one is above `threshold`."""
    scores = answers.reshape(len(answers), -1)
    if scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1))
    return (scores[:, 0] > threshold).astype(np.int64)


def _metric_of(data: LabelledData, samples: Samples, board: Array, host: Array) -> BoardMetric:
    wanted = samples.right_answers(slice(None))
    board_scores, host_scores = (
        ScoredAnswers(samples.task, wanted, answers, samples.labels) for answers in (board, host)
    )
    drop = drop_of(TEST, host_scores, board_scores)
    return BoardMetric(
        data=data.dataset.path,
        origin=data.dataset.origins[TEST],
        samples=len(samples),
        metric=host_scores.metric,
        higher_is_better=drop.higher_is_better,
        board=score_of("the board", TEST, board_scores),
        host=score_of("this host", TEST, host_scores),
        drop=drop,
    )
