"""Comparison of the file with the model that was trained with fake quantization.

The trained model is a simulation of the file. Where the two diverge, the file does not have the
accuracy that training reached, and the message has to name the layer in which it begins.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import VALIDATION, Samples
from converters.data.fields import from_keras_outputs, to_keras_inputs
from converters.data.split import balanced_choice
from converters.data.task import MSE
from converters.errors import ConversionError
from converters.graph.node import CAST, Graph
from converters.judge.evaluate import ModelAnswers
from converters.judge.metric import ScoredAnswers, drop_of
from converters.judge.paired import paired_interval
from converters.quantize.layer_differences import (
    Simulation,
    layer_differences,
    own_differences,
)
from converters.quantize.ranges import float_nodes
from converters.sources.inputs_outputs import Probabilities
from converters.tflite.quantization import dequantize_outputs, quantize_inputs
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
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
#: Difference, in steps, from which on a layer has the difference of a layer before it. A layer that
#: diverges while everything behind it agrees was compared with numbers that are not its own.
_PASSED_ON_STEPS = 1.0
#: A layer diverges only if it also differs by more than this many steps from its simulation on the
#: numbers of the file: a step of its input can be many steps of its output. Kernels and floats
#: differ by less than a step.
_OWN_STEPS = 1.0


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
    own_steps: Mapping[str, float] = field(default_factory=dict)
    """Name of a layer in `steps` to its steps where the simulation of the layer gets the numbers
    that the file gives to the layer. Layers that cannot be compared in this way are left out."""

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
        return low <= self.allowed and high >= -self.allowed and not self.parting

    @property
    def first(self) -> str:
        """First layer that diverges from the simulation; else the one with the most steps."""
        return next(iter(self.parting), max(self.steps, key=lambda n: self.steps[n], default=""))

    def _is_passed_on(self, name: str) -> bool:
        behind = self.readers.get(name, ())
        return not behind or any(self.steps[other] > _PASSED_ON_STEPS for other in behind)

    @property
    def parting(self) -> list[str]:
        """Names of the layers that diverge, and whose difference a layer behind them has, too."""
        layers, before = [], _ROUNDING_STEPS
        for name, steps in self.steps.items():
            is_far = steps > max(_FAR_STEPS, _TIMES * before)
            is_own = self.own_steps.get(name, steps) > _OWN_STEPS
            if is_far and is_own and self._is_passed_on(name):
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
    worst = max(
        differences, key=lambda difference: (not difference.is_allowed, difference.farthest)
    )
    if worst.is_allowed or not worst.parting:
        return worst
    own_steps = own_differences(simulation, content, batch[:_INSIDE], worst.parting)
    differences = [replace(difference, own_steps=own_steps) for difference in differences]
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
    """95 % interval of the file's mean squared error beyond the simulation's, as a share of it.

    A single sample shows nothing about others: its interval has no ends.
    """
    if len(samples) < 2:
        return -inf, inf
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
    layer = difference.first
    steps = f"by {difference.steps.get(layer, 0):.1f} steps of its rounding"
    where = f"the first layer that diverges is {layer!r}, {steps}"
    if not difference.parting:
        where = f"no layer diverges by itself, and {layer!r} differs most, {steps}"
    raise ConversionError(
        f"{origin}: the .tflite does not answer as the model that was trained: on "
        f"{difference.samples} samples its accuracy (or error) differs by {low:+.2%} to "
        f"{high:+.2%}, {difference.allowed:.1%} is allowed; {where}",
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
    around = sum(len(node.inputs) + 1 for node in float_nodes(simulation.graph))
    if len(conversions) > len(simulation.rounding.rounded_twice) + casts + around:
        raise ConversionError(
            f"{origin}: the .tflite has {len(conversions)} QUANTIZE or DEQUANTIZE inside, the "
            f"first gives {conversions[0]!r}: a layer is rounded where its kernel does not round",
            "Report the model; until then use the recipe ptq_w8a8",
        )
