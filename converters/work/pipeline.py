"""The whole way from a request to a conversion; runs in the child process."""

from __future__ import annotations

import os
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
    COMPARED,
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
from converters.evidence.declared_picture import declared_picture
from converters.evidence.golden_inputs import LEAST_COMPARED
from converters.evidence.model_card import (
    card_as_declared,
    card_of_conversion,
    card_of_resized,
    resize_warnings,
)
from converters.evidence.model_toml import write_model_toml
from converters.evidence.other_file import OTHER_NAMES, TFLITE_FORMAT
from converters.formats import FORMATS
from converters.judge.budget import judge_budget
from converters.judge.evaluate import is_resized, warnings_of
from converters.judge.input_range import range_warnings
from converters.judge.input_rounding import input_rounding_drop, input_rounding_warnings
from converters.judge.own_answers import with_own_answers
from converters.judge.paired import worst
from converters.judge.score import FILE, ORIGINAL
from converters.measure import Measure
from converters.model_file import ModelFile
from converters.progress import Progress, Report
from converters.recipe.fits_model import check_inputs_outputs, check_task, unused_warnings
from converters.recipe.milder import may_be_tried
from converters.recipe.recipe import Recipe, check_pairing, load_recipe
from converters.request import ConversionRequest
from converters.sandbox import SANDBOX_VARIABLE
from converters.sources.custom_objects import custom_objects
from converters.sources.inputs_outputs import source_axes
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.sources.loaded_model import LoadedModel
from converters.sources.onnx import with_data_shapes
from converters.training.several_machines import WorkerGroup, join_workers
from converters.versions import installed_versions
from converters.work.budget_loop import make_within_budget
from converters.work.maker import Maker, RecipeResult
from converters.work.reuse import request_digest
from converters.work.step_keys import StepKeys, row_digests
from converters.work.written_formats import GoldenSource, WrittenFiles, write_formats
from device_agent.contract.model_card import ModelCard

#: Use of the samples of each split, in words.
_USES = {
    TRAIN: "what the training steps learn from",
    VALIDATION: "chooses between epochs and between recipes",
    CALIBRATION: "ranges of the activations",
    JUDGED_TRAIN: "some of the training samples: the accuracy on what was learned",
    TEST: "the final figures, and nothing else",
}


def run_pipeline(
    request: ConversionRequest, work: Path, report: Report, measure: Measure | None = None
) -> Conversion | None:
    """Do a conversion, with every file of it in `work`.

    Args:
        request: Model, data and recipe, with absolute paths.
        work: An empty folder.
        report: Called with each progress.
        measure: Measures files for the steps that go by figures; None where nobody measures.

    Returns:
        The conversion; None where another worker has written the files.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    with join_workers(report) as workers:
        return _convert(request, work, workers, measure)


def _convert(
    request: ConversionRequest, work: Path, workers: WorkerGroup, measure: Measure | None
) -> Conversion | None:
    report = workers.report
    recipe = load_recipe(request.recipe)
    source = open_model(request, recipe.wish, report)
    dataset = open_data(request, recipe, source, report)
    selections = select_samples(dataset, recipe, request)
    read = dataset.read({**selections, **_compared(dataset, request.seed)}, report)
    compared = read.pop(COMPARED, None)
    samples = with_own_answers(source, source.form(recipe.wish), dataset, read, report)
    data_sha256 = dataset.content_sha256 or sha256_of(request.data)
    keys = StepKeys(
        source.sha256,
        data_sha256,
        f"{request.image_range} {declared_picture(request.picture_folders)}",
        request.seed,
        request.measured_on,
        row_digests(selections),
        _plain_task(recipe.wish),
    )
    maker = _maker(request, source, keys, samples, work, workers, measure)
    result, attempts = make_within_budget(maker, recipe, request.max_drop, report)
    if not workers.leads:
        return None
    golden_source = GoldenSource(samples, compared, TEST in dataset.unlabelled)
    written = write_formats(request, source, maker.model_file(), golden_source, report)
    model, judgement = written.model, written.judgement
    judged = samples[TEST if request.judge_test else VALIDATION]
    rounding = input_rounding_drop(source, model, judged)
    if request.keep_keras and result.keras is not None:
        durable.write(work / KERAS_NAME, result.keras)
    card, card_warnings = _model_card(request, source, dataset, model, samples[TEST])
    conversion = replace(
        _evidence(request, result, source, written),
        data_sha256=data_sha256,
        splits=_splits(dataset, samples),
        warnings=(
            *result.warnings,
            *data_warnings(dataset, samples, source.classes_of_outputs),
            *source.warnings,
            *unused_warnings(source),
            *range_warnings(source, samples),
            *warnings_of(source, judgement, request.data),
            *input_rounding_warnings(rounding, model),
            *_warnings(request, result),
            *card_warnings,
            *write_model_toml(work, request.out, card),
        ),
        attempts=attempts,
        input_rounding=rounding,
        files=_file_digests(work),
        data_axes={} if dataset.pictures else source_axes(source.inputs),
    )
    write_conversion(conversion, request_digest(request, recipe))
    return conversion


def _model_card(
    request: ConversionRequest,
    source: LoadedModel,
    dataset: Dataset,
    model: ModelFile,
    test: Samples,
) -> tuple[ModelCard, tuple[str, ...]]:
    """Return what model.toml is to say, and warnings about it."""
    image_range = request.image_range if dataset.pictures else None
    axes = {} if dataset.pictures else source_axes(source.inputs)
    card = card_of_conversion(
        model, dataset.class_names, image_range, source.probabilities, dataset.task, axes
    )
    declaration = declared_picture(request.picture_folders)
    card = card_as_declared(card, declaration, not test.ignores_exif)
    if not is_resized(model, test):
        return card, ()
    shape = source.inputs[0].shape
    card = card_of_resized(card, shape)
    return card, resize_warnings(card, shape, declaration)


def _file_digests(work: Path) -> dict[str, str]:
    paths = [work / name for name in (GOLDEN_NAME, KERAS_NAME, *OTHER_NAMES)]
    return {path.name: sha256_of(path) for path in paths if path.is_file()}


def _maker(
    request: ConversionRequest,
    source: LoadedModel,
    keys: StepKeys,
    samples: Mapping[str, Samples],
    work: Path,
    workers: WorkerGroup,
    measure: Measure | None,
) -> Maker:
    """Return what takes the model through recipes."""
    materials = Materials(
        source,
        samples,
        request.seed,
        workers.report,
        measure,
        logs=request.logs if workers.leads else None,
        strategy=workers.strategy,
    )
    # Workers of which one finds a step in its cache and another does not would no longer agree.
    alone = workers.worker is None
    cache = Cache(request.cache) if request.cache is not None and alone else None
    writes_onnx = request.format != TFLITE_FORMAT
    return Maker(materials, keys, cache, work / MODEL_NAME, writes_onnx)


def _plain_task(wish: TaskWish) -> dict[str, Any]:
    """Return the task of the recipe, with the digests of the modules that it names."""
    sources = {str(function): function.source() for function in wish.functions()}
    digests = {name: sha256_of(path) for name, path in sources.items() if path is not None}
    return {**wish.plain(), "modules": digests} if wish.plain() else {}


def _warnings(request: ConversionRequest, result: RecipeResult) -> tuple[str, ...]:
    if request.logs is not None and any(record.cached for record in result.records):
        return ("steps that were done before leave no figures in --logs",)
    options = {"--format keras": request.keep_keras, "--logs": request.logs is not None}
    return tuple(
        f"nothing was trained, so there is nothing for {option}"
        for option, is_on in options.items()
        if is_on and result.keras is None
    )


def open_model(request: ConversionRequest, wish: TaskWish, report: Report) -> LoadedModel:
    """Load the model.

    Args:
        request: Model, with an absolute path.
        wish: Statements of the recipe, which name the user's own layers.
        report: Called with each progress.

    Raises:
        ConversionError: The model does not fit.
    """
    report(Progress("load model", 0, 0))
    source = with_data_shapes(identify(request.model), request.data)
    return load_model(source, custom_objects(wish))


def open_data(
    request: ConversionRequest, recipe: Recipe, source: LoadedModel, report: Report
) -> Dataset:
    """Check that the recipe fits the model, and look through the data.

    Args:
        request: Data and options, with absolute paths.
        recipe: The recipe.
        source: The model.
        report: Called with each progress.

    Raises:
        ConversionError: The model, the recipe or the data does not fit.
    """
    # Again, as only loading shows whether a SavedModel is of Keras layers alone.
    check_pairing(recipe, request.model, source.kind)
    report(Progress("read data", 0, 0))
    picture = declared_picture(request.picture_folders)
    form = replace(source.form(recipe.wish), picture=picture)
    check_inputs_outputs(recipe, source)
    dataset = open_dataset(request.data, form, request.image_range, request.seed)
    check_task(recipe, dataset.task)
    return dataset


def select_samples(
    dataset: Dataset, recipe: Recipe, request: ConversionRequest
) -> dict[str, Selection]:
    """Select the samples that are needed: reading more would only cost time and memory.

    Args:
        dataset: The data.
        recipe: The recipe.
        request: Options of the conversion.

    Returns:
        Use of samples to the selection of them.
    """
    labels = dataset.labels
    steps = recipe.steps if request.max_drop is None else may_be_tried(recipe)
    uses = {use for step in steps for use in step.needs}
    calibration = [getattr(step, "calibration_samples", 0) for step in steps]
    parts = partition(labels[TRAIN], max([0, *calibration]), request.seed)
    selections = {TEST: Selection(TEST, np.arange(len(labels[TEST])))}
    if CALIBRATION in uses:
        selections[CALIBRATION] = Selection(TRAIN, parts.calibration)
    if TRAIN in uses:
        selections[TRAIN] = Selection(TRAIN, parts.train)
    if uses & {TRAIN, VALIDATION} or request.judge_all or request.max_drop is not None:
        selections[VALIDATION] = Selection(TRAIN, parts.validation)
    if request.judge_all:
        selections[JUDGED_TRAIN] = Selection(TRAIN, parts.judged)
    return selections


def _compared(dataset: Dataset, seed: int) -> dict[str, Selection]:
    """Training samples whose outputs are compared with a board's, beside few test samples."""
    missing = LEAST_COMPARED - len(dataset.labels[TEST])
    available = len(dataset.labels[TRAIN])
    if missing <= 0 or not available:
        return {}
    rows = np.random.default_rng(seed).permutation(available)[:missing]
    return {COMPARED: Selection(TRAIN, np.sort(rows))}


def _splits(dataset: Dataset, samples: Mapping[str, Samples]) -> tuple[Split, ...]:
    every = ", every class" if dataset.labels[TRAIN].any() else ""
    every = ", no labels" if TRAIN in dataset.unlabelled else every
    origins = {use: f"some of {dataset.origins[TRAIN]}{every}" for use in samples}
    origins[TEST] = dataset.origins[TEST] + (", no labels" if TEST in dataset.unlabelled else "")
    return tuple(Split(use, len(samples[use]), origins[use], _USES[use]) for use in sorted(samples))


def _weight_bytes(source: LoadedModel) -> int | None:
    variables = [] if source.function is None else source.function.graph.variables
    return sum(v.dtype.size * v.shape.num_elements() for v in variables) or None


def _evidence(
    request: ConversionRequest, result: RecipeResult, source: LoadedModel, written: WrittenFiles
) -> Conversion:
    model, judgement = written.model, written.judgement
    return Conversion(
        model=model.path,
        model_sha256=model.sha256,
        model_bytes=model.size_bytes,
        recipe=result.recipe.name,
        recipe_steps=result.recipe.plain_steps(),
        seed=request.seed,
        source=str(request.model),
        source_sha256=source.sha256,
        source_bytes=source.size_bytes,
        source_weight_bytes=_weight_bytes(source),
        data=str(request.data),
        data_sha256="",
        splits=(),
        versions=installed_versions(),
        float_accuracy=judgement.accuracy(ORIGINAL),
        accuracy=judgement.accuracy(FILE),
        inputs=model.inputs,
        outputs=model.outputs,
        golden=model.path.with_name(GOLDEN_NAME),
        image_range=request.image_range,
        scores=judgement.scores,
        drops=judgement.drops,
        cost=FORMATS[model.format].cost(model.path),
        other_files=written.others,
        format_parity=written.parity,
        step_records=result.records,
        budget=None
        if request.max_drop is None
        else judge_budget(worst(written.drops, TEST), request.max_drop),
        task=result.recipe.wish.plain(),
        metric=judgement.metric,
        output_figures=judgement.outputs,
        recipe_file=request.recipe_file,
        sandbox=os.environ.get(SANDBOX_VARIABLE, ""),
    )
