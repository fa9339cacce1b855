"""What follows every replacement of layers: reconstruction, measurement, the draft to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.data.dataset import TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.trial_file import measure_before_and_after
from converters.graph.cost import macs, parameters
from converters.graph.node import Graph
from converters.prune_channels.reconstruct import reconstruct_layers
from converters.training.trainable import trainable_graph


def finish_replacement(
    draft: Draft, before: Graph, after: Graph, results: Mapping[str, Any], materials: Materials
) -> Draft:
    """Reconstruct the layers behind the replaced ones, and make the draft that trains.

    Args:
        draft: Draft before the step.
        before: Its folded graph.
        after: Graph with the replaced layers; a layer that stayed has its old name.
        results: Results of the step alone, as plain data for conversion.json.
        materials: Samples with the split "train".
    """
    channels = {node.name: np.arange(node.shape[-1]) for node in before.nodes}
    samples = materials.samples[TRAIN]
    new = reconstruct_layers(before, after, channels, samples, materials.seed, materials.report)
    return replace(
        draft,
        graph=trainable_graph(new, samples, materials),
        found={
            "macs": [macs(before), macs(new)],
            "parameters": [parameters(before), parameters(new)],
            "latency_us": measure_before_and_after(before, new, materials),
            **results,
        },
    )
