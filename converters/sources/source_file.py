"""A model's file or folder, before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converters.sources.architecture import StoredLayer
from converters.sources.declared_shapes import DeclaredShapes

#: Kinds of model, by what wrote them.
TF_KERAS = "tf_keras"
KERAS_3 = "keras3"
SAVED_MODEL = "saved_model"
TFLITE = "tflite"
PT2 = "pt2"
TORCH_FUNCTION = "torch_function"
ONNX = "onnx"


@dataclass(frozen=True)
class SourceFile:
    """A model's file or folder, recognised by its content."""

    path: Path
    """File or folder."""
    kind: str
    """Kind of model, a key of `SOURCES`; a SavedModel of Keras layers alone is `TF_KERAS`."""
    layers: tuple[StoredLayer, ...] = ()
    """Layers that the file says it has; empty for a graph."""
    shapes: DeclaredShapes = DeclaredShapes()  # noqa: RUF009 - frozen
    """Shapes of inputs and outputs, as far as the file declares them."""
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes for inputs that an .onnx leaves open, a batch of one first, by the names that data
    knows them by; "" for a single input."""
