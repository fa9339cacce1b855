"""Estimates the steps, the time and the memory of a conversion; runs in the child process."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from converters.data.dataset import CALIBRATION, JUDGED_TRAIN, TEST, TRAIN, VALIDATION
from converters.progress import Progress, Report
from converters.recipe.recipe import load_recipe
from converters.recipe.step import Step, TrainingStep
from converters.request import ConversionRequest
from converters.sources.inputs_outputs import noise_for
from converters.sources.loaded_model import LoadedModel
from converters.training.automatic import most_epochs, trial_batches
from converters.work.pipeline import open_inputs
from converters.work.plan import Plan, PlannedStep

#: Forward passes that cost as much as one sample of a training step; measured: 4.6 (ResNet-8,
#: 32x32x3) and 5.5 (digits, 8x8x1) without, 5.9 with fake quantization.
_PASSES_OF_TRAINING = 6
#: Before the first batch TensorFlow compiles the graph; and what the converter takes at least.
_COMPILE_SECONDS, _CONVERT_SECONDS = 3.0, 2.0
#: Time of one inference of a file beside its arithmetic: the calls from Python, seconds.
_CALL_SECONDS = 50e-6
#: Copies of the activations in a training: themselves, their gradients and the room to compute
#: them; a float32 is 4 bytes.
_ACTIVATIONS, _FLOAT_BYTES = 3, 4
#: Copies of the weights in a training: themselves, their gradients, and Adam's two moments.
_WEIGHTS = 4
_BATCH, _REPEATS = 64, 4


def estimate_plan(request: ConversionRequest, report: Report) -> Plan:
    """Look at the model and the data, time the model, and estimate.

    Args:
        request: Model, data and recipe, with absolute paths.
        report: Called with each progress.

    Returns:
        Steps, samples, time and memory.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    recipe = load_recipe(request.recipe)
    source, _, selections = open_inputs(request, recipe, report)
    samples = {use: len(selection.rows) for use, selection in selections.items()}
    report(Progress("time the model", 0, 0))
    forward = _seconds_a_sample(source)
    judged = sum(samples.get(use, 0) for use in (TEST, VALIDATION, JUDGED_TRAIN))
    steps = tuple(_plan_step(step, samples, forward) for step in recipe.steps)
    after = (
        _CONVERT_SECONDS
        + samples.get(CALIBRATION, 0) * (forward + _CALL_SECONDS)
        + judged * (2 * forward + _CALL_SECONDS)
    )
    numbers = sum(int(np.prod(tensor.shape)) for tensor in source.inputs)
    stored = sum(samples.values()) * numbers * _FLOAT_BYTES
    training = max((_training_bytes(step, source) for step in recipe.steps), default=0)
    return Plan(
        recipe=recipe.name,
        steps=steps,
        samples=samples,
        seconds=round(sum(step.seconds for step in steps) + after, 1),
        # Linux counts in KiB. What TensorFlow and the model take is there already.
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + stored + training,
    )


def _plan_step(step: Step, samples: dict[str, int], forward: float) -> PlannedStep:
    values: dict[str, Any] = asdict(step)
    seconds = 0.0
    if isinstance(step, TrainingStep):
        batches = -(-samples[TRAIN] // step.batch_size)
        trials = trial_batches(step, batches) / batches
        passes = (most_epochs(step) + trials) * _PASSES_OF_TRAINING
        seconds = _COMPILE_SECONDS + samples[TRAIN] * forward * passes
    elif step.trains:
        seconds = _COMPILE_SECONDS + samples[TRAIN] * forward * _PASSES_OF_TRAINING
    return PlannedStep(step.kind, values, round(seconds, 1))


def _seconds_a_sample(source: LoadedModel) -> float:
    batch = noise_for(source.inputs, _BATCH)
    source.predict(batch)  # compiles
    started = time.monotonic()
    for _ in range(_REPEATS):
        source.predict(batch)
    return (time.monotonic() - started) / (_REPEATS * _BATCH)


def _training_bytes(step: Step, source: LoadedModel) -> int:
    if not step.trains or source.keras_model is None:
        return 0
    outputs = 0
    for layer in source.keras_model.layers:
        shape = getattr(getattr(layer, "output", None), "shape", ())
        outputs += int(np.prod([axis for axis in shape if axis]))
    batch = getattr(step, "batch_size", _BATCH)
    weights = sum(int(np.prod(weight.shape)) for weight in source.keras_model.weights)
    return _FLOAT_BYTES * (_ACTIVATIONS * batch * outputs + _WEIGHTS * weights)
