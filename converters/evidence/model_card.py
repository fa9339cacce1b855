"""What a model's card says must be true of its file; and the card that a conversion knows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType

from converters.data.fields import select_field
from converters.data.resized_samples import AREA
from converters.data.task import CLASSIFIER, Task
from converters.model_file import ModelFile
from converters.request import IMAGE_RANGES
from converters.sources.inputs_outputs import Probabilities
from converters.tensor_spec import TensorSpec
from device_agent.contract.model_card import (
    ARRAY,
    CLASSIFICATION,
    COLORS,
    IMAGE,
    MOST_VALUES,
    RAW,
    REGRESSION,
    ArrayInput,
    CardError,
    ImageInput,
    Input,
    ModelCard,
    Output,
)

_PICTURE_DTYPES = ("float32", "float16", "uint8", "int8", "int16", "int32")


def check_card(card: ModelCard, model: ModelFile) -> None:
    """Refuse a card that is not about this file.

    Raises:
        CardError: A tensor is not in the file, or is of another shape or meaning.
    """
    inputs = {spec.name: spec for spec in model.inputs}
    outputs = {spec.name: spec for spec in model.outputs}
    for side, entries, specs in (
        ("inputs", card.inputs, inputs),
        ("outputs", card.outputs, outputs),
    ):
        for name in entries:
            if name not in specs:
                names = ", ".join(map(repr, specs))
                raise CardError(
                    (side, name), f"is not a tensor of the {side}; the file has {names}"
                )
    for name, entry in card.inputs.items():
        if isinstance(entry, ImageInput):
            _check_image(("inputs", name), entry, inputs[name])
        elif entry.axes is not None and len(entry.axes) != len(inputs[name].shape) - 1:
            raise CardError(
                ("inputs", name, "axes"),
                f"has {len(entry.axes)} axes, the file takes {list(inputs[name].shape)}",
            )
        elif entry.resized_from is not None:
            _check_resized(("inputs", name, "resized_from"), entry.resized_from, inputs[name])
    for name, output in card.outputs.items():
        _check_output(("outputs", name), output, outputs[name])


def _check_resized(where: tuple[str, ...], sizes: list[int], spec: TensorSpec) -> None:
    shape = list(spec.shape[1:])
    if len(sizes) != len(shape) or sizes[-1] != shape[-1]:
        raise CardError(
            where, f"is {sizes}, which cannot be resized to {shape}, the shape that the file takes"
        )


def _check_image(where: tuple[str, str], image: ImageInput, spec: TensorSpec) -> None:
    sides = {"N": 1, "H": image.height, "W": image.width, "C": COLORS[image.color]}
    declared = tuple(sides[axis] for axis in image.layout)
    if declared != (1, *spec.shape[1:]) or spec.shape[:1] not in ((1,), (-1,)):
        raise CardError(
            where,
            f"a {image.color} picture of {image.height} x {image.width} (height x width) as "
            f"{image.layout} has the shape {list(declared)}, the file takes {list(spec.shape)}",
        )
    if spec.dtype not in _PICTURE_DTYPES:
        raise CardError(where, f"the file takes {spec.dtype}, which is not a picture")


def _check_output(where: tuple[str, str], output: Output, spec: TensorSpec) -> None:
    values = prod(spec.shape[1:] if spec.shape[:1] in ((1,), (-1,)) else spec.shape)
    description = f"this output is {spec.dtype} of the shape {list(spec.shape)}"
    is_count = spec.scale is None and not spec.dtype.startswith("float")
    if output.task != CLASSIFICATION and output.labels:
        raise CardError((*where, "labels"), f"labels are for task {CLASSIFICATION}")
    if is_count and (output.activation != "none" or output.task == CLASSIFICATION):
        raise CardError(
            (*where, "task"), f"{description}: whole numbers are no scores; use task {RAW}"
        )
    if output.activation == "softmax" and spec.shape[-1:] == (1,):
        message = f"{description}: the softmax of one value is always 1; use sigmoid"
        raise CardError((*where, "activation"), message)
    if output.task == REGRESSION and values > MOST_VALUES:
        message = f"{description}: more than {MOST_VALUES} values; use task {RAW}"
        raise CardError((*where, "task"), message)
    if output.task != CLASSIFICATION or values < 1:
        return
    if max(spec.shape, default=1) != values:
        message = f"{description}: scores are one row; use task {RAW}"
        raise CardError((*where, "task"), message)
    classes = 2 if values == 1 else values
    if output.labels and len(output.labels) != classes:
        raise CardError(
            (*where, "labels"), f"has {len(output.labels)} labels, the file has {classes} classes"
        )


def card_of_conversion(
    model: ModelFile,
    class_names: tuple[str, ...],
    image_range: str | None,
    probabilities: Probabilities,
    task: Task = CLASSIFIER,
    axes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> ModelCard:
    """Make the card for the data of a conversion.

    Args:
        model: The file that was written.
        class_names: Names of the classes of pictures in folders; empty for other data.
        image_range: Key of `IMAGE_RANGES`: what the pictures were scaled to, which a model of one
            input takes; None for arrays, which the model was fed as they were.
        probabilities: Whether the scores of a classifier are probabilities rather than logits.
        task: Task of the model.
        axes: Name of each input, "" for a single one, to the axes of the user's arrays in the order
            of the file's input, where they differ.

    Returns:
        The card.
    """
    several = len(model.inputs) > 1
    inputs: dict[str, Input] = {}
    for spec in model.inputs:
        order = axes.get(spec.name if several else "")
        inputs[spec.name] = ArrayInput(axes=list(order) if order else None)
    if image_range is not None:
        (spec,), (scale, offset) = model.inputs, IMAGE_RANGES[image_range]
        inputs = {spec.name: _picture(spec, scale, offset)}
    outputs = {}
    for spec in model.outputs:
        name = spec.name if task.parts else ""
        one = task.parts.get(name, task)
        outputs[spec.name] = _output(spec, class_names, select_field(probabilities, name), one)
    return ModelCard(inputs, outputs)


def card_as_declared(card: ModelCard, declaration: ImageInput | None, exif: bool) -> ModelCard:
    """Add to the card of a conversion how pictures come to the size of its input.

    Args:
        card: Card of the conversion.
        declaration: Declaration of the user; None where there is none.
        exif: Whether the pictures of the data were as their EXIF orientation says, or had none.

    Returns:
        The card; pictures keep the scale of the conversion.
    """
    inputs: dict[str, Input] = {}
    for name, entry in card.inputs.items():
        if not isinstance(entry, ImageInput):
            inputs[name] = entry
        elif declaration is None:
            inputs[name] = replace(entry, exif=exif)
        else:
            inputs[name] = replace(
                declaration,
                height=entry.height,
                width=entry.width,
                scale=entry.scale,
                offset=entry.offset,
                mean=None,
                std=None,
            )
    return replace(card, inputs=inputs)


def card_of_resized(card: ModelCard, shape: tuple[int, ...]) -> ModelCard:
    """Say how samples come to an input that is smaller than that of the original model.

    Args:
        card: Card of the conversion of a model of one input.
        shape: Shape of a sample of the original model, without the batch axis.

    Returns:
        The card; samples are resized as they were in the training.
    """
    inputs: dict[str, Input] = {
        name: replace(entry, resize=AREA)
        if isinstance(entry, ImageInput)
        else replace(entry, resized_from=list(shape))
        for name, entry in card.inputs.items()
    }
    return replace(card, inputs=inputs)


def resize_warnings(
    card: ModelCard, shape: tuple[int, ...], declaration: ImageInput | None
) -> tuple[str, ...]:
    """Tell where the board resizes pictures in one step, and the conversion in two.

    Args:
        card: Card of the conversion.
        shape: Shape of a sample of the original model.
        declaration: Declaration of the user; None where there is none.
    """
    entry = next(iter(card.inputs.values()), None)
    if declaration is None or not isinstance(entry, ImageInput):
        return ()
    return (
        f"pictures of another size were brought to {shape[1]}x{shape[0]} by resize "
        f"{declaration.resize!r} and from there to {entry.width}x{entry.height}; a board brings "
        f"them to {entry.width}x{entry.height} at once, by resize {entry.resize!r}: give pictures "
        f"of {shape[1]}x{shape[0]} for figures of the same pixels",
    )


def _output(
    spec: TensorSpec, class_names: tuple[str, ...], probabilities: bool, task: Task
) -> Output:
    values = prod(spec.shape[1:])
    if not task.is_classification:
        return Output(REGRESSION if values <= MOST_VALUES and task.kind == REGRESSION else RAW)
    activation = "none" if probabilities else "softmax" if values > 1 else "sigmoid"
    return Output(CLASSIFICATION, activation, min(5, max(values, 2)), labels=list(class_names))


def card_to_begin_with(model: ModelFile) -> ModelCard:
    """Guess the card of a file that came without one, for a person to correct.

    A uint8 input is taken to store a pixel as it is, as the models of 2018 to 2021 do.
    """
    inputs: dict[str, Input] = {}
    for spec in model.inputs:
        inputs[spec.name] = ArrayInput()
        if len(spec.shape) == 4 and spec.shape[3] in (1, 3) and spec.dtype in _PICTURE_DTYPES:
            scale, offset = 1.0, 0.0
            if spec.dtype == "uint8" and spec.scale is not None:
                scale, offset = spec.scale, -spec.scale * (spec.zero_point or 0)
            inputs[spec.name] = _picture(spec, scale, offset)
    outputs = {}
    for spec in model.outputs:
        row = len(spec.shape) == 2 and spec.shape[1] > 1 and spec.dtype != "int64"
        outputs[spec.name] = Output(CLASSIFICATION if row else RAW)
    return ModelCard(inputs, outputs)


def _picture(spec: TensorSpec, scale: float, offset: float) -> ImageInput:
    height, width = spec.shape[1:3]
    return ImageInput(
        height,
        width,
        layout="NHW" if len(spec.shape) == 3 else "NHWC",
        color="RGB" if spec.shape[3:] == (3,) else "gray",
        scale=scale,
        offset=offset,
    )


def kind_of(entry: Input) -> str:
    """Return the name of the kind of an input in model.toml."""
    return IMAGE if isinstance(entry, ImageInput) else ARRAY
