"""A model on its way through a recipe, and the materials of every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from converters.cache import CacheEntry
from converters.data.dataset import Samples
from converters.data.resized_samples import resize_samples
from converters.graph.build import build_model
from converters.graph.keras.model import KerasModel
from converters.graph.node import Graph
from converters.graph.resized_input import resized_shape, without_resize
from converters.measure import Measure
from converters.progress import Report
from converters.sources.loaded_model import LoadedModel

#: Numbers that a file computes with or stores its weights in.
FLOAT32 = "float32"
F16 = "f16"
DYNAMIC = "dynamic"
W8A8 = "w8a8"
W8A16 = "w8a16"
WEIGHT_ONLY = "weight_only"
MIXED = "mixed"

#: Properties of the weights that a later training may have to keep.
ZEROS = "zeros"
CLUSTERS = "clusters"


@dataclass(frozen=True)
class Draft:
    """A model between two steps of a recipe, and the numbers that its .tflite is to have.

    The model itself is the immutable `graph`, and a Keras model is built of it only where something
    trains or is written. The one exception: `graph` is None in a recipe that does not train, where
    the source has a function or the content of a .tflite. The draft is then the source as it was
    loaded, which may have layers that the graph does not represent.
    """

    source: LoadedModel
    """Model that the conversion began with."""
    graph: Graph | None = None
    """Model as the last step left it; None where nothing trains and the source needs no graph."""
    numbers: str = FLOAT32
    """Numbers that the file computes with, or stores its weights in: `FLOAT32`, `F16`, `DYNAMIC`,
    `WEIGHT_ONLY`, `W8A8`, `W8A16` or `MIXED`."""
    io: str = "int8"
    """Type of the input and output of a `W8A8` or `MIXED` file."""
    calibration: Samples | None = None
    """Samples to measure the activations' ranges on; None where training has found the ranges."""
    keep: str = ""
    """Property of the weights that a later training has to keep: `ZEROS`, `CLUSTERS` or ""."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user, one sentence each."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """Results of the last step, as plain data for conversion.json."""
    content: bytes | None = None
    """The .tflite itself, once there is one: the source was one, or a step wrote it."""

    @cached_property
    def keras_model(self) -> KerasModel | None:
        """Keras model of the graph, or of the source; None for a source without Keras layers.

        It is not to be trained: that would part it from the graph.
        """
        return self.source.keras_model if self.graph is None else build_model(self.graph)

    @cached_property
    def function(self) -> Any:
        """Concrete function of a batch of one; None where the source is a .tflite."""
        if self.graph is None:
            return self.source.function
        model = self.keras_model
        assert model is not None
        return self.function_of(lambda x: model(x, training=False))

    @property
    def samples_shape(self) -> tuple[int, ...] | None:
        """Shape that samples are resized to, without the batch axis; None where they stay."""
        return None if self.graph is None else resized_shape(self.graph)

    def function_of(self, call: Callable[[Any], Any]) -> Any:
        """Make a concrete function, of a batch of one, of a model of the draft's inputs."""
        return self.source.function_of(call, self.graph)

    def for_file(self) -> Draft:
        """The draft as its file is to be: it takes samples that are resized already."""
        if self.graph is None or self.samples_shape is None:
            return self
        calibration = self.calibration
        if calibration is not None:
            calibration = resize_samples(calibration, self.samples_shape)
        return replace(self, graph=without_resize(self.graph), calibration=calibration)


@dataclass(frozen=True)
class Materials:
    """Everything that a step may draw on besides the draft."""

    source: LoadedModel
    """Model that the conversion began with; never changed."""
    samples: Mapping[str, Samples]
    """Samples by use: "train", "validation", "calibration", "test"; only those that the recipe
    needs."""
    seed: int
    """Seed of every random choice."""
    report: Report
    """Function that gets the progress."""
    measure: Measure | None = None
    """Function that measures files; None where nothing measures. Its error is a ConversionError."""
    checkpoint: CacheEntry | None = None
    """Place where the training of the current step keeps its epochs, or None."""
    logs: Path | None = None
    """Folder for the figures of that training, for TensorBoard, or None."""
    strategy: Any = None
    """Strategy of `tf.distribute`, where several devices train together; else None."""
    make_draft: Callable[[Any], tuple[Draft, float | None]] | None = None
    """Function that takes the original model through one `Step` that trains, and returns the draft
    and the accuracy lost on the validation samples (`StepRecord.validation_drop`). The work is done
    once, where there is a cache. None where no conversion is under way."""

    def for_file(self, shape: tuple[int, ...] | None) -> Materials:
        """Materials whose samples have the shape that a file takes; None leaves them as they are.

        Args:
            shape: Shape of a sample without the batch axis.
        """
        samples = {use: resize_samples(own, shape) for use, own in self.samples.items()}
        return replace(self, samples=samples)


#: One step of a recipe: takes a draft, returns the next.
Technique = Callable[[Draft, Any, Materials], Draft]
