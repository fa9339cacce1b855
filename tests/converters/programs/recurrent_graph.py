"""Run as a program in a process of its own: recurrent layers in the graph, and trained, as JSON.

Argument: a folder for models and files. Standard output: JSON with a report of each case.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tf_keras
from sklearn.datasets import load_digits

from converters.data.dataset import CALIBRATION, TEST, TRAIN, VALIDATION, Samples
from converters.draft.draft import Materials
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.cost import macs
from converters.graph.keras.read import read_graph
from converters.graph.unroll import unroll_graph
from converters.judge.evaluate import answers_of_file
from converters.progress import ignore
from converters.prune_channels.channels import channels_of
from converters.prune_channels.cut import without_channels
from converters.recipe.number_steps import PtqDynamic, PtqW8A8
from converters.recipe.recipe import Recipe
from converters.recipe.training_steps import ClusterWeights, FineTune, QatW8A8, SparseWeights
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.work.maker import Maker
from converters.work.step_keys import StepKeys

#: Cases that Keras 2 makes too.
OLD = ("LSTM", "reset before", "hard", "both ways")
RECIPES = {
    "qat_w8a8": (QatW8A8(epochs=1),),
    "tune_ptq_dynamic": (FineTune(epochs=1), PtqDynamic()),
    "cluster_ptq_w8a8": (ClusterWeights(epochs=1, clusters=64), PtqW8A8()),
    "sparse": (SparseWeights(epochs=1, sparsity=0.2),),
}


def cases(layers: Any) -> dict[str, tuple[tuple[int, ...], list[Any]]]:
    """Name to the shape of the input and the layers."""
    rnn, sequences = layers.RNN, {"return_sequences": True}
    hard = {"recurrent_activation": "hard_sigmoid", "activation": "relu", "use_bias": False}
    backward = layers.LSTM(6, go_backwards=True, **sequences)
    image = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    return {
        "LSTM": ((4, 5), [layers.LSTM(6)]),
        "two LSTMs": ((4, 5), [layers.LSTM(6, **sequences), layers.LSTM(4)]),
        "backward": ((4, 5), [backward, layers.Flatten()]),
        "hard": ((4, 5), [layers.LSTM(6, **hard)]),
        "GRU": ((4, 5), [layers.GRU(6)]),
        "reset before": ((4, 5), [layers.GRU(6, reset_after=False, use_bias=False)]),
        "SimpleRNN": ((4, 5), [layers.SimpleRNN(6)]),
        "cell": ((4, 5), [rnn(layers.GRUCell(6))]),
        "one step": ((1, 5), [layers.LSTM(6, **sequences), layers.GRU(6)]),
        "both ways": ((4, 5), [layers.Bidirectional(layers.LSTM(6, **sequences))]),
        "mean": ((4, 5), [layers.Bidirectional(layers.GRU(6), merge_mode="ave")]),
        "norm": ((4, 5), [layers.BatchNormalization(), layers.GRU(6)]),
        "images": ((3, 6, 6, 3), [*map(layers.TimeDistributed, image), layers.LSTM(6)]),
        "series": ((6, 5), [layers.Conv1D(8, 3, activation="relu"), layers.LSTM(6)]),
    }


def main() -> None:
    """Report every case of both Keras, and what trains."""
    report: dict[str, Any] = {}
    for framework, names in ((keras, tuple(cases(keras.layers))), (tf_keras, OLD)):
        layers_of = cases(framework.layers)
        report |= {
            f"{framework.__name__} {name}": read(framework, *layers_of[name]) for name in names
        }
    report["refused"] = refusals()
    report["trained"] = train(Path(sys.argv[1]))
    print(json.dumps(report))  # noqa: T201


def read(framework: Any, shape: tuple[int, ...], inner: list[Any]) -> Any:
    """Relative differences of the graph and of the unrolled one, and one with fewer channels."""
    framework.utils.set_random_seed(0)
    model = framework.Sequential([framework.Input(shape), *inner])
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "seed" not in variable.name and "count" not in variable.name:
            variable.assign(np.abs(rng.normal(size=variable.shape)) * 0.5)
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    graph, expected = read_graph(model), np.asarray(model(x))
    answers = [np.asarray(build_model(one)(x)) for one in (graph, unroll_graph(graph))]
    channels = channels_of(graph)
    removed = {channel for group in channels.groups for channel in group[:2]}
    small = without_channels(graph, channels, removed)
    return {
        "differences": [
            float(np.abs(answer - expected).max() / np.abs(expected).max()) for answer in answers
        ],
        "macs": [macs(graph), macs(unroll_graph(graph)), macs(small)],
        "small": list(np.asarray(build_model(small)(x)).shape),
    }


def refusals() -> dict[str, str]:
    """Messages about layers that are no nodes."""
    layers, steps = keras.layers, keras.Input((4, 5))
    gru = layers.RNN([layers.GRUCell(4), layers.GRUCell(4)])
    states = layers.LSTM(4, return_state=True)
    messages = {}
    for name, output in (("two cells", gru(steps)), ("state", states(steps)[0])):
        try:
            read_graph(keras.Model(steps, output))
        except ConversionError as error:
            messages[name] = str(error)
    return messages


def train(folder: Path) -> dict[str, float]:
    """Accuracy of a trained model of digits, read as rows, and of its files by recipe."""
    data = load_digits()
    x = (data.images.reshape(-1, 4, 16) / 16).astype(np.float32)  # two rows a step
    y = data.target.astype(np.int64)
    parts = {TRAIN: slice(0, 900), VALIDATION: slice(900, 1300), TEST: slice(1300, None)}
    parts[CALIBRATION] = slice(0, 200)
    samples = {use: Samples(x[rows], y[rows]) for use, rows in parts.items()}
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    both = layers.Bidirectional(layers.LSTM(24, return_sequences=True))
    ends = layers.GlobalAveragePooling1D(), layers.Dense(10, activation="softmax")
    model = tf_keras.Sequential([layers.Input((4, 16)), both, *ends])
    model.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x[:900], y[:900], epochs=15, verbose=0)
    path = folder / "rows.keras"
    model.save(str(path))
    source, test = load_model(identify(path)), samples[TEST]
    right = {"model": source.predict(test.batch(slice(None))).argmax(axis=1)}
    for name, steps in RECIPES.items():
        file = path.with_suffix(f".{name}.tflite")
        keys = StepKeys("", "", "", 0, "", {})
        maker = Maker(Materials(source, samples, 0, ignore), keys, None, file)
        maker.make(Recipe(steps, ""))
        right[name] = answers_of_file(maker.model_file(), test, ignore).argmax(axis=1)
    return {name: float((classes == test.labels).mean()) for name, classes in right.items()}


if __name__ == "__main__":
    main()
