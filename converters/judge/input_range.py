"""Whether a model sees the numbers that it was trained on: its first normalization remembers them.

A BatchNormalization keeps mean and variance of what went through it in training. Data in another
range (0..1 in the place of 0..255) gives another variance, by orders of magnitude, whatever the
accuracy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import CALIBRATION, TEST, TRAIN, VALIDATION, Samples
from converters.data.fields import select_field, to_keras_inputs
from converters.data.split import balanced_choice
from converters.sources.inputs_outputs import field_names
from converters.sources.loaded_model import LoadedModel

#: So many samples tell a variance, and so many times off tells another range: augmentation and
#: statistics of a short training stay far below, 0..255 against 0..1 or -1..1 far above.
_SAMPLES, _TIMES = 128, 8.0
_GROUPS = 8
#: A channel that nothing went through in training.
_DEAD = 1e-12


def range_warnings(source: LoadedModel, samples: Mapping[str, Samples]) -> tuple[str, ...]:
    """Warn where the data is in another range than the model was trained on.

    Args:
        source: The model; one without Keras layers or normalization tells nothing.
        samples: Use to samples.
    """
    layer = _first_normalization(source.keras_model)
    if layer is None:
        return ()
    use = next(name for name in (TRAIN, CALIBRATION, VALIDATION, TEST) if name in samples)
    rows = balanced_choice(samples[use].labels, _SAMPLES, 0)
    batch = samples[use].batch(rows)
    values = np.asarray(
        _until(source.keras_model, layer)(to_keras_inputs(batch, field_names(source.inputs)))
    )
    times = times_off(values, np.asarray(layer.moving_variance))
    if 1 / _TIMES < times < _TIMES:
        return ()
    fields = [select_field(batch, name) for name in batch.dtype.names or ("",)]
    low, high = min(one.min() for one in fields), max(one.max() for one in fields)
    how = f"{times:.0f} times larger" if times > 1 else f"{1 / times:.0f} times smaller"
    return (
        f"what the normalization {layer.name!r} gets from this data is {how} than in training (the "
        f"data lies between {low:g} and {high:g}): was the model trained on another "
        "range? Choose --image-range for images, or scale the arrays as they were for training",
    )


def times_off(values: npt.NDArray[np.float32], variance: npt.NDArray[np.float32]) -> float:
    """Return how many times larger numbers are than in training: median over channels.

    Args:
        values: Numbers that reach a normalization, float32, shape (n, ..., channels).
        variance: Variance of each channel in training, float32, shape (channels,).

    Returns:
        Ratio of standard deviations; 1 where no channel was in use in training.
    """
    alive = variance > _DEAD
    if not alive.any():
        return 1.0
    # The median over groups: a broken sample is in one of them only.
    groups = np.array_split(values.astype(np.float64), min(_GROUPS, len(values)))
    variance_now = np.median([x.reshape(-1, x.shape[-1]).var(axis=0) for x in groups], axis=0)
    ratio = np.sqrt(np.maximum(variance_now[alive], _DEAD) / variance[alive])
    return float(np.median(ratio))


def _first_normalization(model: Any) -> Any:
    """The first BatchNormalization on the channels, if no model inside of the model comes first."""
    for layer in getattr(model, "layers", ()):
        if hasattr(layer, "layers"):
            return None
        if type(layer).__name__ == "BatchNormalization":
            axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)[0]
            is_last = axis in (-1, len(layer.input.shape) - 1)
            return layer if is_last and len(_calls(layer)) == 1 else None
    return None


def _calls(layer: Any) -> Any:
    """Return the calls of a layer; Keras 2 and 3 name the list differently."""
    nodes = getattr(layer, "inbound_nodes", None)
    return nodes if nodes is not None else layer._inbound_nodes  # noqa: SLF001


def _until(model: Any, layer: Any) -> Any:
    """Return a model of what goes into a layer."""
    if type(layer).__module__.startswith("keras."):
        import keras

        return keras.Model(model.inputs, layer.input)
    import tf_keras

    return tf_keras.Model(model.inputs, layer.input)
