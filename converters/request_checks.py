"""Refuses, before TensorFlow is started, what can be seen to fail."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from converters.data.dataset import InputForm
from converters.data.first_look import check_data, check_function
from converters.data.names import INPUT_NAME, plain_names
from converters.data.task import TaskWish
from converters.data.user_function import user_function_at
from converters.errors import ConversionError, MissingConvertExtraError
from converters.evidence.other_file import OUTPUT_FORMATS, TFLITE_FORMAT
from converters.recipe.recipe import Recipe, check_pairing, load_recipe
from converters.request import IMAGE_RANGES, ConversionRequest
from converters.sources.kinds import MODEL_SUFFIXES, identify
from converters.sources.source_file import SourceFile
from converters.workers import check_together, worker_of

#: Modules of the extra `convert`; looked for, never imported in this process.
_EXTRA_MODULES = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    "ai_edge_quantizer",
    "PIL",
)
#: Modules of the extra `onnx`, which is part of the extra `convert`.
_ONNX_MODULES = ("onnx", "onnxruntime")

#: Kind of the step after which activations have 16 bits.
_SIXTEEN_BITS = "ptq_w8a16"


def check_request(request: ConversionRequest) -> Recipe:
    """Refuse a request that can be seen to fail, by its recipe too.

    Args:
        request: A request with absolute paths.

    Returns:
        Its recipe.

    Raises:
        RecipeError: The recipe is unknown or a field of it is.
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: A file is missing, or a value is impossible.
    """
    recipe = load_recipe(request.recipe)
    tries = request.max_drop is not None
    check_together(worker_of(os.environ), tries, recipe.asks_latency)
    check_inputs(request)
    source = identify(request.model)
    check_pairing(recipe, request.model, source.kind)
    if request.format != TFLITE_FORMAT:
        _check_onnx_numbers(recipe)
    for teacher in (Path(t) for step in recipe.steps for t in getattr(step, "teachers", ())):
        _check_readable("teacher", teacher)
        identify(teacher)
    check_data_of(request, recipe.wish, source)
    return recipe


def check_inputs(request: ConversionRequest) -> None:
    """Refuse a request that can be seen to fail by any recipe.

    Args:
        request: A request with absolute paths; its recipe is not looked at.

    Raises:
        MissingConvertExtraError: kedge was installed without TensorFlow.
        ConversionError: A file is missing, or a value is impossible.
    """
    for name, path in (("model", request.model), ("data", request.data)):
        if user_function_at(path) is None:
            _check_readable(name, path)
    if request.data.suffix in MODEL_SUFFIXES:
        raise ConversionError(
            f"data {request.data}: is a model by its name",
            "Give the model first and the data with --data.",
        )
    if request.image_range not in IMAGE_RANGES:
        raise ConversionError(
            f"image range is {request.image_range!r}", f"Use one of {', '.join(IMAGE_RANGES)}"
        )
    if request.max_drop is not None and not 0 <= request.max_drop < 1:
        raise ConversionError(f"max drop is {request.max_drop}", "Use a share such as 0.01")
    if request.seed < 0:
        raise ConversionError(f"seed is {request.seed}", "Use 0 or more.")
    if os.path.exists(request.out) and not request.out.is_dir():  # noqa: PTH110 - never raises
        raise ConversionError(f"{request.out}: is a file, not a folder", "Choose another --out.")
    _check_packages(request)


def check_data_of(request: ConversionRequest, wish: TaskWish, source: SourceFile) -> None:
    """Refuse data that can be seen not to fit the model.

    Args:
        request: Request with absolute paths.
        wish: Statements of the recipe about the task.
        source: The model, recognised.

    Raises:
        ConversionError: The data is of no known kind, or does not fit.
    """
    for function in wish.functions():
        check_function(function)
    declared = source.shapes
    shapes = {
        name: tuple(axis for axis in shape[1:] if axis is not None)
        for name, shape in zip(
            plain_names(list(declared.inputs), INPUT_NAME), declared.inputs.values(), strict=True
        )
        if None not in shape[1:]
    }
    form = None
    if len(shapes) == len(declared.inputs) == 1 and declared.units is not None:
        wish.check_outputs(())
        (shape,) = shapes.values()
        units = declared.units
        form = InputForm(shape, max(2, units), (units,), wish, probabilities=True)
    if len(shapes) == len(declared.inputs):
        check_data(request.data, request.image_range, shapes, form)


def _check_readable(name: str, path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise ConversionError(f"{name} {path}: not found", _hint_of_absent(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConversionError(f"{name} {path}: cannot be reached: {reason}", "Check it.") from error
    if not os.access(path, os.R_OK):
        raise ConversionError(f"{name} {path}: may not be read", "Check its rights.")
    if not (path.is_file() or path.is_dir()):  # a pipe would be waited for without end
        raise ConversionError(f"{name} {path}: is neither a file nor a folder", "Check the path.")


def _hint_of_absent(path: Path) -> str:
    """Hint about a file that is not there: the right spelling where a function was meant."""
    module = path.with_suffix("")
    if path.suffix[1:].isidentifier() and module.with_suffix(".py").is_file():
        return f"Write a function with a colon: {module}:{path.suffix[1:]}"
    return "Check the path."


def _check_onnx_numbers(recipe: Recipe) -> None:
    """Refuse numbers that an .onnx of kedge does not have.

    Raises:
        ConversionError: The recipe ends with 16-bit activations.
    """
    last = recipe.steps[-1].kind if recipe.steps else ""
    if last == _SIXTEEN_BITS:
        raise ConversionError(
            f"the recipe ends with {last}, and an .onnx of opset 13, which every ONNX Runtime from "
            "1.14 on loads, has no 16-bit activations",
            "Use --format tflite, or a recipe of 8-bit activations such as ptq_w8a8 or qat_w8a8.",
        )


def _check_packages(request: ConversionRequest) -> None:
    if request.format not in OUTPUT_FORMATS:
        raise ConversionError(
            f"format is {request.format!r}", f"Use one of {', '.join(OUTPUT_FORMATS)}."
        )
    modules = _EXTRA_MODULES if request.format == TFLITE_FORMAT else _EXTRA_MODULES + _ONNX_MODULES
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingConvertExtraError(
            f"a conversion needs {', '.join(missing)}, which is not installed",
            "In a clone of kedge: pip install '.[convert]'",
        )
    if request.logs is not None and importlib.util.find_spec("tensorboard") is None:
        raise MissingConvertExtraError(
            "figures for TensorBoard need tensorboard, which is not installed",
            "In a clone of kedge: pip install '.[tensorboard]'",
        )
