"""Weight clustering by TensorFlow Model Optimization: each kernel keeps a few distinct values.

A compressed file gets smaller, because repeated values compress well. Inference gets no faster.
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
from converters.training.trainable import model_to_train
from converters.training.wrapped import RECURRENT_LAYERS, kernel_of, unwrap_layers, wrap_layers

#: Layers whose kernels are clustered. TFMOT too leaves depthwise kernels out: they lose too much.
_CLUSTERED = (
    tf_keras.layers.Conv1D,
    tf_keras.layers.Conv2D,
    tf_keras.layers.Dense,
    tf_keras.layers.Embedding,
    *RECURRENT_LAYERS,
)
_NOT_CLUSTERED = (
    tf_keras.layers.DepthwiseConv1D,
    tf_keras.layers.DepthwiseConv2D,
    tf_keras.layers.Conv1DTranspose,
    tf_keras.layers.Conv2DTranspose,
)
_HINT = "Use a recipe without the step cluster."
_NOT_FASTER = (
    "shared weights make the file smaller when it is compressed, not faster: its latency does not "
    "change, as TFLite stores and multiplies each of them as before"
)


def share_weights(draft: Draft, step: ClusterWeights, materials: Materials) -> Draft:
    """Give each kernel a few distinct values, and train these values.

    Args:
        draft: Float tf-keras model of plain layers.
        step: Number of distinct values, and settings of the training.
        materials: Samples with the split "train".

    Raises:
        ConversionError: No kernel has more weights than the step has values, or the model cannot be
            wrapped: a recipe without the step is needed.
    """
    model = _wrap_kernels(model_to_train(draft, None), step, materials)
    history = train_on(model, step, materials, "cluster")
    stripped = cluster.strip_clustering(model)
    facts = {"distinct_weights": _count_distinct(stripped), **history}
    return unwrap_layers(draft, stripped, materials, CLUSTERS, facts, _NOT_FASTER)


def _wrap_kernels(model: Any, step: ClusterWeights, materials: Materials) -> Any:
    names = {
        layer.name
        for layer in model.layers
        if _has_kernel(layer) and kernel_of(layer).size > step.clusters
    }
    if not names:
        raise ConversionError(
            f"{materials.source.path}: has no convolution and no Dense layer with more "
            f"than {step.clusters} weights",
            _HINT,
        )

    def wrap(layer: Any) -> Any:
        if layer.name not in names:
            return layer
        return cluster.cluster_weights(
            layer, step.clusters, cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS
        )

    # TFMOT chooses the first centroids at random.
    tf_keras.utils.set_random_seed(materials.seed)
    return wrap_layers(model, wrap, materials, "clustering")


def _has_kernel(layer: Any) -> bool:
    return isinstance(layer, _CLUSTERED) and not isinstance(layer, _NOT_CLUSTERED)


def _count_distinct(model: Any) -> dict[str, int]:
    """Name of each layer to the number of distinct values in its kernel."""
    return {
        layer.name: len(np.unique(kernel_of(layer))) for layer in model.layers if _has_kernel(layer)
    }
