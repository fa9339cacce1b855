"""Comparison of the file with the model that was trained with fake quantization.

The trained model is a simulation of the file. Where the two diverge, the file does not have the
accuracy that training reached, and the message has to name the layer in which it begins.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras
from ai_edge_litert.schema_py_generated import ActivationFunctionType

from converters.data.dataset import VALIDATION, Samples
from converters.data.fields import from_keras_outputs, to_keras_inputs
from converters.data.split import balanced_choice
from converters.data.task import MSE
from converters.errors import ConversionError
from converters.graph.node import ACTIVATION, CAST, Graph
from converters.judge.evaluate import ModelAnswers
from converters.judge.metric import ScoredAnswers, drop_of
from converters.judge.paired import paired_interval
from converters.quantize.ranges import Rounding
from converters.sources.inputs_outputs import Probabilities
from converters.tensor_spec import dequantize
from converters.tflite.quantization import dequantize_outputs, quantize_inputs
from converters.tflite.reader import read_model
from converters.tflite.run import run_inside, run_model
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]
Bounds = Mapping[str, tuple[float, float]]

#: Largest accepted difference in accuracy between the file and the trained model, 0-1. For tasks
#: other than classification: largest accepted difference as a share of the mean squared error.
ALLOWED, ALLOWED_ERROR = 0.005, 0.05
#: Number of samples for the comparison, and number of those that are compared layer by layer.
_SAMPLES, _INSIDE = 2000, 32
#: A layer diverges if the root mean square of its difference, in steps of its rounding, is larger
#: than `_FAR_STEPS` and than `_TIMES` the one of every layer before it, which counts as at least
#: `_ROUNDING_STEPS`. Kernels and floats round some numbers to different neighbours, and this adds
#: up with depth: ResNet-8 has 0.04 steps at first, 0.6 before its Dense layer and 2.1 after it. A
#: range that was cut to a third gave 3 to 7 steps in its own layer.
_FAR_STEPS, _TIMES, _ROUNDING_STEPS = 2.0, 8.0, 0.25
_STEPS = 255
#: Difference, in steps, from which on a layer has the difference of a layer before it. A layer that
#: diverges while everything behind it agrees was compared with numbers that are not its own.
_PASSED_ON_STEPS = 1.0
#: Prefix that `converters.quantize.fake_quant.Wrapping` adds to the name of a node.
_PREFIX = "rounded_"


@dataclass(frozen=True)
class Simulation:
    """A model that rounds where the file should round."""

    graph: Graph
    """Graph of the model."""
    rounding: Rounding
    """Nodes whose output is rounded."""
    bounds: Bounds
    """Name of each node that owns a range to its lowest and highest number."""
    model: Any
    """tf-keras model of the graph, with wrapped layers."""


@dataclass(frozen=True)
class Difference:
    """Difference between the file and the simulation."""

    samples: int
    """Number of samples of the comparison."""
    interval: tuple[float, float]
    """95 % interval of the file's accuracy minus the simulation's, paired. For tasks other than
    classification: that of the mean squared error, as a share of the simulation's."""
    agreed: float
    """Share of the samples with the same class, 0-1. For tasks other than classification: share of
    the numbers that differ by no more than a step of the output."""
    steps: Mapping[str, float]
    """Name of each layer whose range was learned, in order, to the root mean square of the
    difference of its output, in steps of its rounding."""
    allowed: float = ALLOWED
    """Largest accepted distance of an end of the interval from 0."""
    readers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of each layer in `steps` to the next layers in `steps` that take its numbers."""

    @property
    def farthest(self) -> float:
        """Distance of the farther end of the interval from 0, as a share of `allowed`."""
        low, high = self.interval
        return max(-low, high) / self.allowed

    @property
    def is_allowed(self) -> bool:
        """Whether the file is accepted as the trained model.

        Enough samples show that the difference is within `allowed`, or that it is not. If they show
        neither, the layers decide: none may diverge from the simulation.
        """
        low, high = self.interval
        if self.farthest <= 1:
            return True
        return low <= self.allowed and high >= -self.allowed and not self._parting()

    @property
    def first(self) -> str:
        """First layer that diverges from the simulation; else the one with the most steps."""
        return next(iter(self._parting()), max(self.steps, key=lambda n: self.steps[n], default=""))

    def _is_passed_on(self, name: str) -> bool:
        behind = self.readers.get(name, ())
        return not behind or any(self.steps[other] > _PASSED_ON_STEPS for other in behind)

    def _parting(self) -> list[str]:
        """Layers that diverge, and whose difference a layer behind them has, too."""
        layers, before = [], _ROUNDING_STEPS
        for name, steps in self.steps.items():
            if steps > max(_FAR_STEPS, _TIMES * before) and self._is_passed_on(name):
                layers.append(name)
            before = max(before, steps)
        return layers


def measure_difference(
    simulation: Simulation,
    content: bytes,
    samples: Samples,
    probabilities: Probabilities,
    seed: int,
) -> Difference:
    """Compare the simulation and the file on the same samples.

    If there are several outputs, the one that differs most counts.

    Args:
        simulation: The trained model.
        content: The .tflite that was made from it.
        samples: Samples with labels or right answers.
        probabilities: Whether a classifier's scores are probabilities, not logits.
        seed: Seed that decides which samples are used.

    Raises:
        ConversionError: The runtime cannot run the file.
    """
    rows = balanced_choice(samples.labels, _SAMPLES, seed)
    judged = samples.subset(rows)
    batch, names = judged.batch(slice(None)), judged.task.names
    expected = from_keras_outputs(
        simulation.model.predict(to_keras_inputs(batch), verbose=0), names
    )
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        model = read_model(path)
        answers = run_model(path, quantize_inputs(model.inputs, batch), reset=model.reset)
    steps = layer_differences(simulation, content, batch[:_INSIDE])
    file_answers = dequantize_outputs(model.outputs, answers, names)
    trained = ModelAnswers(judged, expected, probabilities).of_outputs()
    file = ModelAnswers(judged, file_answers, probabilities).of_outputs()
    readers = _next_readers(simulation.graph, steps)
    differences = [
        replace(
            _output_difference(trained[name], file[name], steps, output.scale or 0.0),
            readers=readers,
        )
        for output in model.outputs
        for name in (output.name if names else "",)
    ]
    return max(differences, key=lambda difference: (not difference.is_allowed, difference.farthest))


def _next_readers(graph: Graph, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Name of each of these nodes to the nearest of them that take its output."""
    consumers = graph.consumers()

    def behind(name: str) -> Iterator[str]:
        for node in consumers[name]:
            if node.name in names:
                yield node.name
            else:
                yield from behind(node.name)

    return {name: tuple(dict.fromkeys(behind(name))) for name in names}


def _output_difference(
    trained: ModelAnswers, file: ModelAnswers, steps: Mapping[str, float], step: float
) -> Difference:
    """Difference of one output; `step` is the smallest distance of two of its numbers."""
    samples = trained.samples
    count, labels = len(samples), samples.labels
    if not samples.task.is_classification:
        near = np.abs(file.answers - trained.answers) <= 1.01 * step
        interval = _error_interval(samples, trained.answers, file.answers)
        return Difference(count, interval, float(near.mean()), steps, ALLOWED_ERROR)
    return Difference(
        count,
        paired_interval(trained.classes == labels, file.classes == labels),
        float((trained.classes == file.classes).mean()),
        steps,
    )


def _error_interval(samples: Samples, trained: Array, file: Array) -> tuple[float, float]:
    """95 % interval of the file's mean squared error beyond the simulation's, as a share of it."""
    task = replace(samples.task, metric=MSE, higher_is_better=False)
    right = samples.right_answers(slice(None))
    of_both = (ScoredAnswers(task, right, answers, samples.labels) for answers in (trained, file))
    return drop_of(VALIDATION, *of_both).interval


def check_faithful(difference: Difference, origin: str) -> None:
    """Refuse a file that differs from the trained model.

    Raises:
        ConversionError: The difference is not accepted; the message names the first layer that
            diverges.
    """
    if difference.is_allowed:
        return
    low, high = difference.interval
    raise ConversionError(
        f"{origin}: the .tflite does not answer as the model that was trained: on "
        f"{difference.samples} samples its accuracy (or error) differs by {low:+.2%} to "
        f"{high:+.2%}, {difference.allowed:.1%} is allowed; the first layer that diverges is "
        f"{difference.first!r}, by {difference.steps.get(difference.first, 0):.1f} steps of its "
        "rounding",
        "Report the model; until then use the recipe ptq_w8a8",
    )


def check_inside(simulation: Simulation, content: bytes, origin: str) -> None:
    """Refuse a file that converts numbers inside: a layer is rounded where no kernel rounds.

    Raises:
        ConversionError: There is such a conversion; the message names its tensor.
    """
    file = UnpackedModel(content)
    conversions = [
        file.name(int(op.outputs[0]))
        for op in file.operators
        if file.op(op) in ("QUANTIZE", "DEQUANTIZE")
    ]
    # Behind a CAST of whole numbers, a QUANTIZE brings its floats to 8 bits.
    casts = sum(node.op == CAST for node in simulation.graph.nodes)
    if len(conversions) > len(simulation.rounding.rounded_twice) + casts:
        raise ConversionError(
            f"{origin}: the .tflite has {len(conversions)} QUANTIZE or DEQUANTIZE inside, the "
            f"first gives {conversions[0]!r}: a layer is rounded where its kernel does not round",
            "Report the model; until then use the recipe ptq_w8a8",
        )


def layer_differences(simulation: Simulation, content: bytes, batch: Array) -> dict[str, float]:
    """Measure the difference of each layer that the simulation and the file both have, in order.

    Args:
        simulation: The trained model.
        content: The .tflite.
        batch: Samples, float32, shape (n, ...); for several inputs shape (n,), a field for each.

    Returns:
        Name of the layer to the root mean square of the difference, in steps of its rounding.
    """
    file = UnpackedModel(content)
    tensors = _tensors(simulation, file)
    layers = {name: simulation.model.get_layer(_PREFIX + name) for name in tensors}
    fixed = simulation.rounding.fixed
    single = [n for n, layer in layers.items() if len(layer.inbound_nodes) == 1 and n not in fixed]
    if not single:
        return {}
    inside = tf_keras.Model(simulation.model.inputs, [layers[name].output for name in single])
    expected = inside.predict(to_keras_inputs(batch), verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    inputs = quantize_inputs([file.spec(position) for position in file.inputs], batch)
    positions = [tensors[name] for name in single]
    rows = list(run_inside(content, [inputs], positions))
    differences = {}
    for place, name in enumerate(single):
        actual = dequantize(
            np.concatenate([row[place] for row in rows]), file.spec(positions[place])
        )
        low, high = simulation.bounds[simulation.rounding.ranges[name]]
        error = actual.reshape(len(batch), -1) - expected[place].reshape(len(batch), -1)
        differences[name] = float(np.sqrt(np.mean(error**2)) / ((high - low) / _STEPS))
    return differences


def _tensors(simulation: Simulation, file: UnpackedModel) -> dict[str, int]:
    """Name of each node that rounds to the tensor of its output, in the order of the graph.

    The converter names a tensor after the layers that it was made from, separated by semicolons. A
    kernel that clips its output has the output of the ReLU behind it, so that a layer with several
    ReLUs has no output of its own in the file; it is compared behind each of them.
    """
    nodes = simulation.graph.by_name()
    built = {layer.name for layer in simulation.model.layers}
    # The name of a transposed tensor contains the layer of the original tensor too.
    giving = [op for op in file.operators if file.op(op) != "TRANSPOSE"]
    tensors = [*file.inputs, *(int(op.outputs[0]) for op in giving)]
    clipped = {int(op.outputs[0]) for op in giving if _clips(op)}
    positions: dict[str, int] = {}
    for tensor in tensors:
        parts = {part for name in file.name(tensor).split(";") for part in name.split("/")}
        size = int(np.prod(file.shape(tensor)))
        for name in simulation.rounding.ranges:
            is_named = _PREFIX + name in parts & built
            is_own = tensor not in clipped or nodes[name].op == ACTIVATION
            if is_named and is_own and int(np.prod(nodes[name].shape)) == size:
                # The last one counts: after a kernel that dictates its scale, another changes it.
                positions[name] = tensor
    return {name: positions[name] for name in simulation.rounding.ranges if name in positions}


def _clips(operator: Any) -> bool:
    """Whether a ReLU is part of an operator of a file."""
    function = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    return bool(function != ActivationFunctionType.NONE)
