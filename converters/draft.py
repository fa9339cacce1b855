"""A model on its way through a recipe, and what every step may draw on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from converters.dataset import Samples
from converters.model_source import LoadedModel
from converters.progress import Report


@dataclass(frozen=True)
class Draft:
    """What the .tflite will be made of.

    Attributes:
        function: Concrete function of batch 1, its input named `model_source.INPUT_NAME`.
        keras_model: The Keras object, which owns its variables; None for a graph, whose variables
            the source owns.
        integer: Whether the file is to compute in int8, from its input to its output.
        calibration: What the activations' ranges are measured on, or None where training has
            found them already.
        warnings: What the user should know; one sentence each.
    """

    function: Any
    keras_model: Any
    integer: bool = False
    calibration: Samples | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Materials:
    """What every step may draw on.

    Attributes:
        source: The model as it was given; never changed.
        samples: By split: "train", "calibration", "test"; only those that the recipe needs.
        seed: Decides every random choice.
        report: Where progress goes.
    """

    source: LoadedModel
    samples: Mapping[str, Samples]
    seed: int
    report: Report


#: One step of a recipe: takes a draft, returns the next.
Technique = Callable[[Draft, Any, Materials], Draft]
