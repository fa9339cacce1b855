"""The step of a recipe that replaces the trained weights by random ones: the baseline of pruning.

A small network that was never large, trained for as long, is often as good as a pruned one (Liu et
al., "Rethinking the Value of Network Pruning", 2019). Only a comparison with it shows whether
pruning was worth it.
"""

from __future__ import annotations

from dataclasses import replace

import tf_keras

from converters.draft.draft import Draft, Materials
from converters.graph.constant_factors import is_constant_factor
from converters.graph.node import with_weights
from converters.recipe.shape_steps import StartOver
from converters.training.trainable import model_to_train, with_weights_of


def forget(draft: Draft, step: StartOver, materials: Materials) -> Draft:  # noqa: ARG001
    """Give every layer fresh random weights; its shape stays, and so do constants of functions.

    Args:
        draft: Float tf-keras model; it does not change.
        step: The step, which has no values.
        materials: Seed that decides the weights.
    """
    model = model_to_train(draft, None)
    tf_keras.utils.set_random_seed(materials.seed)
    fresh = with_weights_of(draft, tf_keras.models.clone_model(model))
    assert draft.graph is not None and fresh.graph is not None
    weights = draft.graph.weights
    constants = {
        node.weights: weights[node.weights]
        for node in draft.graph.nodes
        if node.weights and is_constant_factor(node, weights[node.weights])
    }
    return replace(fresh, graph=with_weights(fresh.graph, {**fresh.graph.weights, **constants}))
