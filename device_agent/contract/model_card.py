"""What goes into a model and what comes out of it: the content of `model.toml`, and how it travels.

`card_from_plain` alone knows what is allowed; the host uses it on the file, the board on a request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

SCHEMA = 1

IMAGE = "image"
ARRAY = "array"

#: Axes of an image input, without the batch: height, width, channels.
LAYOUTS = ("NHWC", "NCHW", "NHW")
#: Channels of each color; gray is ITU-R 601 luma, as Pillow's mode L.
COLORS = {"RGB": 3, "BGR": 3, "gray": 1}
#: Ways to fit an image of another aspect ratio; see `device_agent/contract/fitting.py`.
FITS = ("stretch", "crop", "letterbox")
RESIZES = ("bilinear", "antialias", "area", "nearest")

CLASSIFICATION = "classification"
REGRESSION = "regression"
RAW = "raw"
TASKS = (CLASSIFICATION, REGRESSION, RAW)
ACTIVATIONS = ("none", "softmax", "sigmoid")

#: No model has an image side, or asks for so many answers, beyond these.
MOST_SIDE = 1 << 14
MOST_TOP_K = 1000

#: Axes of an array without the batch.
MOST_AXES = 8

#: A regression answers with each of its values; more of them are an array to save (`raw`).
MOST_VALUES = 256

Plain = Dict[str, Any]


class CardError(ValueError):
    """A declaration is not what it must be."""

    where: Tuple[str, ...]
    """Keys that lead to the wrong value, from the top."""

    def __init__(self, where: Sequence[str], message: str) -> None:
        super().__init__("{}: {}".format(".".join(where) or "the whole", message))
        self.where = tuple(where)


@dataclass(frozen=True)
class ImageInput:
    """An input that takes pictures; sizes in pixels."""

    height: int
    width: int
    layout: str = "NHWC"
    color: str = "RGB"
    fit: str = "stretch"
    resize: str = "bilinear"
    pad: float = 0.0
    """Pixel value, 0 to 255, beside a letterboxed picture."""
    scale: float = 1.0
    """Real value = pixel * scale + offset, where no mean and std are given."""
    offset: float = 0.0
    mean: Optional[List[float]] = None
    """By channel: real value = (pixel - mean) / std."""
    std: Optional[List[float]] = None
    exif: bool = True
    """Whether the host turns a file as its EXIF orientation says."""
    white: int = 0
    """Number in a file of more than 8 bits that stands for the pixel 255; 0: none is declared."""


@dataclass(frozen=True)
class ArrayInput:
    """An input that takes real numbers as they are."""

    axes: Optional[List[int]] = None
    """Axes of the arrays that the model was trained with, without the batch, in the order of the
    input: [1, 2, 0] where they have channels first, and the input has them last. None: one order.
    """
    resized_from: Optional[List[int]] = None
    """Shape of those arrays, without the batch, where the host resizes them for a smaller input:
    by the mean over the covered area, in the order of the input's axes. None: one size."""


@dataclass(frozen=True)
class Output:
    """What an output means."""

    task: str = RAW
    activation: str = "none"
    """Applied to the real values of the output before they are scores."""
    top_k: int = 5
    threshold: float = 0.0
    """A class is answered when its score reaches this, 0 to 1."""
    labels: List[str] = field(default_factory=list)
    """Names of the classes by number; they stay on the host."""


Input = Union[ImageInput, ArrayInput]


@dataclass(frozen=True)
class ModelCard:
    """The inputs and outputs of a model by tensor name; what is not named is an array, or raw."""

    inputs: Mapping[str, Input] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    streaming: bool = False
    """Whether samples are the steps of one stream, in order, so that the model keeps its state."""

    def input(self, name: str) -> Input:
        """Return what an input takes."""
        return self.inputs.get(name, ArrayInput())

    def output(self, name: str) -> Output:
        """Return what an output means."""
        return self.outputs.get(name, Output())


def card_to_plain(card: ModelCard) -> Plain:
    """Turn a card into what `json.dumps` takes, without its labels."""
    inputs: Dict[str, Plain] = {}
    for name, entry in card.inputs.items():
        kind = IMAGE if isinstance(entry, ImageInput) else ARRAY
        values = {key: value for key, value in vars(entry).items() if value is not None}
        if "mean" in values:
            del values["scale"], values["offset"]
        inputs[name] = dict(values, kind=kind)
    outputs = {
        name: {key: value for key, value in vars(entry).items() if key != "labels"}
        for name, entry in card.outputs.items()
    }
    return {"schema": SCHEMA, "streaming": card.streaming, "inputs": inputs, "outputs": outputs}


def card_from_plain(plain: Any) -> ModelCard:
    """Check a declaration and read it.

    Raises:
        CardError: A key is unknown or missing, or a value is not of its type or range.
    """
    fields = _Fields(plain, ())
    schema = fields.whole("schema", 1, 1 << 30)
    if schema > SCHEMA:
        message = "is {}, this kedge reads up to {}: update kedge".format(schema, SCHEMA)
        raise CardError(("schema",), message)
    streaming = fields.truth("streaming", False)
    inputs = {name: _input(entry) for name, entry in fields.tables("inputs")}
    outputs = {name: _output(entry) for name, entry in fields.tables("outputs")}
    fields.end()
    return ModelCard(inputs, outputs, streaming)


def _input(fields: _Fields) -> Input:
    kind = fields.choice("kind", (IMAGE, ARRAY))
    if kind == ARRAY:
        array = ArrayInput(axes=fields.order("axes"), resized_from=fields.sizes("resized_from"))
        fields.end()
        return array
    values = ImageInput(
        height=fields.whole("height", 1, MOST_SIDE),
        width=fields.whole("width", 1, MOST_SIDE),
        layout=fields.choice("layout", LAYOUTS, "NHWC"),
        color=fields.choice("color", tuple(COLORS), "RGB"),
        fit=fields.choice("fit", FITS, "stretch"),
        resize=fields.choice("resize", RESIZES, "bilinear"),
        pad=fields.number("pad", 0.0, 0, 255),
        scale=fields.number("scale", 1.0),
        offset=fields.number("offset", 0.0),
        mean=fields.numbers("mean"),
        std=fields.numbers("std"),
        exif=fields.truth("exif", True),
        white=fields.whole("white", 0, 65535, 0),
    )
    fields.end()
    _check_numbers(values, fields)
    return values


def _check_numbers(values: ImageInput, fields: _Fields) -> None:
    channels = COLORS[values.color]
    if values.layout == "NHW" and channels != 1:
        raise CardError(fields.at("layout"), "NHW has no channels: expected color gray")
    if not values.scale:
        raise CardError(fields.at("scale"), "must not be 0: all pictures would be the same")
    if values.mean is None and values.std is None:
        return
    for name, given in (("mean", values.mean), ("std", values.std)):
        if given is None:
            other = "std" if name == "mean" else "mean"
            raise CardError(
                fields.at(other), "mean and std come together, {} is missing".format(name)
            )
        if len(given) != channels:
            message = "must have {} numbers, one a channel, found {}".format(channels, len(given))
            raise CardError(fields.at(name), message)
    if not all(values.std or ()):
        raise CardError(fields.at("std"), "must not be 0: it divides")
    for name in ("scale", "offset"):
        if fields.has(name):
            raise CardError(fields.at(name), "give scale and offset, or mean and std, not both")


def _output(fields: _Fields) -> Output:
    values = Output(
        task=fields.choice("task", TASKS),
        activation=fields.choice("activation", ACTIVATIONS, "none"),
        top_k=fields.whole("top_k", 1, MOST_TOP_K, 5),
        threshold=fields.number("threshold", 0.0, 0, 1),
        labels=fields.texts("labels"),
    )
    fields.end()
    return values


class _Fields:
    """Typed access to one table, which may hold nothing but what was asked for."""

    def __init__(self, plain: Any, where: Tuple[str, ...]) -> None:
        if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
            raise CardError(where, "must be a table of keys, found {}".format(_shown(plain)))
        self._plain = plain
        self._where = where
        self._asked: List[str] = []

    def at(self, name: str) -> Tuple[str, ...]:
        return self._where + (name,)

    def has(self, name: str) -> bool:
        return name in self._plain

    def end(self) -> None:
        """Refuse what nobody asked for."""
        for name in self._plain:
            if name not in self._asked:
                known = ", ".join(self._asked)
                raise CardError(self.at(name), "is unknown here; known are: {}".format(known))

    def tables(self, name: str) -> List[Tuple[str, _Fields]]:
        found = _Fields(self._take(name, {}), self.at(name))
        return [(key, _Fields(value, found.at(key))) for key, value in found._plain.items()]

    def choice(self, name: str, allowed: Sequence[str], default: Optional[str] = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or value not in allowed:
            self._refuse(name, "one of " + ", ".join(allowed), value)
        return str(value)

    def whole(self, name: str, least: int, most: int, default: Optional[int] = None) -> int:
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self._refuse(name, "a whole number from {} to {}".format(least, most), value)
        return int(value)

    def number(
        self, name: str, default: float, least: float = -math.inf, most: float = math.inf
    ) -> float:
        value = self._take(name, default)
        if not _is_number(value) or not least <= value <= most:
            limits = " from {:g} to {:g}".format(least, most) if most < math.inf else ""
            self._refuse(name, "a number" + limits, value)
        return float(value)

    def numbers(self, name: str) -> Optional[List[float]]:
        values = self._take(name, None, optional=True)
        if values is None:
            return None
        if not isinstance(values, list) or not all(_is_number(value) for value in values):
            self._refuse(name, "a list of numbers", values)
        return [float(value) for value in values]

    def order(self, name: str) -> Optional[List[int]]:
        values = self._take(name, None, optional=True)
        if values is None:
            return None
        is_order = (
            isinstance(values, list)
            and 0 < len(values) <= MOST_AXES
            and all(isinstance(value, int) and not isinstance(value, bool) for value in values)
            and sorted(values) == list(range(len(values)))
        )
        if not is_order:
            self._refuse(name, "a list of each axis once, from 0, such as [1, 2, 0]", values)
        return list(values)

    def sizes(self, name: str) -> Optional[List[int]]:
        values = self._take(name, None, optional=True)
        if values is None:
            return None
        are_sizes = (
            isinstance(values, list)
            and len(values) in (2, 3)
            and all(isinstance(value, int) and not isinstance(value, bool) for value in values)
            and all(1 <= value <= MOST_SIDE for value in values)
        )
        if not are_sizes:
            self._refuse(name, "a list of 2 or 3 sizes, such as [32, 32, 3]", values)
        return list(values)

    def truth(self, name: str, default: bool) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            self._refuse(name, "true or false", value)
        return bool(value)

    def texts(self, name: str) -> List[str]:
        values = self._take(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._refuse(name, "a list of texts", values)
        return list(values)

    def _take(self, name: str, default: Any, optional: bool = False) -> Any:
        self._asked.append(name)
        if name not in self._plain and default is None and not optional:
            there = ", ".join(self._plain) or "nothing"
            raise CardError(self._where, "{} is missing; there is {}".format(name, there)[:500])
        return self._plain.get(name, default)

    def _refuse(self, name: str, expected: str, found: Any) -> None:
        raise CardError(self.at(name), "must be {}, found {}".format(expected, _shown(found)))


def _is_number(value: Any) -> bool:
    """Whether it is a number that a board can compute with: float32 ends at 3.4e38."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 3e38


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
