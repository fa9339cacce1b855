"""A labelled data set for a model on a board: which samples it has, and what they must fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from converters.data.data_source import open_dataset
from converters.data.dataset import TEST, Dataset, InputForm, Samples, Selection
from converters.data.task import TaskWish
from converters.data.user_function import user_function_at
from converters.errors import ConversionError
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from converters.evidence.model_toml import card_beside
from converters.model_file import ModelFile
from converters.request import UNSCALED
from converters.tensor_spec import TensorSpec
from device_agent.contract.model_card import ArrayInput, ImageInput, Input, ModelCard
from targets.progress import OnProgress


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
        data: An .npz, a folder of images, a tar of such a folder, or `module:function` in the
            folder of its module; the test samples are used, those that the conversion beside the
            model held out.

    Raises:
        ModelTomlError: `model.toml` is wrong.
        ConversionError: The data cannot be read or does not fit, or the model has several outputs
            or open sizes.
    """
    card = card_beside(model) or ModelCard()
    if len(model.outputs) != 1:
        raise ConversionError(
            f"{model.path}: has {len(model.outputs)} outputs; --data judges models of one",
            "Leave out --data: all outputs are compared with this host's anyhow.",
        )
    (output,) = model.outputs
    shapes = {spec.name: _shape_of(spec, card) for spec in model.inputs}
    entries = {spec.name: card.input(spec.name) for spec in model.inputs}
    outputs = prod(_without_batch(output))
    smallest = min(size for shape in (*shapes.values(), (outputs,)) for size in shape)
    if smallest < 1:
        input_shapes = ", ".join(str(list(spec.shape)) for spec in model.inputs)
        raise ConversionError(
            f"{model.path}: takes {input_shapes} and gives {list(output.shape)}; --data "
            "judges models whose sizes are fixed",
            "Leave out --data.",
        )
    _check_there(data)
    several = len(shapes) > 1
    form = InputForm(
        () if several else shapes[model.inputs[0].name],
        2 if outputs == 1 else outputs,
        outputs=_without_batch(output),
        wish=_wish_beside(model),
        trains=False,
        inputs=shapes if several else {},
        axes={
            name if several else "": tuple(entry.axes)
            for name, entry in entries.items()
            if isinstance(entry, ArrayInput) and entry.axes
        },
        picture=None if several else _picture(card.input(model.inputs[0].name)),
    )
    dataset = _open(data.absolute(), form, _seed_beside(model))
    if dataset.pictures and not isinstance(card.input(model.inputs[0].name), ImageInput):
        raise ConversionError(
            f"{data}: holds images, and model.toml beside {model.path} does not say how the model "
            "takes one",
            "Convert the model from images, or describe its input in model.toml (docs/run.md).",
        )
    labels = card.output(output.name).labels
    return LabelledData(card, dataset, _numbers(data, dataset.class_names, labels))


def _picture(entry: Input) -> ImageInput | None:
    """How pictures come to the size of the input; their colors change order later."""
    if not isinstance(entry, ImageInput):
        return None
    return replace(entry, color="RGB") if entry.color == "BGR" else entry


def _open(data: Path, form: InputForm, seed: int) -> Dataset:
    """Look through a data set; where no conversion names the task, labels are taken for classes.

    Raises:
        ConversionError: The data fits neither a classifier nor another task.
    """
    if form.wish.kind:
        return open_dataset(data, form, UNSCALED, seed)
    try:
        return open_dataset(data, replace(form, outputs=None), UNSCALED, seed)
    except ConversionError as no_classes:
        try:
            return open_dataset(data, form, UNSCALED, seed)
        except ConversionError:
            raise no_classes from None


def conversion_beside(model: ModelFile) -> Conversion | None:
    """Return the evidence of the conversion that wrote a file; `None` where there is none."""
    if not (model.path.parent / CONVERSION_NAME).is_file():
        return None
    conversion = read_conversion(model.path.parent)
    return conversion if conversion.model_sha256 == model.sha256 else None


def _seed_beside(model: ModelFile) -> int:
    """Return the seed of the conversion: the test samples are those that it held out."""
    conversion = conversion_beside(model)
    return conversion.seed if conversion is not None else 0


def _wish_beside(model: ModelFile) -> TaskWish:
    """Return the task by which the conversion judged the file; an empty wish where it is unknown.

    A metric that is a function of the user's is not called here: the default of the task judges.
    """
    conversion = conversion_beside(model)
    if conversion is None or conversion.metric is None:
        return TaskWish()
    metric = conversion.metric
    return TaskWish(kind=metric.kind, metric="" if ":" in metric.name else metric.name)


def _check_there(data: Path) -> None:
    if user_function_at(data.absolute()) is None and not data.exists():
        raise ConversionError(f"data {data}: not found", "Check the path.")


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


def _without_batch(spec: TensorSpec) -> tuple[int, ...]:
    """Shape of a sample: a first axis that is neither 1 nor open belongs to it."""
    return tuple(spec.shape[1:] if spec.shape[:1] in ((1,), (-1,)) else spec.shape)


def _shape_of(spec: TensorSpec, card: ModelCard) -> tuple[int, ...]:
    """Return the shape of a sample in the data, without the batch axis."""
    image, shape = card.input(spec.name), _without_batch(spec)
    if isinstance(image, ImageInput) and image.layout == "NCHW":
        return (*shape[1:], shape[0])
    if isinstance(image, ArrayInput) and image.resized_from is not None:
        return tuple(image.resized_from)
    return shape
