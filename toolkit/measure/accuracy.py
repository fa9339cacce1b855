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
from converters.data.fields import select_field
from converters.data.user_function import user_function_at
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
from targets.device import Device
from targets.progress import OnProgress
from targets.staged_file import StagedFile
from toolkit.measure.outputs import most_output_bytes, require_equal_form
from toolkit.measure.state import MOST_STREAM_BYTES, long_stream_error, reset_before_samples

Array = np.ndarray[Any, Any]

#: Inputs that are on their way, or on the board, at one time.
_BATCH_BYTES = 16 << 20


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


def measure_accuracy(
    model: ModelFile,
    data: LabelledData,
    device: Device,
    on_board: StagedFile,
    on_progress: OnProgress,
) -> BoardAccuracy:
    """Ask a board and this host about every test sample, a batch at a time.

    Args:
        model: File.
        data: Data set, as `open_labelled` returned it.
        device: Board, with its runtime prepared.
        on_board: The file on it.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: A sample cannot be read, or this host cannot run the file.
        AgentError: The board cannot.
    """
    samples = data.read(on_progress)
    if data.card.streaming and samples.stored.nbytes > MOST_STREAM_BYTES:
        raise long_stream_error(model)
    (output,), card = model.outputs, data.card
    reset = reset_before_samples(model, card)
    threshold = 0.0 if card.output(output.name).activation == "sigmoid" else 0.5
    board, host = [], []
    for done, inputs in _batches(samples, model.inputs, card):
        on_progress("accuracy on the board", done, len(samples))
        on_host = FORMATS[model.format].run(model.path, inputs, reset=reset)
        _, on_board_outputs = device.jobs.infer(
            on_board, inputs, reset=reset, most_bytes=most_output_bytes(on_host)
        )
        require_equal_form(on_host, on_board_outputs, device.target.name)
        host_scores, board_scores = on_host[output.name], on_board_outputs[output.name]
        host.append(_classes(host_scores, output, threshold))
        board.append(_classes(board_scores, output, threshold))
    on_progress("accuracy on the board", len(samples), len(samples))
    board_classes, host_classes = np.concatenate(board), np.concatenate(host)
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


@dataclass(frozen=True)
class LabelledData:
    """A data set whose test samples are to be answered."""

    card: ModelCard
    """Meaning of the model's inputs and outputs."""
    dataset: Dataset
    numbers: tuple[int, ...]
    """Number of the model's class for each class of the data; empty where they are equal."""

    def read(self, on_progress: OnProgress) -> Samples:
        """Read the test samples, as they are stored, labelled by the model's classes.

        Raises:
            ConversionError: A sample cannot be read.
        """
        rows = np.arange(len(self.dataset.labels[TEST]))
        samples = self.dataset.read(
            {TEST: Selection(TEST, rows)},
            lambda progress: on_progress(progress.stage, progress.done, progress.total),
        )[TEST]
        if not self.numbers:
            return samples
        return Samples(samples.stored, np.array(self.numbers, np.int64)[samples.labels])


def open_labelled(model: ModelFile, data: Path) -> LabelledData:
    """Look through a data set before a board works: does it fit the model?

    Args:
        model: File; `model.toml` beside it says what its input takes and its output means.
        data: An .npz, a folder of images, or a tar of such a folder; the test samples are used,
            those that the conversion beside the model held out.

    Raises:
        ModelTomlError: `model.toml` is wrong.
        ConversionError: The data cannot be read or does not fit, or the model is no classifier of
            one output.
    """
    card = card_beside(model) or ModelCard()
    if len(model.outputs) != 1:
        raise ConversionError(
            f"{model.path}: has {len(model.outputs)} outputs; accuracy is for classifiers of one",
            "Leave out --data: all outputs are compared with this host's anyhow.",
        )
    (output,) = model.outputs
    _refuse_other_task(model)
    shapes = {spec.name: _shape_of(spec, card) for spec in model.inputs}
    outputs = prod(output.shape[1:])
    smallest = min(size for shape in (*shapes.values(), (outputs,)) for size in shape)
    if smallest < 1 or max(output.shape[1:]) != outputs:
        input_shapes = ", ".join(str(list(spec.shape)) for spec in model.inputs)
        raise ConversionError(
            f"{model.path}: takes {input_shapes} and gives {list(output.shape)}; accuracy is "
            "for classifiers whose sizes are fixed",
            "Leave out --data.",
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
            "Convert the model from images, or describe its input in model.toml (docs/run.md)",
        )
    labels = card.output(output.name).labels
    return LabelledData(card, dataset, _numbers(data, dataset.class_names, labels))


def _seed_beside(model: ModelFile) -> int:
    """Return the seed of the conversion: the test samples are those that it held out."""
    if not (model.path.parent / CONVERSION_NAME).is_file():
        return 0
    conversion = read_conversion(model.path.parent)
    return conversion.seed if conversion.model_sha256 == model.sha256 else 0


def _check_there(data: Path) -> None:
    if user_function_at(data.absolute()) is not None:
        raise ConversionError(
            f"data {data}: is a function, which runs in a conversion only",
            "Give an .npz, or leave out --data: the conversion's own inputs are compared anyhow.",
        )
    if not data.exists():
        raise ConversionError(f"data {data}: not found", "Check the path.")


def _refuse_other_task(model: ModelFile) -> None:
    """A conversion that was judged by another metric is of no classifier."""
    if not (model.path.parent / CONVERSION_NAME).is_file():
        return
    conversion = read_conversion(model.path.parent)
    if conversion.metric is not None and conversion.model_sha256 == model.sha256:
        raise ConversionError(
            f"{model.path}: is judged by {conversion.metric.name}, not by accuracy: its task is "
            f"{conversion.metric.kind}",
            "Leave out --data: its outputs are compared with this host's anyhow.",
        )


def _numbers(data: Path, names: tuple[str, ...], labels: list[str]) -> tuple[int, ...]:
    """The model's number of each class folder, by name."""
    if not names or not labels or list(names) == labels:
        return ()
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise ConversionError(
            f"{data}: class folder {unknown[0]!r} is none of the labels in model.toml",
            f"Name the folders as the labels: {', '.join(labels[:5])}, …",
        )
    return tuple(labels.index(name) for name in names)


def _shape_of(spec: TensorSpec, card: ModelCard) -> tuple[int, ...]:
    """Return the shape of a sample in the data, without the batch axis."""
    image, shape = card.input(spec.name), spec.shape[1:]
    if isinstance(image, ImageInput) and image.layout == "NCHW":
        return (*shape[1:], shape[0])
    return shape


def _batches(
    samples: Samples, specs: Sequence[TensorSpec], card: ModelCard
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield the number of samples that came before, and a batch by input name."""
    stored = {spec.name: select_field(samples.stored, spec.name if len(specs) > 1 else "")
              for spec in specs}  # fmt: skip
    feeds = {spec.name: _feed(stored[spec.name], spec, card) for spec in specs}
    sample_bytes = sum(stored[spec.name][:1].size * np.dtype(spec.dtype).itemsize for spec in specs)
    size = max(1, _BATCH_BYTES // max(1, sample_bytes))
    if card.streaming:  # one process has to see all of it
        size = len(samples)
    for start in range(0, len(samples), size):
        rows = slice(start, start + size)
        yield start, {name: feeds[name](of_input[rows]) for name, of_input in stored.items()}


def _feed(samples: Array, spec: TensorSpec, card: ModelCard) -> Callable[[Array], Array]:
    """From stored samples to the input's type; pixels as the agent's `preprocess` does it."""
    image = card.input(spec.name)
    if not isinstance(image, ImageInput) or samples.dtype != np.uint8:
        return lambda stored: quantize(stored.astype(np.float32), spec)

    def feed(stored: Array) -> Array:
        real = (stored[..., ::-1] if image.color == "BGR" else stored).astype(np.float32)
        if image.mean is not None and image.std is not None:
            real = (real - np.asarray(image.mean, np.float32)) / np.asarray(image.std, np.float32)
        elif (image.scale, image.offset) != (1.0, 0.0):
            real = real * np.float32(image.scale) + np.float32(image.offset)
        return quantize(real.transpose(0, 3, 1, 2) if image.layout == "NCHW" else real, spec)

    return feed


def _classes(values: Array, spec: TensorSpec, threshold: float) -> Array:
    """The class of each sample: the largest score, or whether a single one is above `threshold`."""
    scores = dequantize(values, spec).reshape(len(values), -1)
    if scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1))
    return (scores[:, 0] > threshold).astype(np.int64)
