"""Weight sharing, by TensorFlow Model Optimization: each kernel keeps a few distinct values.

The file gets smaller when it is compressed, as repeated values compress well; it does not get
faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras import cluster, cluster_config

from converters.draft.draft import CLUSTERS, Draft, Materials
from converters.errors import ConversionError
from converters.recipe.training_steps import ClusterWeights
from converters.training.automatic import train_on
from converters.training.wrapped import unwrapped, wrapped

#: Whose kernels are clustered; TFMOT leaves depthwise kernels out too, as too much would be lost.
_CLUSTERED = (tf_keras.layers.Conv1D, tf_keras.layers.Conv2D, tf_keras.layers.Dense)
_NOT_CLUSTERED = (
    tf_keras.layers.DepthwiseConv1D,
    tf_keras.layers.DepthwiseConv2D,
    tf_keras.layers.Conv1DTranspose,
    tf_keras.layers.Conv2DTranspose,
)
_HINT = "use a recipe without the step cluster"
_NOT_FASTER = (
    "shared weights make the file smaller when it is compressed, not faster: its latency does not "
    "change, as TFLite stores and multiplies each of them as before"
)


def share_weights(draft: Draft, step: ClusterWeights, materials: Materials) -> Draft:
    """Give each kernel a few distinct values, and train these on.

    Args:
        draft: A float tf-keras model of plain layers.
        step: How many values.
        materials: With the split "train".

    Raises:
        ConversionError: The model has no kernel of more weights than that, or cannot be wrapped.
    """
    model = _wrapped(draft.keras_model, step, materials)
    found = train_on(model, step, materials, "cluster")
    stripped = cluster.strip_clustering(model)
    told = {"distinct_weights": _distinct(stripped), **found}
    return unwrapped(draft, stripped, materials, CLUSTERS, told, _NOT_FASTER)


def _wrapped(model: Any, step: ClusterWeights, materials: Materials) -> Any:
    chosen = {
        layer.name
        for layer in model.layers
        if _has_kernel(layer) and np.asarray(layer.kernel).size > step.clusters
    }
    if not chosen:
        raise ConversionError(
            f"{materials.source.path}: has no convolution and no Dense layer with more "
            f"than {step.clusters} weights",
            _HINT,
        )

    def wrap(layer: Any) -> Any:
        if layer.name not in chosen:
            return layer
        return cluster.cluster_weights(
            layer, step.clusters, cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS
        )

    # The centroids are drawn at random.
    tf_keras.utils.set_random_seed(materials.seed)
    return wrapped(model, wrap, materials, "clustering")


def _has_kernel(layer: Any) -> bool:
    return isinstance(layer, _CLUSTERED) and not isinstance(layer, _NOT_CLUSTERED)


def _distinct(model: Any) -> dict[str, int]:
    """Of each layer the distinct values that its kernel has."""
    return {
        layer.name: len(np.unique(np.asarray(layer.kernel)))
        for layer in model.layers
        if _has_kernel(layer)
    }
