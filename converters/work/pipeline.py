"""The whole way from a request to a conversion; runs in the child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters import durable
from converters.cache import Cache
from converters.data.data_source import open_dataset
from converters.data.data_warnings import data_warnings
from converters.data.dataset import (
    CALIBRATION,
    JUDGED_TRAIN,
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    Samples,
    Selection,
)
from converters.data.split import partition
from converters.data.task import TaskWish
from converters.digest import sha256_of
from converters.draft.draft import Materials
from converters.evidence.conversion import (
    GOLDEN_NAME,
    KERAS_NAME,
    MODEL_NAME,
    Conversion,
    Split,
    write_conversion,
)
from converters.evidence.golden import write_golden
from converters.evidence.golden_inputs import golden_inputs
from converters.evidence.model_card import card_of_conversion
from converters.evidence.model_toml import write_model_toml
from converters.judge.budget import judge_budget
from converters.judge.evaluate import Judgement, judge, warnings_of
from converters.judge.input_range import range_warnings
from converters.judge.own_answers import with_own_answers
from converters.judge.paired import worst
from converters.judge.score import FILE, ORIGINAL
from converters.measure import Measure
from converters.model_file import ModelFile
from converters.progress import Progress, Report
from converters.recipe.fits_model import check_ends
from converters.recipe.milder import may_be_tried
from converters.recipe.recipe import Recipe, check_pairing, load_recipe
from converters.request import ConversionRequest
from converters.sources.custom_objects import custom_objects
from converters.sources.load import LoadedModel, load_model
from converters.sources.source_file import identify
from converters.tflite.cost import cost_of
from converters.training.several_machines import Together, together
from converters.versions import installed_versions
from converters.work.budget_loop import make_within
from converters.work.maker import Made, Maker
from converters.work.step_keys import StepKeys, row_digests

#: What the samples of each split are used for, in words.
_USES = {
    TRAIN: "what the training steps learn from",
    VALIDATION: "chooses between epochs and between recipes",
    CALIBRATION: "ranges of the activations",
    JUDGED_TRAIN: "some of the training samples: the accuracy on what was learned",
    TEST: "the final figures, and nothing else",
}


def run(
    request: ConversionRequest, work: Path, report: Report, measure: Measure | None = None
) -> Conversion | None:
    """Do a conversion, with every file of it in `work`.

    Args:
        request: What to convert, with absolute paths.
        work: An empty folder.
        report: Where progress goes.
        measure: Measures files for the steps that go by figures; None where nobody measures.

    Returns:
        None where another worker has written the files.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    with together(report) as crew:
        return _converted(request, work, crew, measure)


def _converted(
    request: ConversionRequest, work: Path, crew: Together, measure: Measure | None
) -> Conversion | None:
    report = crew.report
    recipe = load_recipe(request.recipe)
    source, dataset, wanted = opened(request, recipe, report)
    read = dataset.read(wanted, report)
    samples = with_own_answers(source, source.form(recipe.wish), dataset, read, report)
    data_sha256 = dataset.content_sha256 or sha256_of(request.data)
    keys = StepKeys(
        source.sha256,
        data_sha256,
        request.image_range,
        request.seed,
        request.measured_on,
        row_digests(wanted),
        _plain_task(recipe.wish),
    )
    maker = _maker(request, source, keys, samples, work, crew, measure)
    made, attempts = make_within(maker, recipe, request.max_drop, report)
    if not crew.leads:
        return None
    written = maker.written()
    judgement = judge(source, written, samples, report)
    golden = golden_inputs(source, written, samples[TEST], request.seed)
    write_golden(work / GOLDEN_NAME, replace(golden, own_labels=TEST in dataset.unlabelled))
    if request.keep_keras and made.keras is not None:
        durable.write(work / KERAS_NAME, made.keras)
    image_range = request.image_range if dataset.pictures else None
    card = card_of_conversion(
        written, dataset.class_names, image_range, source.probabilities, dataset.task
    )
    conversion = replace(
        _evidence(request, made, source, written, judgement),
        data_sha256=data_sha256,
        splits=_splits(dataset, samples),
        warnings=(
            *made.warnings,
            *data_warnings(dataset, samples, source.classes_of_outputs),
            *range_warnings(source, samples),
            *warnings_of(source, judgement, request.data),
            *_warnings(request, made),
            *write_model_toml(work, request.out, card),
        ),
        attempts=attempts,
    )
    write_conversion(conversion)
    return conversion


def _maker(
    request: ConversionRequest,
    source: LoadedModel,
    keys: StepKeys,
    samples: Mapping[str, Samples],
    work: Path,
    crew: Together,
    measure: Measure | None,
) -> Maker:
    """What takes the model through recipes."""
    materials = Materials(
        source,
        samples,
        request.seed,
        crew.report,
        measure,
        logs=request.logs if crew.leads else None,
        strategy=crew.strategy,
    )
    # What one worker finds and another does not would part them.
    alone = crew.worker is None
    cache = Cache(request.cache) if request.cache is not None and alone else None
    return Maker(materials, keys, cache, work / MODEL_NAME)


def _plain_task(wish: TaskWish) -> dict[str, Any]:
    """What is said about the task, with the digests of the modules that it names."""
    sources = {str(function): function.source() for function in wish.functions()}
    digests = {name: sha256_of(path) for name, path in sources.items() if path is not None}
    return {**wish.plain(), "modules": digests} if wish.plain() else {}


def _warnings(request: ConversionRequest, made: Made) -> tuple[str, ...]:
    if request.logs is not None and any(record.cached for record in made.records):
        return ("steps that were done before leave no figures in --logs",)
    asked = {"--keep-keras": request.keep_keras, "--logs": request.logs is not None}
    return tuple(
        f"nothing was trained, so there is nothing for {option}"
        for option, given in asked.items()
        if given and made.keras is None
    )


def opened(
    request: ConversionRequest, recipe: Recipe, report: Report
) -> tuple[LoadedModel, Dataset, dict[str, Selection]]:
    """The model, the data that was looked through, and which samples of it are needed.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    report(Progress("load model", 0, 0))
    source = load_model(identify(request.model), custom_objects(recipe.wish))
    # Again, as only loading shows whether a SavedModel is of Keras layers alone.
    check_pairing(recipe, request.model, source.kind)
    report(Progress("read data", 0, 0))
    form = source.form(recipe.wish)
    check_ends(recipe, source)
    dataset = open_dataset(request.data, form, request.image_range, request.seed)
    return source, dataset, _wanted(dataset, recipe, request)


def _wanted(dataset: Dataset, recipe: Recipe, request: ConversionRequest) -> dict[str, Selection]:
    """Which samples are needed: reading more would only cost time and memory."""
    labels = dataset.labels
    steps = recipe.steps if request.max_drop is None else may_be_tried(recipe)
    uses = {use for step in steps for use in step.needs}
    calibration = [getattr(step, "calibration_samples", 0) for step in steps]
    parts = partition(labels[TRAIN], max([0, *calibration]), request.seed)
    wanted = {TEST: Selection(TEST, np.arange(len(labels[TEST])))}
    if CALIBRATION in uses:
        wanted[CALIBRATION] = Selection(TRAIN, parts.calibration)
    if TRAIN in uses:
        wanted[TRAIN] = Selection(TRAIN, parts.train)
    if uses & {TRAIN, VALIDATION} or request.judge_all or request.max_drop is not None:
        wanted[VALIDATION] = Selection(TRAIN, parts.validation)
    if request.judge_all:
        wanted[JUDGED_TRAIN] = Selection(TRAIN, parts.judged)
    return wanted


def _splits(dataset: Dataset, samples: Mapping[str, Samples]) -> tuple[Split, ...]:
    every = "no labels" if TRAIN in dataset.unlabelled else "every class"
    origins = {use: f"some of {dataset.origins[TRAIN]}, {every}" for use in samples}
    origins[TEST] = dataset.origins[TEST] + (", no labels" if TEST in dataset.unlabelled else "")
    return tuple(Split(use, len(samples[use]), origins[use], _USES[use]) for use in sorted(samples))


def _evidence(
    request: ConversionRequest,
    made: Made,
    source: LoadedModel,
    written: ModelFile,
    judgement: Judgement,
) -> Conversion:
    of_test = worst(judgement.drops, TEST)
    return Conversion(
        model=written.path,
        model_sha256=written.sha256,
        model_bytes=written.size_bytes,
        recipe=made.recipe.name,
        recipe_steps=made.recipe.plain_steps(),
        seed=request.seed,
        source=str(request.model),
        source_sha256=source.sha256,
        source_bytes=source.size_bytes,
        data=str(request.data),
        data_sha256="",
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
        step_records=made.records,
        budget=None if request.max_drop is None else judge_budget(of_test, request.max_drop),
        task=made.recipe.wish.plain(),
        metric=judgement.metric,
        output_figures=judgement.outputs,
    )
