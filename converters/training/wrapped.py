"""A model whose kernels TensorFlow Model Optimization changes during training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.draft.draft import Draft, Materials
from converters.errors import ConversionError
from converters.training.parallel import copy_model, from_strategy, scope
from converters.training.trainable import with_weights_of

#: Recurrent layers; each has two kernels.
RECURRENT_LAYERS = (tf_keras.layers.LSTM, tf_keras.layers.GRU, tf_keras.layers.SimpleRNN)


def kernel_of(layer: Any) -> npt.NDArray[np.float32]:
    """Values of a layer's kernel, or of the table of an Embedding, in the variable's shape.

    The recurrent kernel stands below the kernel of the inputs: (inputs + units, gates * units).
    """
    if isinstance(layer, RECURRENT_LAYERS):
        kernels = (layer.cell.kernel, layer.cell.recurrent_kernel)
        return np.concatenate([np.asarray(kernel) for kernel in kernels])
    is_table = isinstance(layer, tf_keras.layers.Embedding)
    return np.asarray(layer.embeddings if is_table else layer.kernel)


def wrap_layers(model: Any, wrap: Callable[[Any], Any], materials: Materials, purpose: str) -> Any:
    """Copy a model and wrap some of its layers.

    Args:
        model: tf-keras model; it does not change.
        wrap: Function of a layer to this layer, or to the one that replaces it.
        materials: Strategy that trains the copy.
        purpose: Purpose of the wrappers, for the message.

    Raises:
        ConversionError: A layer cannot be wrapped.
    """
    try:
        with scope(materials.strategy):
            # A copy, because wrapping connects the layers themselves to another graph.
            return tf_keras.models.clone_model(copy_model(model), clone_function=wrap)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConversionError(
            f"{materials.source.path}: cannot be wrapped for {purpose}: {first_line}",
            "Use a recipe without this step.",
        ) from error


def unwrap_layers(
    draft: Draft, model: Any, materials: Materials, keep: str, facts: dict[str, Any], note: str
) -> Draft:
    """Make the draft that a training with wrapped layers results in.

    Args:
        draft: Draft before the step.
        model: tf-keras model without its wrappers.
        materials: Strategy that trained the model.
        keep: Property that a later training has to preserve (`Draft.keep`).
        facts: Facts for conversion.json.
        note: Warning for the user.
    """
    result = with_weights_of(draft, from_strategy(model, materials.strategy))
    return replace(result, keep=keep, warnings=(*draft.warnings, note), found=facts)
