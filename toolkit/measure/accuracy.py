"""Accuracy of a model on a board, over a labelled set, beside this host's answers to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.data_source import open_dataset
from converters.data.dataset import TEST, Dataset, InputForm, Samples, Selection
from converters.data.fields import part
from converters.data.user_function import function_of_path
from converters.errors import ConversionError
from converters.evidence.conversion import CONVERSION_NAME, read_conversion
from converters.evidence.model_toml import card_beside
from converters.formats import FORMATS
from converters.judge.paired import Drop, drop_between
from converters.judge.score import wilson
from converters.model_file import ModelFile
from converters.request import UNSCALED
from converters.tensor_spec import TensorSpec, dequantize, quantize
from device_agent.contract.model_card import ImageInput, ModelCard
from targets.device import Device, OnProgress, Staged

Array = np.ndarray[Any, Any]

#: Inputs that are on their way, or on the board, at one time.
_BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class BoardAccuracy:
    """How often a board and this host were right on the same samples."""

    data: Path
    origin: str
    """Which samples of the data these are, in words."""
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


def measure_accuracy(
    model: ModelFile,
    data: LabelledData,
    device: Device,
    staged: Staged,
    on_progress: OnProgress,
) -> BoardAccuracy:
    """Ask a board and this host about every test sample, a batch at a time.

    Args:
        model: The file.
        data: From `open_labelled`.
        device: With its runtime prepared.
        staged: The file on it.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A sample cannot be read, or this host cannot run the file.
        AgentError: The board cannot.
    """
    samples = data.read(on_progress)
    (given,), card = model.outputs, data.card
    decides = 0.0 if card.output(given.name).activation == "sigmoid" else 0.5
    board, host = [], []
    for done, inputs in _batches(samples, model.inputs, card):
        on_progress("accuracy on the board", done, len(samples))
        here = FORMATS[model.format].run(model.path, inputs)[given.name]
        there = device.infer(staged, inputs)[1][given.name]
        host.append(_classes(here, given, decides))
        board.append(_classes(there, given, decides))
    on_progress("accuracy on the board", len(samples), len(samples))
    board_chosen, host_chosen = np.concatenate(board), np.concatenate(host)
    board_right, host_right = board_chosen == samples.labels, host_chosen == samples.labels
    return BoardAccuracy(
        data=data.dataset.path,
        origin=data.dataset.origins[TEST],
        samples=len(samples),
        board_correct=int(board_right.sum()),
        host_correct=int(host_right.sum()),
        agreement=float(np.mean(board_chosen == host_chosen)),
        drop=drop_between(TEST, host_right, board_right),
    )


@dataclass(frozen=True)
class LabelledData:
    """A data set whose test samples are to be answered."""

    card: ModelCard
    """What the model's input takes and its output means."""
    dataset: Dataset
    numbers: tuple[int, ...]
    """The model's class of each class of the data; empty where they are the same."""

    def read(self, on_progress: OnProgress) -> Samples:
        """Read the test samples, as they are stored, labelled by the model's classes."""
        rows = np.arange(len(self.dataset.labels[TEST]))
        samples = self.dataset.read(
            {TEST: Selection(TEST, rows)},
            lambda progress: on_progress(progress.stage, progress.done, progress.total),
        )[TEST]
        if not self.numbers:
            return samples
        return Samples(samples.stored, np.array(self.numbers, np.int64)[samples.labels])


def open_labelled(model: ModelFile, data: Path) -> LabelledData:
    """Look through a data set before a board is asked: does it fit the model?

    Args:
        model: The file; `model.toml` beside it says what its input takes and its output means.
        data: As for a conversion: .npz, folder of images, or tar of such a folder; the test samples
            are used, those that the conversion beside the model held out.

    Raises:
        ModelTomlError: `model.toml` is wrong.
        ConversionError: The data cannot be read or does not fit, or the model is no classifier of
            one output.
    """
    card = card_beside(model) or ModelCard()
    if len(model.outputs) != 1:
        raise ConversionError(
            f"{model.path}: has {len(model.outputs)} outputs; accuracy is for classifiers of one",
            "leave out --data: all outputs are compared with this host's anyhow",
        )
    (given,) = model.outputs
    _refuse_other_task(model)
    shapes = {spec.name: _shape_of(spec, card) for spec in model.inputs}
    outputs = prod(given.shape[1:])
    smallest = min(size for shape in (*shapes.values(), (outputs,)) for size in shape)
    if smallest < 1 or max(given.shape[1:]) != outputs:
        taken = ", ".join(str(list(spec.shape)) for spec in model.inputs)
        raise ConversionError(
            f"{model.path}: takes {taken} and gives {list(given.shape)}; accuracy is "
            "for classifiers whose sizes are fixed",
            "leave out --data",
        )
    _check_there(data)
    several = len(shapes) > 1
    form = InputForm(
        () if several else shapes[model.inputs[0].name],
        2 if outputs == 1 else outputs,
        trains=False,
        inputs=shapes if several else {},
    )
    dataset = open_dataset(data, form, UNSCALED, _seed_beside(model))
    if dataset.pictures and not isinstance(card.input(model.inputs[0].name), ImageInput):
        raise ConversionError(
            f"{data}: holds images, and model.toml beside {model.path} does not say how the model "
            "takes one",
            "convert the model from images, or describe its input in model.toml (docs/run.md)",
        )
    labels = card.output(given.name).labels
    return LabelledData(card, dataset, _numbers(data, dataset.class_names, labels))


def _seed_beside(model: ModelFile) -> int:
    """What divided the data of the conversion: its test samples must be tested, no others."""
    if not (model.path.parent / CONVERSION_NAME).is_file():
        return 0
    conversion = read_conversion(model.path.parent)
    return conversion.seed if conversion.model_sha256 == model.sha256 else 0


def _check_there(data: Path) -> None:
    if function_of_path(data.absolute()) is not None:
        raise ConversionError(
            f"data {data}: is a function, which runs in a conversion only",
            "give an .npz, or leave out --data: the conversion's own inputs are compared anyhow",
        )
    if not data.exists():
        raise ConversionError(f"data {data}: not found", "check the path")


def _refuse_other_task(model: ModelFile) -> None:
    """A conversion that was judged by another metric is of no classifier."""
    if not (model.path.parent / CONVERSION_NAME).is_file():
        return
    conversion = read_conversion(model.path.parent)
    if conversion.metric is not None and conversion.model_sha256 == model.sha256:
        raise ConversionError(
            f"{model.path}: is judged by {conversion.metric.name}, not by accuracy: its task is "
            f"{conversion.metric.kind}",
            "leave out --data: its outputs are compared with this host's anyhow",
        )


def _numbers(data: Path, names: tuple[str, ...], labels: list[str]) -> tuple[int, ...]:
    """The model's number of each class folder, by name."""
    if not names or not labels or list(names) == labels:
        return ()
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise ConversionError(
            f"{data}: class folder {unknown[0]!r} is none of the labels in model.toml",
            f"name the folders as the labels: {', '.join(labels[:5])}, …",
        )
    return tuple(labels.index(name) for name in names)


def _shape_of(spec: TensorSpec, card: ModelCard) -> tuple[int, ...]:
    """Of a sample as the data has it, without the batch axis."""
    taken, shape = card.input(spec.name), spec.shape[1:]
    if isinstance(taken, ImageInput) and taken.layout == "NCHW":
        return (*shape[1:], shape[0])
    return shape


def _batches(
    samples: Samples, specs: Sequence[TensorSpec], card: ModelCard
) -> Iterator[tuple[int, dict[str, Array]]]:
    """What the inputs are fed, by name, and how many samples came before."""
    stored = {spec.name: part(samples.stored, spec.name if len(specs) > 1 else "")
              for spec in specs}  # fmt: skip
    feeds = {spec.name: _feed(stored[spec.name], spec, card) for spec in specs}
    sample_bytes = sum(stored[spec.name][:1].size * np.dtype(spec.dtype).itemsize for spec in specs)
    size = max(1, _BATCH_BYTES // max(1, sample_bytes))
    for start in range(0, len(samples), size):
        rows = slice(start, start + size)
        yield start, {name: feeds[name](of_input[rows]) for name, of_input in stored.items()}


def _feed(samples: Array, spec: TensorSpec, card: ModelCard) -> Callable[[Array], Array]:
    """From stored samples to the input's type; pixels as the agent's `preprocess` does it."""
    taken = card.input(spec.name)
    if not isinstance(taken, ImageInput) or samples.dtype != np.uint8:
        return lambda stored: quantize(stored.astype(np.float32), spec)

    def feed(stored: Array) -> Array:
        real = (stored[..., ::-1] if taken.color == "BGR" else stored).astype(np.float32)
        if taken.mean is not None and taken.std is not None:
            real = (real - np.asarray(taken.mean, np.float32)) / np.asarray(taken.std, np.float32)
        elif (taken.scale, taken.offset) != (1.0, 0.0):
            real = real * np.float32(taken.scale) + np.float32(taken.offset)
        return quantize(real.transpose(0, 3, 1, 2) if taken.layout == "NCHW" else real, spec)

    return feed


def _classes(values: Array, spec: TensorSpec, decides: float) -> Array:
    """The class of each sample: the largest score, or whether a single one is above `decides`."""
    scores = dequantize(values, spec).reshape(len(values), -1)
    if scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1))
    return (scores[:, 0] > decides).astype(np.int64)
