"""Run as a program in a process of its own: writes models that are hard to quantize into a folder.

python -m tests.converters.programs.quantize_cases FOLDER DIGITS_KERAS DIGITS_NPZ
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tf_keras

from converters.data.dataset import Samples
from converters.draft.draft import W8A8
from converters.draft.emit import convert_function
from converters.draft.node_statistics import measure_node_ranges
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.keras.read import read_graph
from converters.graph.node import with_weights
from converters.progress import ignore
from converters.quantize import qat
from converters.quantize.divergence import Difference, check_faithful, measure_difference
from converters.quantize.fake_quant import Wrapping, round_kernels
from converters.quantize.layer_differences import Simulation, own_differences
from converters.quantize.ranges import decide_rounding
from converters.request import ConversionRequest
from converters.sources.inputs_outputs import ModelTensor
from converters.sources.model_function import batch_one_function
from converters.work import pipeline

layers = tf_keras.layers


def trained(model: Any, data: Any, epochs: int) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], epochs=epochs, verbose=0)
    return model


def write_badly_scaled(folder: Path, digits: Path) -> None:
    """Channels of the first two layers that differ 10,000-fold in size; the answers do not."""
    model = tf_keras.models.load_model(digits, compile=False)
    random = np.random.default_rng(0)
    for norm, conv in (("batch_normalization", "conv2d_1"), ("batch_normalization_1", "conv2d_2")):
        gamma, beta, mean, variance = model.get_layer(norm).get_weights()
        factors = np.exp(random.uniform(-5, 5, gamma.shape))
        model.get_layer(norm).set_weights([gamma * factors, beta * factors, mean, variance])
        kernel, *bias = model.get_layer(conv).get_weights()
        model.get_layer(conv).set_weights([kernel / factors[:, None], *bias])
    model.save(folder / "badly_scaled.h5")


def write_one_bad_layer(folder: Path, data: Any) -> None:
    """A Dense layer whose first input is always 0, and was left a weight of 1,000."""
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    x = layers.Dense(48, activation="relu", name="ruined")(x)
    x = layers.Dense(32, activation="relu", name="fine")(x)
    model = tf_keras.Model(inputs, layers.Dense(10, activation="softmax", name="last")(x))
    model = trained(model, data, 15)
    kernel, bias = model.get_layer("ruined").get_weights()
    kernel[0] = 1000.0
    model.get_layer("ruined").set_weights([kernel, bias])
    model.save(folder / "one_bad_layer.h5")


def write_badly_scaled_depthwise(folder: Path, data: Any) -> None:
    """The same of a convolution, a depthwise one and a pointwise one."""
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="deep")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="point")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    model = tf_keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model = trained(model, data, 12)
    random = np.random.default_rng(0)
    out, between = (np.exp(random.uniform(-5, 5, 16)) for _ in range(2))
    kernels = {name: model.get_layer(name).get_weights() for name in ("first", "deep", "point")}
    (first, b1), (deep, b2), (point, b3) = kernels.values()
    model.get_layer("first").set_weights([first * out, b1 * out])
    model.get_layer("deep").set_weights([deep * (between / out)[:, None], b2 * between])
    model.get_layer("point").set_weights([point / between[:, None], b3])
    model.save(folder / "badly_scaled_depthwise.h5")


def write_heavy_tails(folder: Path) -> None:
    """Numbers of a Laplace distribution: of half a million the largest lie far from the others."""
    random = np.random.default_rng(0)
    x = random.laplace(0, 1, (1800, 1024)).astype(np.float32)
    y = (x @ random.normal(0, 1, (1024, 4))).argmax(axis=1)
    data = {"x_train": x[:1400], "y_train": y[:1400], "x_test": x[1400:], "y_test": y[1400:]}
    np.savez(folder / "heavy_tails.npz", **data)
    inputs = tf_keras.Input((1024,))
    model = tf_keras.Model(inputs, layers.Dense(4, name="only")(inputs))
    model.compile("adam", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data["x_train"], data["y_train"], epochs=8, verbose=0)
    model.save(folder / "heavy_tails.h5")


def write_sigmoid_concat(folder: Path, data: Any) -> None:
    inputs = tf_keras.Input((8, 8, 1))
    gate = layers.Conv2D(8, 3, padding="same", activation="sigmoid", name="gate")(inputs)
    plain = layers.Conv2D(8, 3, padding="same", activation="relu", name="plain")(inputs)
    x = layers.Flatten()(layers.Concatenate(name="both")([gate, plain]))
    model = tf_keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    trained(model, data, 8).save(folder / "sigmoid_concat.h5")


def report_faults(path: Path, digits: Path, data: Any) -> None:
    """What is said about a file whose ranges are those of training, and of others."""
    model = tf_keras.models.load_model(digits, compile=False)
    graph = read_graph(model)
    rounding = decide_rounding(graph, "digits")
    samples = Samples(data["x_train"], data["y_train"])
    bounds = measure_node_ranges(graph, rounding.learned_nodes, samples, 0, ignore)
    graph = with_weights(graph, round_kernels(graph))
    simulated = Simulation(
        graph, rounding, bounds, build_model(graph, Wrapping(rounding, bounds, {}))
    )
    test = Samples(data["x_test"], data["y_test"])
    found = {}
    ends = (ModelTensor("input", (8, 8, 1)),), (ModelTensor("output", (10,)),)
    for layer in ("", *rounding.learned_nodes[1:]):
        low, high = bounds.get(layer, (0, 0))
        other = {**bounds, layer: (low / 5, high / 5)} if layer else bounds
        built = build_model(graph, Wrapping(rounding, other, {}))
        function = batch_one_function(lambda x, m=built: m(x, training=False), *ends)
        content = convert_function(function, ignore, W8A8)
        apart = measure_difference(simulated, content, test, True, 0)
        try:
            check_faithful(apart, "digits.keras")
            said = ""
        except ConversionError as error:
            said = str(error)
        found[layer] = {"said": said, "farthest": max(apart.steps.values())}
    path.write_text(json.dumps(found))


def report_amplified_rounding(path: Path) -> None:
    """Report how files are judged one of whose layers enlarges the rounding of the layer before it.

    The layer is 2.5 steps from the simulation, and its few samples leave its accuracy undecided. A
    channel of "wide" is 300 times as large as the others, and has no part in the answer: a step
    of the whole tensor is a large number for the others. The first file is right; in the second,
    the range of "narrow" is a third of what it should be.
    """
    random = np.random.default_rng(0)
    inputs = tf_keras.Input((8,))
    wide = layers.Activation("swish")(layers.Dense(64, name="wide")(inputs))
    narrow = layers.Dense(10, name="narrow")(wide)
    model = tf_keras.Model(inputs, layers.Softmax()(narrow))
    before, behind = random.normal(0, 1, (8, 64)), random.normal(0, 1, (64, 10))
    before[:, 0] *= 300
    behind[0] = 0
    model.set_weights([before, np.zeros(64), behind, np.zeros(10)])
    x = random.normal(0, 1, (200, 8)).astype(np.float32)
    samples = Samples(x, model.predict(x, verbose=0).argmax(axis=1))
    graph = read_graph(model)
    rounding = decide_rounding(graph, "wide")
    bounds = measure_node_ranges(graph, rounding.learned_nodes, samples, 0, ignore)
    graph = with_weights(graph, round_kernels(graph))
    ends = (ModelTensor("input", (8,)),), (ModelTensor("output", (10,)),)
    reports = []
    for share in (1, 1 / 3):
        low, high = bounds["narrow"]
        other = {**bounds, "narrow": (low * share, high * share)}
        built = build_model(graph, Wrapping(rounding, other, {}))
        function = batch_one_function(lambda x, m=built: m(x, training=False), *ends)
        simulated = Simulation(
            graph, rounding, bounds, build_model(graph, Wrapping(rounding, bounds, {}))
        )
        content = convert_function(function, ignore, W8A8)
        own_steps = own_differences(simulated, content, x[:32], ["narrow"])
        steps, undecided = {"wide": 0.1, "narrow": 2.5}, (-0.02, 0.02)
        apart = Difference(143, undecided, 0.98, steps, own_steps=own_steps)
        reports.append({"own_steps": own_steps, "is_allowed": apart.is_allowed})
    path.write_text(json.dumps(reports))


def report_conversion_with_fault(folder: Path, digits: Path, npz: Path) -> Any:
    """What a whole conversion says when a range changes between training and writing."""
    recipe = folder / "short.toml"
    step = "epochs = 1\nlearning_rate = 1e-4\nbatch_size = 64\n"
    recipe.write_text(f'schema = 1\n[[step]]\nkind = "qat_w8a8"\n{step}')
    plain = qat.convert_function

    def with_fault(function: Any, *rest: Any) -> Any:
        names = ("re_lu_1_low:0", "re_lu_1_high:0")
        variables = [v for v in function.graph.variables if v.name in names]
        assert len(variables) == len(names)
        before = [variable.numpy() for variable in variables]
        for variable in variables:
            variable.assign(variable / 5)
        content = plain(function, *rest)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return content

    qat.convert_function = with_fault
    work = folder / "work"
    work.mkdir()
    request = ConversionRequest(Path(digits), Path(npz), str(recipe), folder / "out")
    try:
        pipeline.run_pipeline(request, work, ignore)
        said = ""
    except ConversionError as error:
        said = str(error)
    (folder / "fault.txt").write_text(said)


def main() -> None:
    folder = Path(sys.argv[1])
    tf_keras.utils.set_random_seed(1)
    with np.load(sys.argv[3]) as arrays:
        data = dict(arrays)
    write_badly_scaled(folder, sys.argv[2])
    write_badly_scaled_depthwise(folder, data)
    write_heavy_tails(folder)
    write_one_bad_layer(folder, data)
    write_sigmoid_concat(folder, data)
    report_faults(folder / "faults.json", sys.argv[2], data)
    report_amplified_rounding(folder / "amplified.json")
    report_conversion_with_fault(folder, sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
