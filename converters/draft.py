"""A model on its way through a recipe, and what every step may draw on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from converters.dataset import Samples
from converters.latency import LatencyUs
from converters.model_source import LoadedModel
from converters.progress import Report

#: Numbers that a file computes with or stores its weights in.
FLOAT32 = "float32"
F16 = "f16"
DYNAMIC = "dynamic"
W8A8 = "w8a8"
W8A16 = "w8a16"

#: What a later training has to keep of the weights.
ZEROS = "zeros"
CLUSTERS = "clusters"


@dataclass(frozen=True)
class Draft:
    """What the .tflite will be made of.

    Attributes:
        function: Concrete function of batch 1, its input named `model_source.INPUT_NAME`.
        keras_model: The Keras object, which owns its variables; None for a graph, whose variables
            the source owns.
        numbers: What the file is to compute with: `FLOAT32`, `F16`, `DYNAMIC`, `W8A8` or `W8A16`.
        io: Type of the input and output of a `W8A8` file.
        calibration: What the activations' ranges are measured on, or None where training has
            found them already.
        keep: What a later training has to keep: `ZEROS`, `CLUSTERS` or nothing.
        warnings: What the user should know; one sentence each.
        found: What the last step found out, as plain data for conversion.json.
    """

    function: Any
    keras_model: Any
    numbers: str = FLOAT32
    io: str = "int8"
    calibration: Samples | None = None
    keep: str = ""
    warnings: tuple[str, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)


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
    """

    source: LoadedModel
    samples: Mapping[str, Samples]
    seed: int
    report: Report
    latency_us: LatencyUs | None = None


#: One step of a recipe: takes a draft, returns the next.
Technique = Callable[[Draft, Any, Materials], Draft]
