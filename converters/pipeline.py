"""The whole way from a request to a conversion; runs in the child process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from converters.budget import judge_budget
from converters.conversion import (
    GOLDEN_NAME,
    MODEL_NAME,
    Conversion,
    Split,
    StepRecord,
    write_conversion,
)
from converters.data_source import open_dataset
from converters.dataset import (
    CALIBRATION,
    JUDGED_TRAIN,
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    InputForm,
    Samples,
    Selection,
)
from converters.digest import sha256_of
from converters.draft import Draft, Materials, Technique
from converters.emit import emit
from converters.evaluate import Judgement, golden_inputs, judge, warnings_of
from converters.golden import write_golden
from converters.latency import LatencyUs
from converters.model_card import card_of_conversion
from converters.model_source import LoadedModel, load_model
from converters.model_toml import write_model_toml
from converters.progress import Progress, Report
from converters.recipe import Recipe, check_pairing, load_recipe
from converters.request import ConversionRequest
from converters.score import FILE, ORIGINAL
from converters.source_file import identify
from converters.split import partition
from converters.steps import Step
from converters.tflite.cost import cost_of
from converters.tflite.reader import ModelFile
from converters.versions import installed_versions

#: What the samples of each split are used for, in words.
_USES = {
    TRAIN: "what the training steps learn from",
    VALIDATION: "chooses between epochs and between recipes",
    CALIBRATION: "ranges of the activations",
    JUDGED_TRAIN: "some of the training samples: the accuracy on what was learned",
    TEST: "the final figures, and nothing else",
}


def run(
    request: ConversionRequest, work: Path, report: Report, latency_us: LatencyUs | None = None
) -> Conversion:
    """Do a conversion, with every file of it in `work`.

    Args:
        request: What to convert, with absolute paths.
        work: An empty folder.
        report: Where progress goes.
        latency_us: Measures .tflite files for the steps that ask; None where nobody measures.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    recipe = load_recipe(request.recipe)
    source, dataset, wanted = opened(request, recipe, report)
    samples = dataset.read(wanted, report)
    materials = Materials(source, samples, request.seed, report, latency_us)

    draft, records = _first_draft(recipe, materials), []
    for step in recipe.steps:
        draft, record = _done(draft, step, materials)
        records.append(record)

    written = emit(draft, work / MODEL_NAME, report)
    judgement = judge(source, written, samples, report)
    write_golden(work / GOLDEN_NAME, golden_inputs(source, written, samples[TEST], request.seed))
    warnings = draft.warnings + warnings_of(source, judgement.accuracy(ORIGINAL), request.data)
    card = card_of_conversion(
        written, dataset.class_names, request.image_range, source.probabilities
    )
    warnings += write_model_toml(work, request.out, card)
    conversion = replace(
        _evidence(request, recipe, source, written, judgement),
        splits=_splits(dataset, samples),
        warnings=warnings,
        step_records=tuple(records),
    )
    write_conversion(conversion)
    return conversion


def opened(
    request: ConversionRequest, recipe: Recipe, report: Report
) -> tuple[LoadedModel, Dataset, dict[str, Selection]]:
    """The model, the data that was looked through, and which samples of it are needed.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    report(Progress("load model", 0, 0))
    source = load_model(identify(request.model))
    # Again, as only loading shows whether a SavedModel is of Keras layers alone.
    check_pairing(recipe, request.model, source.kind)
    report(Progress("read data", 0, 0))
    form = InputForm(source.input_shape, source.classes)
    dataset = open_dataset(request.data, form, request.image_range, request.seed)
    return source, dataset, _wanted(dataset, recipe, request)


def _first_draft(recipe: Recipe, materials: Materials) -> Draft:
    """The model as it was given; as a tf-keras model of plain ops if it is to be trained."""
    source = materials.source
    draft = Draft(source.function, source.keras_model)
    if not any(step.trains for step in recipe.steps):
        return draft
    from converters.graph.read import read_graph
    from converters.trainable import trainable_model, with_model

    graph = read_graph(source.keras_model, str(source.path))
    return with_model(draft, trainable_model(graph, materials.samples[TRAIN], materials), materials)


def technique_of(step: Step) -> Technique:
    """The function that does a step; imports what it needs."""
    module, _, name = step.function.partition(":")
    technique: Technique = getattr(import_module(module), name)
    return technique


def _done(draft: Draft, step: Step, materials: Materials) -> tuple[Draft, StepRecord]:
    started = time.monotonic()
    made = technique_of(step)(replace(draft, found={}), step, materials)
    seconds = round(time.monotonic() - started, 3)
    return made, StepRecord(step.kind, seconds, made.found)


def _wanted(dataset: Dataset, recipe: Recipe, request: ConversionRequest) -> dict[str, Selection]:
    """Which samples are needed: reading more would only cost time and memory."""
    labels = dataset.labels
    uses = {use for step in recipe.steps for use in step.uses}
    calibration = [getattr(step, "calibration_samples", 0) for step in recipe.steps]
    parts = partition(labels[TRAIN], max([0, *calibration]), request.seed)
    wanted = {TEST: Selection(TEST, np.arange(len(labels[TEST])))}
    if CALIBRATION in uses:
        wanted[CALIBRATION] = Selection(TRAIN, parts.calibration)
    if TRAIN in uses:
        wanted[TRAIN] = Selection(TRAIN, parts.train)
    if TRAIN in uses or request.judge_all:
        wanted[VALIDATION] = Selection(TRAIN, parts.validation)
    if request.judge_all:
        wanted[JUDGED_TRAIN] = Selection(TRAIN, parts.judged)
    return wanted


def _splits(dataset: Dataset, samples: Mapping[str, Samples]) -> tuple[Split, ...]:
    origins = {use: f"some of {dataset.origins[TRAIN]}, every class" for use in samples}
    origins[TEST] = dataset.origins[TEST]
    return tuple(Split(use, len(samples[use]), origins[use], _USES[use]) for use in sorted(samples))


def _evidence(
    request: ConversionRequest,
    recipe: Recipe,
    source: LoadedModel,
    written: ModelFile,
    judgement: Judgement,
) -> Conversion:
    of_test = next(drop for drop in judgement.drops if drop.split == TEST)
    return Conversion(
        model=written.path,
        model_sha256=written.sha256,
        model_bytes=written.size_bytes,
        recipe=recipe.name,
        recipe_steps=recipe.plain_steps(),
        seed=request.seed,
        source=str(request.model),
        source_sha256=source.sha256,
        source_bytes=source.size_bytes,
        data=str(request.data),
        data_sha256=sha256_of(request.data),
        splits=(),
        versions=installed_versions(),
        float_accuracy=judgement.accuracy(ORIGINAL),
        accuracy=judgement.accuracy(FILE),
        inputs=written.inputs,
        outputs=written.outputs,
        golden=written.path.with_name(GOLDEN_NAME),
        image_range=request.image_range,
        scores=judgement.scores,
        drops=judgement.drops,
        cost=cost_of(written.path),
        budget=None if request.max_drop is None else judge_budget(of_test, request.max_drop),
    )
