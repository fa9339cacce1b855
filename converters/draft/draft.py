"""A model on its way through a recipe, and what every step may draw on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.data.dataset import Samples
from converters.measure import LatencyUs
from converters.progress import Report
from converters.sources.load import LoadedModel

if TYPE_CHECKING:
    from converters.training.checkpoint import Checkpoint

#: Numbers that a file computes with or stores its weights in.
FLOAT32 = "float32"
F16 = "f16"
DYNAMIC = "dynamic"
W8A8 = "w8a8"
W8A16 = "w8a16"
WEIGHT_ONLY = "weight_only"
MIXED = "mixed"

#: What a later training has to keep of the weights.
ZEROS = "zeros"
CLUSTERS = "clusters"


@dataclass(frozen=True)
class Draft:
    """What the .tflite will be made of.

    Attributes:
        function: Concrete function of batch 1, its input named `model_source.INPUT_NAME`; None
            where the source is a .tflite.
        keras_model: The Keras object, which owns its variables; None for a graph, whose variables
            the source owns.
        numbers: What the file is to compute with, or store its weights in: `FLOAT32`, `F16`,
            `DYNAMIC`, `WEIGHT_ONLY`, `W8A8`, `W8A16` or `MIXED`.
        io: Type of the input and output of a `W8A8` or `MIXED` file.
        calibration: What the activations' ranges are measured on, or None where training has
            found them already.
        keep: What a later training has to keep: `ZEROS`, `CLUSTERS` or nothing.
        warnings: What the user should know; one sentence each.
        found: What the last step found out, as plain data for conversion.json.
        plain_model: Where `keras_model` rounds inside: a tf-keras model of the same weights that
            does not.
        content: The .tflite itself, once there is one: the source was one, or a step wrote it.
    """

    function: Any
    keras_model: Any
    numbers: str = FLOAT32
    io: str = "int8"
    calibration: Samples | None = None
    keep: str = ""
    warnings: tuple[str, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)
    plain_model: Any = None
    content: bytes | None = None


@dataclass(frozen=True)
class Materials:
    """What every step may draw on.

    Attributes:
        source: The model as it was given; never changed.
        samples: By use: "train", "validation", "calibration", "test"; only those that the recipe
            needs.
        seed: Decides every random choice.
        report: Where progress goes.
        latency_us: Measures .tflite files, all in turn; None where nobody measures. Its error is a
            ConversionError.
        checkpoint: Where the training of the step that is being done keeps its epochs, or None.
        logs: Folder for the figures of that training, for TensorBoard, or None.
        strategy: Of `tf.distribute`, where several devices train together; else None.
    """

    source: LoadedModel
    samples: Mapping[str, Samples]
    seed: int
    report: Report
    latency_us: LatencyUs | None = None
    checkpoint: Checkpoint | None = None
    logs: Path | None = None
    strategy: Any = None


#: One step of a recipe: takes a draft, returns the next.
Technique = Callable[[Draft, Any, Materials], Draft]
