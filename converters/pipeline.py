"""The whole way from a request to a conversion; runs in the child process."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.conversion import (
    GOLDEN_NAME,
    MODEL_NAME,
    Accuracy,
    Conversion,
    Split,
    write_conversion,
)
from converters.data_source import open_dataset
from converters.dataset import CALIBRATION, TEST, TRAIN, Dataset, InputForm, Samples, Selection
from converters.digest import sha256_of
from converters.draft import Draft, Materials, Technique
from converters.emit import emit
from converters.evaluate import golden_inputs, judge_file, judge_source, warnings_of
from converters.golden import write_golden
from converters.model_source import LoadedModel, load_model
from converters.progress import Progress, Report
from converters.quantize import ptq
from converters.recipe import Ptq, Qat, Recipe, Step, check_pairing, load_recipe
from converters.request import ConversionRequest
from converters.source_file import identify
from converters.split import balanced_choice
from converters.tflite.reader import ModelFile
from converters.versions import installed_versions


def _qat(draft: Draft, step: Step, materials: Materials) -> Draft:
    from converters.quantize import qat  # TFMOT takes seconds to import; only this step needs it

    assert isinstance(step, Qat)
    return qat.train(draft, step, materials)


#: What does each kind of step. A new technique adds its line here.
TECHNIQUES: dict[str, Technique] = {"ptq": ptq.quantize, "qat": _qat}


def run(request: ConversionRequest, work: Path, report: Report) -> Conversion:
    """Do a conversion, with every file of it in `work`.

    Args:
        request: What to convert, with absolute paths.
        work: An empty folder.
        report: Where progress goes.

    Raises:
        ConversionError: The model or the data does not fit.
    """
    recipe = load_recipe(request.recipe)
    report(Progress("load model", 0, 0))
    source = load_model(identify(request.model))
    # Again, as only loading shows whether a SavedModel is of Keras layers alone.
    check_pairing(recipe, request.model, source.kind)
    report(Progress("read data", 0, 0))
    form = InputForm(source.input_shape, source.classes)
    dataset = open_dataset(request.data, form, request.image_range, request.seed)
    samples = dataset.read(_wanted(dataset, recipe, request.seed), report)
    materials = Materials(source, samples, request.seed, report)

    draft = Draft(source.function, source.keras_model)
    for step in recipe.steps:
        draft = TECHNIQUES[step.kind](draft, step, materials)

    written = emit(draft, work / MODEL_NAME, report)
    accuracy = judge_file(written, samples[TEST], source.probabilities, report)
    float_accuracy = judge_source(source, samples[TEST], report)
    write_golden(work / GOLDEN_NAME, golden_inputs(written, samples[TEST], request.seed))
    warnings = draft.warnings + warnings_of(source, float_accuracy, request.data)
    conversion = _evidence(
        request,
        recipe,
        source,
        written,
        _splits(dataset, samples),
        (float_accuracy, accuracy),
        warnings,
    )
    write_conversion(conversion)
    return conversion


def _wanted(dataset: Dataset, recipe: Recipe, seed: int) -> dict[str, Selection]:
    """Which samples the recipe needs: reading more would only cost time and memory."""
    labels = dataset.labels
    wanted = {TEST: Selection(TEST, np.arange(len(labels[TEST])))}
    for step in recipe.steps:
        if isinstance(step, Ptq):
            chosen = balanced_choice(labels[TRAIN], step.calibration_samples, seed)
            wanted[CALIBRATION] = Selection(TRAIN, chosen)
        if isinstance(step, Qat):
            wanted[TRAIN] = Selection(TRAIN, np.arange(len(labels[TRAIN])))
    return wanted


def _splits(dataset: Dataset, samples: dict[str, Samples]) -> tuple[Split, ...]:
    origins = {**dataset.origins, CALIBRATION: f"some of {dataset.origins[TRAIN]}, every class"}
    return tuple(Split(name, len(samples[name]), origins[name]) for name in sorted(samples))


def _evidence(
    request: ConversionRequest,
    recipe: Recipe,
    source: LoadedModel,
    written: ModelFile,
    splits: tuple[Split, ...],
    accuracies: tuple[Accuracy, Accuracy],
    warnings: tuple[str, ...],
) -> Conversion:
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
        splits=splits,
        versions=installed_versions(),
        float_accuracy=accuracies[0],
        accuracy=accuracies[1],
        inputs=written.inputs,
        outputs=written.outputs,
        warnings=warnings,
        golden=written.path.with_name(GOLDEN_NAME),
    )
