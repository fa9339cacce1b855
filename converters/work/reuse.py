"""Conversions that are there already: a request that is equal in all that decides it reads them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from converters.data.user_function import user_function_at
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import (
    CONVERSION_NAME,
    Conversion,
    is_unchanged,
    read_conversion,
)
from converters.evidence.declared_picture import declared_picture
from converters.evidence.model_toml import MODEL_TOML
from converters.recipe.recipe import Recipe
from converters.recipe.step import SHAPE
from converters.request import ConversionRequest
from converters.versions import installed_versions
from converters.work.step_keys import package_digest
from converters.workers import worker_of
from device_agent.contract.codes import IntegrityError


@dataclass(frozen=True)
class InputDigests:
    """Digests of what a user gives; read once for several recipes."""

    model: str
    """Digest of the model; "" where a function of the user's gives it."""
    data: str
    """Digest of the data; "" where a function of the user's gives it."""


def digest_inputs(request: ConversionRequest) -> InputDigests:
    """Read the model and the data of a request.

    Args:
        request: Request with absolute paths, whose files exist.
    """
    paths = (request.model, request.data)
    return InputDigests(*("" if user_function_at(path) else sha256_of(path) for path in paths))


def request_digest(
    request: ConversionRequest, recipe: Recipe, inputs: InputDigests | None = None
) -> str:
    """Return the digest of all that decides a conversion.

    Args:
        request: Request with absolute paths, whose files exist.
        recipe: Its recipe.
        inputs: Digests of its model and data; None to read them.

    Returns:
        64 hex digits; "" where it cannot be known, as code of the user's own has a part in it.
    """
    if recipe.wish.functions() or any(map(user_function_at, (request.model, request.data))):
        return ""
    inputs = inputs or digest_inputs(request)
    teachers = [path for step in recipe.steps for path in getattr(step, "teachers", ())]
    by_place = any(step.phase == SHAPE for step in recipe.steps)
    plain = [
        request.recipe_file,
        recipe.plain_steps(),
        recipe.wish.plain(),
        [sha256_of(Path(path)) for path in teachers],
        str(request.model),
        str(request.data),
        [inputs.model, inputs.data],
        [request.seed, request.image_range, request.max_drop],
        str(declared_picture(request.picture_folders)),
        [request.judge_all, request.judge_test, request.keep_keras, request.format],
        request.measured_on if by_place else "",
        installed_versions(),
        package_digest(),
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def earlier_conversion(
    request: ConversionRequest, recipe: Recipe, inputs: InputDigests | None = None
) -> Conversion | None:
    """Read the conversion of an equal request that is there already, every file checked by digest.

    Args:
        request: Request with absolute paths, whose files exist.
        recipe: Its recipe.
        inputs: Digests of its model and data; None to read them.

    Returns:
        The conversion; None where there is none, where it or a file of it was changed, or where
        only doing it again can show what comes of it (the user's own code, figures for
        TensorBoard, several machines).
    """
    folder = request.out
    if request.logs is not None or worker_of(os.environ) is not None:
        return None
    if not ((folder / CONVERSION_NAME).is_file() and (folder / MODEL_TOML).is_file()):
        return None
    try:
        earlier = read_conversion(folder)
    except (ConversionError, IntegrityError):
        return None
    digest = request_digest(request, recipe, inputs)
    return earlier if digest and is_unchanged(folder, digest) else None
