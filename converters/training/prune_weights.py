"""Magnitude pruning of weights, by TensorFlow Model Optimization.

The smallest weights of each kernel become zero while the others are trained on. The zeros make the
file smaller when it is compressed; they do not make it faster, as the integer kernels of TFLite
multiply by zero like by any other number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras import prune, pruning_callbacks
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule as schedules

from converters.data.dataset import TRAIN
from converters.draft.draft import ZEROS, Draft, Materials
from converters.errors import ConversionError
from converters.recipe.step import AUTO
from converters.recipe.training_steps import BLOCKS, SINGLE, TWO_OF_FOUR, SparseWeights
from converters.training.automatic import train_on
from converters.training.parallel import replicas, steps_an_epoch
from converters.training.wrapped import unwrapped, wrapped

#: Whose kernels are pruned; the few weights of a depthwise kernel matter too much (TFMOT prunes
#: none of them either).
_PRUNED = (
    tf_keras.layers.Conv1D,
    tf_keras.layers.Conv2D,
    tf_keras.layers.Conv2DTranspose,
    tf_keras.layers.Dense,
)
_NOT_PRUNED = (tf_keras.layers.DepthwiseConv2D, tf_keras.layers.DepthwiseConv1D)

#: The zeros are there after this share of the steps; the rest is for recovering.
_GROWN_AFTER = 0.5
#: Of a training that goes on for as long as it helps, the schedule takes so many epochs for all.
_SCHEDULED_EPOCHS = 8
#: How often new zeros are chosen: TFMOT's own default, or more often in a short training.
_EVERY = 100
_LEAST_CHOICES = 20
#: With one threshold for all layers none is emptied.
_MOST_OF_A_LAYER = 0.98

_HINT = "use a recipe without the step sparse"
_NOT_FASTER = (
    "zero weights make the file smaller when it is compressed, not faster: its latency does not "
    "change, as TFLite's integer kernels multiply by zero as by any other number"
)


def prune_weights(draft: Draft, step: SparseWeights, materials: Materials) -> Draft:
    """Make most weights zero, and train the others on.

    Args:
        draft: A float tf-keras model of plain layers.
        step: How many, in which pattern and how fast.
        materials: With the split "train".

    Raises:
        ConversionError: The model has no layer to prune, or cannot be wrapped.
    """
    epochs = _SCHEDULED_EPOCHS if step.epochs == AUTO else int(step.epochs)
    steps = epochs * steps_an_epoch(
        len(materials.samples[TRAIN]), step.batch_size, replicas(materials.strategy)
    )
    grown = round(epochs * _GROWN_AFTER) if step.schedule == "polynomial" else 0
    model = _wrapped(draft.keras_model, step, steps, materials)
    found = train_on(
        model,
        step,
        materials,
        "prune",
        callbacks=[pruning_callbacks.UpdatePruningStep()],
        first_epoch=grown,
    )
    stripped = prune.strip_pruning(model)
    told = {"zeros": _zeros(stripped, step), **found}
    return unwrapped(draft, stripped, materials, ZEROS, told, _NOT_FASTER)


def _wrapped(model: Any, step: SparseWeights, steps: int, materials: Materials) -> Any:
    kernels = {
        layer.name: np.asarray(layer.kernel) for layer in model.layers if _is_pruned(layer, step)
    }
    if not kernels:
        what = "Dense layer" if step.pattern in BLOCKS else "convolution and no Dense layer"
        raise ConversionError(
            f"{materials.source.path}: has no {what} to prune with the pattern {step.pattern}",
            _HINT,
        )
    shares = _shares(kernels, step)

    def wrap(layer: Any) -> Any:
        if layer.name not in shares:
            return layer
        return prune.prune_low_magnitude(layer, **_parameters(step, shares[layer.name], steps))

    return wrapped(model, wrap, materials, "pruning")


def _parameters(step: SparseWeights, share: float, steps: int) -> dict[str, Any]:
    """What TFMOT calls the fields of a step."""
    every = max(1, min(_EVERY, steps // _LEAST_CHOICES))
    schedule: Any = schedules.ConstantSparsity(share, begin_step=0, frequency=every)
    if step.schedule == "polynomial":
        # Zhu and Gupta, "To prune, or not to prune" (2017): the cubic schedule.
        end = max(every, round(steps * _GROWN_AFTER))
        schedule = schedules.PolynomialDecay(0.0, share, 0, end, power=3, frequency=every)
    parameters: dict[str, Any] = {"pruning_schedule": schedule}
    if step.pattern == TWO_OF_FOUR:
        parameters["sparsity_m_by_n"] = (2, 4)
    elif step.pattern != SINGLE:
        rows, columns = step.pattern.split("x")
        parameters["block_size"] = (int(rows), int(columns))
    return parameters


def _shares(kernels: dict[str, npt.NDArray[Any]], step: SparseWeights) -> dict[str, float]:
    """Of each layer the share of zeros at the end, 0-1."""
    if step.scope == "layer":
        return dict.fromkeys(kernels, step.sparsity)
    # Divided by the size that random kernels of the layer would have: else the layers with many
    # inputs, whose weights are smaller, would lose nearly all.
    sizes = {name: np.abs(kernel) / kernel.std() for name, kernel in kernels.items()}
    threshold = np.quantile(np.concatenate([s.ravel() for s in sizes.values()]), step.sparsity)
    return {
        name: min(_MOST_OF_A_LAYER, float((size <= threshold).mean()))
        for name, size in sizes.items()
    }


def _is_pruned(layer: Any, step: SparseWeights) -> bool:
    if step.pattern in BLOCKS:  # TFMOT makes blocks in matrices only
        return isinstance(layer, tf_keras.layers.Dense)
    return isinstance(layer, _PRUNED) and not isinstance(layer, _NOT_PRUNED)


def _zeros(model: Any, step: SparseWeights) -> dict[str, float]:
    """Of each pruned layer the share of zeros that it has, 0-1."""
    return {
        layer.name: round(float((np.asarray(layer.kernel) == 0).mean()), 4)
        for layer in model.layers
        if _is_pruned(layer, step)
    }
