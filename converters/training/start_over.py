"""The step of a recipe that forgets what was learned: the baseline of every pruning.

A small network that was never large, trained as long, often does as well as a pruned one (Liu et
al., "Rethinking the Value of Network Pruning", 2019). Whether pruning paid can only be said beside
it.
"""

from __future__ import annotations

import tf_keras

from converters.draft.draft import Draft, Materials, with_model
from converters.recipe.shape_steps import StartOver


def forget(draft: Draft, step: StartOver, materials: Materials) -> Draft:  # noqa: ARG001
    """Give every layer fresh random weights; its shape stays.

    Args:
        draft: A float tf-keras model; not changed.
        step: Has no values.
        materials: With a seed, which decides the weights.
    """
    tf_keras.utils.set_random_seed(materials.seed)
    return with_model(draft, tf_keras.models.clone_model(draft.keras_model), materials)
