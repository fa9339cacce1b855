"""Inputs of a check of outputs: held-out ones of the conversion, or random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.evidence.conversion import GOLDEN_NAME
from converters.evidence.golden import Golden, read_golden
from converters.model_file import ModelFile
from toolkit.errors import ToolkitError

#: Number of random inputs where a file has no held-out ones beside it.
RANDOM_SAMPLES = 64


def golden_beside(model: ModelFile) -> Golden | None:
    """Return the held-out inputs beside a file; `None` where there are none that belong to it."""
    path = model.path.parent / GOLDEN_NAME
    if not path.is_file():
        return None
    golden = read_golden(path)
    return golden if golden.model_sha256 == model.sha256 else None


def random_inputs(model: ModelFile) -> dict[str, np.ndarray[Any, Any]]:
    """Draw inputs of a model, equal in each call.

    Returns:
        Samples by input name, of the shape `(RANDOM_SAMPLES, ...)` and the type of the input: -1 to
        1 for floats, the whole range for integers.

    Raises:
        ToolkitError: An input has an open shape: the model has to be exported with fixed sizes.
    """
    random = np.random.default_rng(0)
    inputs = {}
    for spec in model.inputs:
        # An open batch (-1 in front) is 1 until somebody resizes it, and nobody does.
        inner = spec.shape[1:] if spec.shape[:1] in ((1,), (-1,)) else spec.shape
        if any(size < 1 for size in inner):
            raise ToolkitError(
                f"{model.path}: input {spec.name} has the open shape {list(spec.shape)}",
                "Export the model with fixed sizes.",
            )
        shape = (RANDOM_SAMPLES, *inner)
        kind = np.dtype(spec.dtype)
        if kind.kind == "f":
            inputs[spec.name] = random.uniform(-1, 1, shape).astype(kind)
        elif kind.kind == "b":
            inputs[spec.name] = random.integers(0, 2, shape).astype(kind)
        else:
            limits = np.iinfo(kind)
            inputs[spec.name] = random.integers(limits.min, limits.max, shape, dtype=kind)
    return inputs
