"""Run as a program in a process of its own: what becomes of each model of graph_cases.py.

python -m tests.converters.programs.graph_report REPORT_JSON DIGITS_NPZ keras2|keras3
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras

from converters.data.dataset import Samples
from converters.draft.draft import Draft, Materials
from converters.draft.emit import emit
from converters.draft.node_statistics import measure_node_moments
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.cost import macs, parameters
from converters.graph.keras.read import read_graph
from converters.graph.node import ADD, CONV_TRANSPOSE, DEPTHWISE, WEIGHTED, with_weights
from converters.graph.unfold import normalizable, unfold_graph
from converters.progress import ignore
from converters.prune_blocks.blocks import optional_blocks, without_block
from converters.prune_channels.channels import channels_of
from converters.prune_channels.choose import (
    GLOBAL,
    UNIFORM,
    WidthTarget,
    choose_widths,
    importance_losses,
)
from converters.prune_channels.cut import without_channels
from converters.prune_channels.importance import by_norm
from converters.prune_channels.ladder import Bounds, Sizes, ladder_of
from converters.prune_channels.reconstruct import reconstruct_layers
from converters.quantize import qat
from converters.recipe.step_kinds import QatW8A8
from converters.sources.inputs_outputs import ModelTensor
from converters.sources.model_function import batch_one_function
from converters.tensor_spec import dequantize, quantize
from converters.tflite.run import run_model
from tests.converters.programs.graph_cases import CASES, inputs_of, shaken

KERAS = {"keras2": tf_keras, "keras3": keras3}
#: What is trained with fake quantization; each takes a few seconds.
TRAINED = {
    "keras2": ("depthwise", "hard_swish", "shared"),
    "keras3": ("concat", "gates", "nested"),
}


def answers(model: Any, x: np.ndarray) -> Any:
    return np.asarray(model(x, training=False))


def masked(graph: Any, channels: Any, removed: Any) -> Any:
    """The graph with channels at zero, where they are made, instead of removed."""
    gone = np.array(sorted(removed))
    weights = dict(graph.weights)
    for node in graph.nodes:
        if node.op in WEIGHTED:
            off = np.isin(channels.of[node.name], gone)
            old = weights[node.weights]
            kernel, bias = old["kernel"].copy(), np.where(off, 0, old["bias"])
            if node.op == DEPTHWISE:
                kernel.reshape(*kernel.shape[:2], -1)[..., off] = 0
            elif node.op == CONV_TRANSPOSE:
                kernel[:, :, off] = 0
            else:
                kernel[..., off] = 0
            weights[node.weights] = {"kernel": kernel, "bias": bias}
    return with_weights(graph, weights)


def pruned(graph: Any, x: np.ndarray) -> Any:
    """Of both scopes: what pruning to half of the MACs does."""
    channels = channels_of(graph)
    found = {"groups": [len(group) for group in channels.groups]}
    for scope in (UNIFORM, GLOBAL):
        importance = by_norm(graph, channels, 2)
        ladder = ladder_of(channels, importance, Bounds(4, 4))
        lost = importance_losses(ladder, importance)
        choice = choose_widths(
            ladder, Sizes(graph, channels, ladder), lost, WidthTarget(0.5, scope=scope)
        )
        removed = ladder.channels_to_remove(choice.levels)
        small = without_channels(graph, channels, removed)
        before = answers(build_model(masked(graph, channels, removed)), x)
        after = answers(build_model(small), x)
        found[scope] = {
            "difference": float(np.abs(before - after).max()),
            "removed": len(removed),
            "macs_ratio": macs(small) / macs(graph),
            "parameters_ratio": parameters(small) / parameters(graph),
        }
    return found


def mended(graph: Any, x: np.ndarray) -> Any:
    """Errors of a graph with fewer channels, before and after the others make up for them."""
    channels = channels_of(graph)
    ladder = ladder_of(channels, by_norm(graph, channels, 2), Bounds(4, 4))
    removed = ladder.channels_to_remove([min(1, len(counts) - 1) for counts in ladder.counts])
    small = without_channels(graph, channels, removed)
    kept = {name: np.flatnonzero(~np.isin(of, list(removed))) for name, of in channels.of.items()}
    samples = Samples(x, np.arange(len(x)) % 4)
    better = reconstruct_layers(graph, small, kept, samples, 0, ignore)
    wanted = answers(build_model(graph), x)
    return [
        float(np.square(answers(build_model(one), x) - wanted).mean()) for one in (small, better)
    ]


def bypassed(graph: Any, x: np.ndarray) -> Any:
    """Of each block that an addition makes optional: what leaving it out changes, if it gives 0."""
    found = {}
    for block in optional_blocks(graph):
        node = graph.by_name()[block.name]
        branch = [name for name in node.inputs if name != block.stand_in]
        if node.op != ADD or graph.by_name()[branch[0]].op not in WEIGHTED:
            continue
        key = graph.by_name()[branch[0]].weights
        zeros = {name: np.zeros_like(array) for name, array in graph.weights[key].items()}
        silent = with_weights(graph, {**graph.weights, key: zeros})
        left = without_block(silent, block)
        before, after = answers(build_model(silent), x), answers(build_model(left), x)
        found[block.name] = {
            "difference": float(np.abs(before - after).max()),
            "macs": [macs(graph), macs(left), block.macs],
        }
    return found


def normalized(model: Any, graph: Any, x: np.ndarray) -> Any:
    """The model with BatchNormalization behind its convolutions, for training."""
    samples = Samples(x, np.arange(len(x)) % 4)
    moments = measure_node_moments(graph, normalizable(graph), samples, 0, ignore)
    made = build_model(unfold_graph(graph, moments))
    return {
        "difference": float(np.abs(answers(made, x) - answers(model, x)).max()),
        "norms": sum(isinstance(x, tf_keras.layers.BatchNormalization) for x in made.layers),
    }


def trained(name: str, model: Any, x: np.ndarray, folder: Path) -> Any:
    """What training with fake quantization makes of a model, and what the file answers."""
    scores = answers(model, x)
    probabilities = bool((scores >= 0).all() and (np.abs(scores.sum(axis=1) - 1) < 1e-3).all())
    ends = (ModelTensor("input", (8, 8, 3)),), (ModelTensor("output", scores.shape[1:]),)
    source = SimpleNamespace(
        content=None,
        path=Path(name),
        probabilities=probabilities,
        function_of=lambda call, graph: batch_one_function(call, *ends),
    )
    samples = Samples(np.tile(x, (4, 1, 1, 1)), np.tile(scores.argmax(axis=1), 4))
    materials = Materials(source, {"train": samples, "validation": samples}, 0, ignore)
    step = QatW8A8(epochs=1, learning_rate=1e-5, batch_size=32)
    checked, check_inside = [], qat.check_inside

    def check(simulated: Any, content: Any, origin: Any) -> None:
        checked.append(simulated)
        check_inside(simulated, content, origin)

    qat.check_inside = check
    try:
        draft = qat.train_quantized(Draft(source, read_graph(model)), step, materials)
    finally:
        qat.check_inside = check_inside
    file = emit(draft, folder / f"{name}.tflite", ignore)
    (spec,), (output,) = file.inputs, file.outputs
    rows = run_model(file.path, {spec.name: quantize(x, spec)})[output.name]
    steps = np.abs(dequantize(rows, output) - answers(checked[-1].model, x)) / output.scale
    kernels = [t for t in file.tensors if t.dtype == "int8" and t.is_constant and len(t.shape) == 4]
    return {
        "operators": [operator.name for operator in file.operators],
        "steps_apart": [float(steps.max()), float(steps.mean())],
        "agrees": float((rows.argmax(axis=1) == scores.argmax(axis=1)).mean()),
        "scales": [[list(t.shape), t.scales] for t in kernels],
    }


def message(keras: Any, layer: Any) -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layer(keras, inputs)
    try:
        read_graph(keras.Model(inputs, keras.layers.Flatten()(x)), "m.keras")
    except ConversionError as error:
        return [str(error), error.hint]
    return None


def refused() -> Any:
    """What a user is told about layers that have no place in the graph."""

    def keras_layer(kind: str, **how: Any) -> Any:
        return lambda keras, x: getattr(keras.layers, kind)(name="odd", **how)(x)

    made = {
        "normed": keras_layer("LayerNormalization", axis=1),
        "channels_first": keras_layer("GlobalMaxPooling2D", data_format="channels_first"),
        "mish": keras_layer("Conv2D", filters=4, kernel_size=3, activation="mish"),
        "axis": keras_layer("BatchNormalization", axis=1),
    }
    found = {name: message(tf_keras, layer) for name, layer in made.items()}
    found |= {f"{name}3": message(keras3, layer) for name, layer in made.items()}
    found["function"] = message(tf_keras, lambda _, x: tf.math.cumsum(x, axis=1))
    found["function3"] = message(keras3, lambda _, x: keras3.ops.cumsum(x, axis=1))
    found["reciprocal"] = message(tf_keras, lambda _, x: 1.0 / x)
    return found


def main() -> None:
    path, version = Path(sys.argv[1]), sys.argv[3]
    with np.load(sys.argv[2]) as data:
        x = inputs_of(data)
    report = {"qat": {}}
    for name, make in CASES.items():
        model = shaken(make(KERAS[version]))
        graph = read_graph(model)
        rebuilt = build_model(graph)
        found = {
            "difference": float(np.abs(answers(model, x) - answers(rebuilt, x)).max()),
            "ops": Counter(node.op for node in graph.nodes),
            "names": [layer.name for layer in rebuilt.layers],
            "macs": macs(graph),
            "parameters": parameters(graph),
        }
        # The graph is the same: once is enough.
        if version == "keras3":
            found["pruned"] = pruned(graph, x)
            found["mended"] = mended(graph, x)
            found["bypassed"] = bypassed(graph, x)
        else:
            found["unfolded"] = normalized(model, graph, x)
        if name in TRAINED[version]:
            report["qat"][name] = trained(name, model, x, path.parent)
        report[f"{version} {name}"] = found
    if version == "keras2":
        report["refused"] = refused()
    path.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
