"""Refuses, before TensorFlow is started, what can be seen to fail."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from converters.data.user_function import user_function_at
from converters.errors import ConversionError, MissingConvertExtraError
from converters.recipe.recipe import Recipe, check_pairing, load_recipe
from converters.request import IMAGE_RANGES, ConversionRequest
from converters.sources.kinds import MODEL_SUFFIXES, identify
from converters.workers import check_together, worker_of

#: Modules of the extra `convert`; looked for, never imported in this process.
_EXTRA_MODULES = (
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
    "ai_edge_quantizer",
    "PIL",
)


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
    check_pairing(recipe, request.model, identify(request.model).kind)
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
        if name == "model" or user_function_at(path) is None:
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
    missing = [name for name in _EXTRA_MODULES if importlib.util.find_spec(name) is None]
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


def _check_readable(name: str, path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise ConversionError(f"{name} {path}: not found", "Check the path.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConversionError(f"{name} {path}: cannot be reached: {reason}", "Check it.") from error
    if not os.access(path, os.R_OK):
        raise ConversionError(f"{name} {path}: may not be read", "Check its rights.")
