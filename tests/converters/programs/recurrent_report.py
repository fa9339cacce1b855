"""Run as a program in a process of its own: recurrent models through recipes, accuracy as JSON.

Arguments: a folder for models and files. Standard output: a JSON line for each model, with the
accuracy of the model and, by recipe, that of the file or the refusal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tf_keras
from sklearn.datasets import load_digits

from converters.data.dataset import CALIBRATION, TEST, VALIDATION, Samples
from converters.draft.draft import Materials
from converters.errors import ConversionError
from converters.judge.evaluate import answers_of_file
from converters.progress import ignore
from converters.recipe.number_steps import PtqDynamic, PtqF16, PtqW8A8, PtqW8A16, PtqWeightOnly
from converters.recipe.recipe import Recipe
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.tflite.quantization import quantize_inputs
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from converters.work.maker import Maker
from converters.work.step_keys import StepKeys
from device_agent.contract.state import KEEP

RECIPES = (PtqW8A8(), PtqW8A16(), PtqDynamic(), PtqWeightOnly(), PtqF16())

#: Name of each model to the Keras that makes it, and its layers between the 8 rows and the classes.
MODELS: dict[str, tuple[Any, Callable[[Any], list[Any]]]] = {
    "LSTM, tf-keras": (tf_keras, lambda layers: [layers.LSTM(48)]),
    "Bidirectional LSTM, tf-keras": (
        tf_keras,
        lambda layers: [layers.Bidirectional(layers.LSTM(32))],
    ),
    "GRU, tf-keras": (tf_keras, lambda layers: [layers.GRU(48)]),
    "GRU, reset_after=False, tf-keras": (
        tf_keras,
        lambda layers: [layers.GRU(48, reset_after=False)],
    ),
    "LSTM": (keras, lambda layers: [layers.LSTM(48)]),
    "Bidirectional GRU": (keras, lambda layers: [layers.Bidirectional(layers.GRU(32))]),
}


def main() -> None:
    """Train each model, take it through the recipes, and report."""
    folder, data = Path(sys.argv[1]), load_digits()
    order = np.random.RandomState(0).permutation(len(data.target))
    x = (data.images / 16).astype(np.float32)[order]  # 8 steps of 8 numbers
    y = data.target[order].astype(np.int64)
    samples = {
        CALIBRATION: Samples(x[:200], y[:200]),
        VALIDATION: Samples(x[1000:1400], y[1000:1400]),
        TEST: Samples(x[1400:], y[1400:]),
    }
    for number, (name, (framework, layers)) in enumerate(MODELS.items()):
        framework.utils.set_random_seed(0)
        inner = layers(framework.layers)
        ends = framework.layers.Input((8, 8)), framework.layers.Dense(10, activation="softmax")
        model = framework.Sequential([ends[0], *inner, ends[1]])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x[:1400], y[:1400], epochs=8, verbose=0)
        path = folder / f"{number}{'.keras' if framework is keras else '.h5'}"
        model.save(str(path))
        print(json.dumps({"model": name, **_accuracies(path, samples)}), flush=True)  # noqa: T201
    for framework in (tf_keras, keras):
        framework.utils.set_random_seed(0)
        path = folder / f"stream{'.keras' if framework is keras else '.h5'}"
        _stateful(framework, x[:1400], y[:1400]).save(str(path))
        report = {"model": f"stream, {framework.__name__}", **_accuracies(path, samples)}
        report["agreement"] = _agreement(path, samples[TEST].batch(slice(0, 100)))
        print(json.dumps(report), flush=True)  # noqa: T201


def _stateful(framework: Any, x: Any, y: Any) -> Any:
    """A stateful LSTM, trained on streams of samples in batches, for a batch of one."""
    layers, models = framework.layers, []
    for batch in (20, 1):
        steps = layers.Input(shape=(8, 8), batch_size=batch)
        classes = layers.Dense(10, activation="softmax")(layers.LSTM(32, stateful=True)(steps))
        models.append(framework.Model(steps, classes))
    models[0].compile("adam", "sparse_categorical_crossentropy")
    models[0].fit(x, y, epochs=8, batch_size=20, shuffle=False, verbose=0)
    models[1].set_weights(models[0].get_weights())
    return models[1]


def _agreement(path: Path, samples: Any) -> float:
    """Share of the answers that int8 and float32 files agree on, the samples being one stream."""
    answers = []
    for kind in ("float32", "ptq_w8a8"):
        model = read_model(path.with_suffix(f".{kind}.tflite"))
        inputs = quantize_inputs(model.inputs, samples)
        outputs = run_model(model.path, inputs, reset=KEEP)
        answers.append(next(iter(outputs.values())).argmax(axis=1))
    return float((answers[0] == answers[1]).mean())


def _accuracies(path: Path, samples: dict[str, Samples]) -> dict[str, Any]:
    source, test = load_model(identify(path)), samples[TEST]
    right = (source.predict(test.batch(slice(None))).argmax(axis=1) == test.labels).mean()
    report: dict[str, Any] = {"accuracy": float(right)}
    for recipe in (Recipe((), ""), *(Recipe((step,), "") for step in RECIPES)):
        kind = recipe.steps[0].kind if recipe.steps else "float32"
        materials = Materials(source, samples, 0, ignore)
        keys = StepKeys("", "", "", 0, "", {})
        maker = Maker(materials, keys, None, path.with_suffix(f".{kind}.tflite"))
        try:
            maker.make(recipe)
            answers = answers_of_file(maker.model_file(), test, ignore)
            report[kind] = float((answers.argmax(axis=1) == test.labels).mean())
        except ConversionError as error:
            report[kind] = str(error)
    return report


if __name__ == "__main__":
    main()
