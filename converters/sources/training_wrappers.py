"""Layers that TensorFlow Model Optimization puts around others in training. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from converters.sources.architecture import StoredLayer

_FLOAT_MODEL = (
    "Give the float model from before `quantize_model` or `quantize_annotate_model`: the recipe "
    "qat_w8a8 puts in the rounding and trains with it by itself."
)
#: Class of a wrapper to what its user can do.
_HINTS = {
    "PruneLowMagnitude": (
        "Save `tfmot.sparsity.keras.strip_pruning(model)` and convert that: its weights stay zero "
        "where they were pruned."
    ),
    "ClusterWeights": (
        "Save `tfmot.clustering.keras.strip_clustering(model)` and convert that: its weights keep "
        "their clusters."
    ),
    "QuantizeLayer": _FLOAT_MODEL,
    "QuantizeAnnotate": _FLOAT_MODEL,
    "QuantizeWrapper": _FLOAT_MODEL,
    "QuantizeWrapperV2": _FLOAT_MODEL,
}


def wrapper_hint(layers: Iterable[StoredLayer]) -> tuple[StoredLayer, str] | None:
    """Find the first wrapper of TensorFlow Model Optimization, and what to do about it.

    Args:
        layers: Everything that a file names.

    Returns:
        The wrapper and a hint; None where there is none.
    """
    for layer in layers:
        hint = _HINTS.get(layer.class_name.rpartition(">")[2])
        if hint is not None:
            return layer, hint
    return None
