"""Estimates the steps, the time and the memory of a conversion; runs in the child process."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import prod
from typing import Any

import numpy as np

from converters.data.dataset import CALIBRATION, JUDGED_TRAIN, TEST, TRAIN, VALIDATION, Dataset
from converters.data.task import TaskWish
from converters.errors import ConversionError
from converters.graph.cost import parameters
from converters.progress import Progress, Report
from converters.recipe.fits_model import check_inputs_outputs, check_task
from converters.recipe.recipe import Recipe, check_pairing, load_recipe
from converters.recipe.step import Step, TrainingStep
from converters.request import ConversionRequest
from converters.sources.inputs_outputs import noise_for
from converters.sources.kinds import identify
from converters.sources.loaded_model import LoadedModel
from converters.training.automatic import most_epochs, trial_batches
from converters.work.pipeline import open_data, open_model, select_samples
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


def estimate_plans(
    request: ConversionRequest, names: Sequence[str], started_at: float, report: Report
) -> list[Plan]:
    """Look at the model and the data once, time the model, and estimate each recipe.

    Args:
        request: Model and data, with absolute paths.
        names: Recipes, by name or path.
        started_at: Time of `time.monotonic` when the process was started.
        report: Called with each progress.

    Returns:
        Steps, samples, time and memory for each recipe. Of several recipes those that do not take
        the model or the data have the reason.

    Raises:
        ConversionError: The model or the data does not fit any of the recipes.
    """
    inputs = _Inputs(request, started_at, report)
    plans, errors = [], list[ConversionError]()
    for name in names:
        recipe = load_recipe(name)
        try:
            plans.append(_estimate(inputs, recipe, name))
        except ConversionError as error:
            errors.append(error)
            own_name = replace(request, recipe=name).recipe_file
            plans.append(
                Plan(recipe.label(own_name), (), {}, 0.0, 0, refused=f"{error}; {error.hint}")
            )
    if len(errors) == len(plans):
        raise errors[0]
    return plans


class _Inputs:
    """The model and the data of a request: loaded and timed once for all recipes that agree."""

    def __init__(self, request: ConversionRequest, started_at: float, report: Report) -> None:
        self.request = request
        self._started_at, self._report = started_at, report
        self._opened: list[tuple[TaskWish, LoadedModel, float, float]] = []
        self._datasets: list[tuple[TaskWish, Dataset]] = []

    def model(self, wish: TaskWish) -> tuple[LoadedModel, float, float]:
        """Return the model, seconds of one forward pass of one sample, and of the start."""
        for own, source, forward, startup in self._opened:
            if own.custom_objects == wish.custom_objects and own.functions() == wish.functions():
                return source, forward, startup
        source = open_model(self.request, wish, self._report)
        startup = time.monotonic() - self._started_at
        self._report(Progress("time the model", 0, 0))
        forward = _seconds_a_sample(source)
        self._opened.append((wish, source, forward, startup))
        return source, forward, startup

    def dataset(self, recipe: Recipe, source: LoadedModel) -> Dataset:
        """Return the data as a recipe needs it."""
        for wish, dataset in self._datasets:
            if wish == recipe.wish:
                check_pairing(recipe, self.request.model, source.kind)
                check_inputs_outputs(recipe, source)
                check_task(recipe, dataset.task)
                return dataset
        dataset = open_data(self.request, recipe, source, self._report)
        self._datasets.append((recipe.wish, dataset))
        return dataset


def _estimate(inputs: _Inputs, recipe: Recipe, name: str) -> Plan:
    request = replace(inputs.request, recipe=name)
    check_pairing(recipe, request.model, identify(request.model).kind)
    source, forward, startup = inputs.model(recipe.wish)
    selections = select_samples(inputs.dataset(recipe, source), recipe, request)
    samples = {use: len(selection.rows) for use, selection in selections.items()}
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
        recipe=recipe.label(request.recipe_file),
        steps=steps,
        samples=samples,
        seconds=round(startup + sum(step.seconds for step in steps) + after, 1),
        # Linux counts in KiB. What TensorFlow and the model take is there already.
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + stored + training,
        startup_seconds=round(startup, 1),
    )


def _plan_step(step: Step, samples: dict[str, int], forward: float) -> PlannedStep:
    values: dict[str, Any] = asdict(step)
    seconds = 0.0
    if isinstance(step, TrainingStep):
        batches = -(-samples[TRAIN] // step.batch_size)
        trials = trial_batches(step, batches) / batches
        epochs = most_epochs(step) + getattr(step, "born_again", 0)
        passes = (epochs + trials) * _PASSES_OF_TRAINING
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
    if not step.trains or not source.has_graph:
        return 0
    outputs = sum(prod(node.shape) for node in source.graph.nodes)
    batch = getattr(step, "batch_size", _BATCH)
    weights = parameters(source.graph)
    return _FLOAT_BYTES * (_ACTIVATIONS * batch * outputs + _WEIGHTS * weights)
