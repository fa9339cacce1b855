"""Whether the file answers as the model that was trained with fake quantization.

What was trained is a simulation of the file. Where the two part, the accuracy that training reached
is not that of the file, and somebody has to know in which layer it begins.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.data.dataset import VALIDATION, Samples
from converters.data.fields import from_keras_outputs, to_keras_inputs
from converters.data.split import balanced_choice
from converters.data.task import MSE
from converters.errors import ConversionError
from converters.graph.node import Graph
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

#: Accuracy by which the file may differ from what was trained, 0-1; of what is no classifier the
#: share of its mean squared error.
ALLOWED, ALLOWED_ERROR = 0.005, 0.05
#: Samples that are asked about, and those of them that are looked at layer by layer.
_SAMPLES, _INSIDE = 2000, 32
#: Root mean square of a difference, in steps of the layer's rounding, that is no rounding any more,
#: if it is so many times that of every layer before. Kernels and floats round some numbers to the
#: other neighbour, which adds up with depth: of ResNet-8 0.04 steps at first, 0.6 before its Dense
#: layer and 2.1 behind it; a range that was cut to a third gave 3 to 7 steps in its own layer.
_FAR_STEPS, _TIMES, _ROUNDING_STEPS = 2.0, 8.0, 0.25
_STEPS = 255
#: What `converters.quantize.fake_quant.Wrapping` puts before the name of a node.
_PREFIX = "rounded_"


@dataclass(frozen=True)
class Simulated:
    """A model that rounds as the file is to round."""

    graph: Graph
    """Of its nodes."""
    rounding: Rounding
    """Where it rounds."""
    bounds: Bounds
    """With which ranges."""
    model: Any
    """Built of the graph, its layers wrapped."""


@dataclass(frozen=True)
class Difference:
    """How far the file is from the simulation."""

    samples: int
    """That were asked about."""
    interval: tuple[float, float]
    """95 % interval of the file's accuracy minus the simulation's, paired."""
    agreed: float
    """Share of the samples for which both chose the same class, 0-1; of what is no classifier of
    the numbers that differ by no more than a step of the output."""
    steps: Mapping[str, float]
    """Name of each layer whose range was learned, in order, to the root mean square of the
    difference of what it gives, in steps of its rounding."""
    allowed: float = ALLOWED
    """How far the interval may reach."""

    @property
    def farthest(self) -> float:
        """How far the interval reaches, as a share of what is allowed."""
        low, high = self.interval
        return max(-low, high) / self.allowed

    @property
    def is_allowed(self) -> bool:
        """Whether the file is what was trained.

        Enough samples show that the accuracies are within what is allowed, or that they are not.
        Where they show neither, the layers decide: none may part from the simulation.
        """
        low, high = self.interval
        if self.farthest <= 1:
            return True
        return low <= self.allowed and high >= -self.allowed and not self._parting()

    @property
    def first(self) -> str:
        """The first layer that parts from the simulation, else the one that is farthest."""
        return next(iter(self._parting()), max(self.steps, key=lambda n: self.steps[n], default=""))

    def _parting(self) -> list[str]:
        found, before = [], _ROUNDING_STEPS
        for name, steps in self.steps.items():
            if steps > max(_FAR_STEPS, _TIMES * before):
                found.append(name)
            before = max(before, steps)
        return found


def difference(
    simulated: Simulated, content: bytes, samples: Samples, probabilities: Probabilities, seed: int
) -> Difference:
    """Ask the simulation and the file about the same samples.

    Of several outputs the one that differs most counts.

    Args:
        simulated: What was trained.
        content: The .tflite that was made of it.
        samples: Labelled ones.
        probabilities: Whether a classifier's scores are probabilities.
        seed: Decides which samples are taken.

    Raises:
        ConversionError: The runtime cannot run the file.
    """
    rows = balanced_choice(samples.labels, _SAMPLES, seed)
    asked = samples.subset(rows)
    batch, names = asked.batch(slice(None)), asked.task.names
    expected = from_keras_outputs(simulated.model.predict(to_keras_inputs(batch), verbose=0), names)
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        model = read_model(path)
        answers = run_model(path, quantize_inputs(model.inputs, batch))
    steps = steps_apart(simulated, content, batch[:_INSIDE])
    given = dequantize_outputs(model.outputs, answers, names)
    trained = ModelAnswers(asked, expected, probabilities).of_outputs()
    written = ModelAnswers(asked, given, probabilities).of_outputs()
    found = [
        _difference(trained[name], written[name], steps, output.scale or 0.0)
        for output in model.outputs
        for name in (output.name if names else "",)
    ]
    return max(found, key=lambda one: (not one.is_allowed, one.farthest))


def _difference(
    trained: ModelAnswers, written: ModelAnswers, steps: Mapping[str, float], step: float
) -> Difference:
    """Of one output, whose numbers are so far apart at least."""
    samples = trained.samples
    count, labels = len(samples), samples.labels
    if not samples.task.is_classification:
        near = np.abs(written.answers - trained.answers) <= 1.01 * step
        interval = _error_interval(samples, trained.answers, written.answers)
        return Difference(count, interval, float(near.mean()), steps, ALLOWED_ERROR)
    return Difference(
        count,
        paired_interval(trained.classes == labels, written.classes == labels),
        float((trained.classes == written.classes).mean()),
        steps,
    )


def _error_interval(samples: Samples, trained: Array, written: Array) -> tuple[float, float]:
    """95 % interval of the file's mean squared error beyond the simulation's, as a share of it."""
    task = replace(samples.task, metric=MSE, higher_is_better=False)
    wanted = samples.right_answers(slice(None))
    of_both = (
        ScoredAnswers(task, wanted, answers, samples.labels) for answers in (trained, written)
    )
    return drop_of(VALIDATION, *of_both).interval


def check_faithful(found: Difference, origin: str) -> None:
    """Refuse a file that is not what was trained.

    Raises:
        ConversionError: Names the first layer that diverges.
    """
    if found.is_allowed:
        return
    low, high = found.interval
    raise ConversionError(
        f"{origin}: the .tflite does not answer as the model that was trained: on "
        f"{found.samples} samples its accuracy (or error) differs by {low:+.2%} to {high:+.2%}, "
        f"{found.allowed:.1%} is allowed; the first layer that diverges is {found.first!r}, by "
        f"{found.steps.get(found.first, 0):.1f} steps of its rounding",
        "report the model; until then use the recipe ptq_w8a8",
    )


def check_inside(simulated: Simulated, content: bytes, origin: str) -> None:
    """Refuse a file that converts numbers inside: something is rounded where no kernel rounds.

    Raises:
        ConversionError: Names the tensor.
    """
    file = UnpackedModel(content)
    made = [
        file.name(int(op.outputs[0]))
        for op in file.operators
        if file.op(op) in ("QUANTIZE", "DEQUANTIZE")
    ]
    if len(made) > len(simulated.rounding.rounded_twice):
        raise ConversionError(
            f"{origin}: the .tflite has {len(made)} QUANTIZE or DEQUANTIZE inside, the first gives "
            f"{made[0]!r}: a layer is rounded where its kernel does not round",
            "report the model; until then use the recipe ptq_w8a8",
        )


def steps_apart(simulated: Simulated, content: bytes, batch: Array) -> dict[str, float]:
    """Of each layer that both have, in order: the difference of what it gives, in its steps.

    Args:
        simulated: What was trained.
        content: The .tflite.
        batch: Samples, shape (n, ...), or fields of it.
    """
    file = UnpackedModel(content)
    tensors = _tensors(simulated, file)
    layers = {name: simulated.model.get_layer(_PREFIX + name) for name in tensors}
    fixed = simulated.rounding.fixed
    single = [n for n, layer in layers.items() if len(layer.inbound_nodes) == 1 and n not in fixed]
    if not single:
        return {}
    inside = tf_keras.Model(simulated.model.inputs, [layers[name].output for name in single])
    expected = inside.predict(to_keras_inputs(batch), verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    taken = quantize_inputs([file.spec(position) for position in file.inputs], batch)
    positions = [tensors[name] for name in single]
    rows = list(run_inside(content, [taken], positions))
    found = {}
    for place, name in enumerate(single):
        written = dequantize(
            np.concatenate([row[place] for row in rows]), file.spec(positions[place])
        )
        low, high = simulated.bounds[simulated.rounding.ranges[name]]
        apart = written.reshape(len(batch), -1) - expected[place].reshape(len(batch), -1)
        found[name] = float(np.sqrt(np.mean(apart**2)) / ((high - low) / _STEPS))
    return found


def _tensors(simulated: Simulated, file: UnpackedModel) -> dict[str, int]:
    """Name of each node that rounds, to the tensor that holds what it gives; in the graph's order.

    The converter names a tensor after the layers that went into it, with semicolons between them.
    """
    nodes = simulated.graph.by_name()
    built = {layer.name for layer in simulated.model.layers}
    # A transposed tensor is called after what it is of, too.
    giving = [op for op in file.operators if file.op(op) != "TRANSPOSE"]
    made = [*file.inputs, *(int(op.outputs[0]) for op in giving)]
    found: dict[str, int] = {}
    for tensor in made:
        parts = {part for name in file.name(tensor).split(";") for part in name.split("/")}
        size = int(np.prod(file.shape(tensor)))
        for name in simulated.rounding.ranges:
            is_named = _PREFIX + name in parts & built
            if is_named and int(np.prod(nodes[name].shape)) == size:
                # The last one: behind a kernel that dictates its scale comes one that changes it.
                found[name] = tensor
    return {name: found[name] for name in simulated.rounding.ranges if name in found}
