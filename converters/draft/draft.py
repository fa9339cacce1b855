"""A model on its way through a recipe, and what every step may draw on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from converters.cache import CacheEntry
from converters.data.dataset import Samples
from converters.measure import Measure
from converters.progress import Report
from converters.sources.load import LoadedModel

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
    """What the .tflite will be made of."""

    function: Any
    """Concrete function of batch 1, its input named `INPUT_NAME` of `converters.data.names`; None
    where the source is a .tflite."""
    keras_model: Any
    """The Keras object, which owns its variables; None for a graph, whose variables the source
    owns."""
    numbers: str = FLOAT32
    """What the file is to compute with, or store its weights in: `FLOAT32`, `F16`, `DYNAMIC`,
    `WEIGHT_ONLY`, `W8A8`, `W8A16` or `MIXED`."""
    io: str = "int8"
    """Type of the input and output of a `W8A8` or `MIXED` file."""
    calibration: Samples | None = None
    """What the activations' ranges are measured on, or None where training has found them already.
    """
    keep: str = ""
    """What a later training has to keep: `ZEROS`, `CLUSTERS` or nothing."""
    warnings: tuple[str, ...] = ()
    """What the user should know; one sentence each."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What the last step found out, as plain data for conversion.json."""
    plain_model: Any = None
    """Where `keras_model` rounds inside: a tf-keras model of the same weights that does not."""
    content: bytes | None = None
    """The .tflite itself, once there is one: the source was one, or a step wrote it."""


@dataclass(frozen=True)
class Materials:
    """What every step may draw on."""

    source: LoadedModel
    """The model as it was given; never changed."""
    samples: Mapping[str, Samples]
    """By use: "train", "validation", "calibration", "test"; only those that the recipe needs."""
    seed: int
    """Decides every random choice."""
    report: Report
    """Where progress goes."""
    measure: Measure | None = None
    """Measures files; None where nobody does. Its error is a ConversionError."""
    checkpoint: CacheEntry | None = None
    """Where the training of the step that is being done keeps its epochs, or None."""
    logs: Path | None = None
    """Folder for the figures of that training, for TensorBoard, or None."""
    strategy: Any = None
    """Of `tf.distribute`, where several devices train together; else None."""


#: One step of a recipe: takes a draft, returns the next.
Technique = Callable[[Draft, Any, Materials], Draft]


def with_model(draft: Draft, model: Any, materials: Materials) -> Draft:
    """Return a draft with another Keras model."""
    function = materials.source.function_of(lambda x: model(x, training=False))
    return replace(draft, function=function, keras_model=model)
