"""Magnitude pruning of weights, by TensorFlow Model Optimization.

The smallest weights of each kernel become zero while training continues for the others. The zeros
make a compressed file smaller. They do not make inference faster, because the integer kernels of
TFLite multiply by zero like by any other number.
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
from converters.training.trainable import model_to_train
from converters.training.wrapped import RECURRENT_LAYERS, kernel_of, unwrap_layers, wrap_layers

#: Layers whose kernels are pruned. The few weights of a depthwise kernel matter too much; TFMOT
#: does not prune them either.
_PRUNED = (
    tf_keras.layers.Conv1D,
    tf_keras.layers.Conv2D,
    tf_keras.layers.Conv2DTranspose,
    tf_keras.layers.Dense,
    tf_keras.layers.Embedding,
    *RECURRENT_LAYERS,
)
_NOT_PRUNED = (tf_keras.layers.DepthwiseConv2D, tf_keras.layers.DepthwiseConv1D)

#: Share of the steps after which all zeros exist; in the rest the other weights recover.
_GROWN_AFTER = 0.5
#: Number of epochs that the schedule counts on if the step leaves the epochs open.
_SCHEDULED_EPOCHS = 8
#: Number of steps between two choices of zeros: TFMOT's default; fewer in a short training, which
#: has at least `_LEAST_CHOICES` choices.
_EVERY = 100
_LEAST_CHOICES = 20
#: Largest share of zeros in a layer, so that one threshold for all layers empties none.
_MOST_OF_A_LAYER = 0.98

_HINT = "Use a recipe without the step sparse."
_NOT_FASTER = (
    "zero weights make the file smaller when it is compressed, not faster: its latency does not "
    "change, as TFLite's integer kernels multiply by zero as by any other number"
)


def prune_weights(draft: Draft, step: SparseWeights, materials: Materials) -> Draft:
    """Make most weights zero, and continue the training of the others.

    Args:
        draft: Float tf-keras model of plain layers.
        step: Share and pattern of the zeros, and settings of the training.
        materials: Samples with the split "train".

    Raises:
        ConversionError: The model has no layer to prune, or cannot be wrapped: a recipe without the
            step is needed.
    """
    epochs = _SCHEDULED_EPOCHS if step.epochs == AUTO else int(step.epochs)
    steps = epochs * steps_an_epoch(
        len(materials.samples[TRAIN]), step.batch_size, replicas(materials.strategy)
    )
    grown = round(epochs * _GROWN_AFTER) if step.schedule == "polynomial" else 0
    model = _wrap_kernels(model_to_train(draft, None), step, steps, materials)
    history = train_on(
        model,
        step,
        materials,
        "prune",
        callbacks=[pruning_callbacks.UpdatePruningStep()],
        first_epoch=grown,
    )
    stripped = prune.strip_pruning(model)
    facts = {"zeros": _zeros(stripped, step), **history}
    return unwrap_layers(draft, stripped, materials, ZEROS, facts, _NOT_FASTER)


def _wrap_kernels(model: Any, step: SparseWeights, steps: int, materials: Materials) -> Any:
    kernels = {layer.name: kernel_of(layer) for layer in model.layers if _is_pruned(layer, step)}
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

    return wrap_layers(model, wrap, materials, "pruning")


def _parameters(step: SparseWeights, share: float, steps: int) -> dict[str, Any]:
    """Parameters of TFMOT for a step."""
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
    """Name of each layer to its share of zeros at the end, 0-1."""
    if step.scope == "layer":
        return dict.fromkeys(kernels, step.sparsity)
    # Weights are divided by the standard deviation of their kernel. Otherwise layers with many
    # inputs, whose weights are smaller, would lose nearly all weights.
    sizes = {name: np.abs(kernel) / kernel.std() for name, kernel in kernels.items()}
    threshold = np.quantile(np.concatenate([s.ravel() for s in sizes.values()]), step.sparsity)
    return {
        name: min(_MOST_OF_A_LAYER, float((size <= threshold).mean()))
        for name, size in sizes.items()
    }


def _is_pruned(layer: Any, step: SparseWeights) -> bool:
    if step.pattern in BLOCKS:  # TFMOT prunes blocks of matrices only.
        return isinstance(layer, tf_keras.layers.Dense)
    return isinstance(layer, _PRUNED) and not isinstance(layer, _NOT_PRUNED)


def _zeros(model: Any, step: SparseWeights) -> dict[str, float]:
    """Name of each pruned layer to its share of zeros, 0-1."""
    return {
        layer.name: round(float((kernel_of(layer) == 0).mean()), 4)
        for layer in model.layers
        if _is_pruned(layer, step)
    }
