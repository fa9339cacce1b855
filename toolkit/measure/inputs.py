"""Inputs of a check of outputs: held-out ones of the conversion, or random ones."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.evidence.conversion import GOLDEN_NAME
from converters.evidence.golden import Golden, read_golden
from converters.evidence.other_file import ONNX_GOLDEN_NAME
from converters.model_file import ModelFile
from converters.out_folder import read_together
from converters.tensor_spec import TensorSpec
from device_agent.contract.tensors import sample_shape
from targets.agent_client import MOST_FILE_BYTES

#: Number of random inputs where a file has no held-out ones beside it; fewer where they are large.
RANDOM_SAMPLES = 64

#: Largest size of all random inputs together with their outputs, unless one sample is larger.
_MOST_BYTES = 32 << 20

#: Kinds of numpy types whose values kedge makes and compares: float, signed, unsigned, truth.
_KINDS = "fiub"


def golden_beside(model: ModelFile) -> Golden | None:
    """Return the held-out inputs beside a file; `None` where there are none that belong to it."""
    folder = model.path.parent
    for path in (folder / GOLDEN_NAME, folder / ONNX_GOLDEN_NAME):
        if path.is_file():
            with read_together(folder):
                golden = read_golden(path)
            if golden.model_sha256 == model.sha256:
                return golden
    return None


def refuse_odd_tensors(model: ModelFile) -> None:
    """Refuse a file whose inputs kedge cannot make, or whose outputs it cannot compare.

    Raises:
        ConversionError: It has no inputs or no outputs, an input has an open shape, or a tensor
            holds something else than numbers, or they are too large to be sent.
    """
    for what, specs in (("inputs", model.inputs), ("outputs", model.outputs)):
        if not specs:
            raise ConversionError(
                f"{model.path}: has no {what}, expected at least one to measure it",
                "Export the model with inputs and outputs.",
            )
        for spec in specs:
            if _number_type(spec) is None:
                raise ConversionError(
                    f"{model.path}: {what[:-1]} {spec.name!r} is of type {spec.dtype}, expected "
                    "numbers: kedge has no values of that type",
                    "Export the model without that part, such as a tokenizer.",
                )
        size = sum(map(_sample_bytes, specs))
        if size > MOST_FILE_BYTES:
            raise ConversionError(
                f"{model.path}: the {what} of one inference have {size:,} bytes, expected at most "
                f"{MOST_FILE_BYTES:,}: kedge sends them as files",
                f"Export the model with smaller {what}.",
            )
    for spec in model.inputs:
        if any(size < 1 for size in spec.shape[1:]) or spec.shape[:1] == (0,):
            kind = "open" if -1 in spec.shape else "empty"
            raise ConversionError(
                f"{model.path}: input {spec.name!r} has the {kind} shape {list(spec.shape)}, "
                "expected fixed sizes behind the batch",
                "Export the model with fixed sizes.",
            )


def has_plain_integers(model: ModelFile) -> bool:
    """Whether an input takes whole numbers without a scale, such as token numbers."""
    return any(_is_plain_integer(spec) for spec in model.inputs)


def random_inputs(model: ModelFile, integers: tuple[int, int]) -> dict[str, np.ndarray[Any, Any]]:
    """Draw inputs of a model that `refuse_odd_tensors` accepts, equal in each call.

    Args:
        model: File.
        integers: Lowest and highest value of whole numbers without a scale.

    Returns:
        Samples by input name, of the shape `(samples, ...)` and the type of the input: -1 to 1 for
        floats, the whole range for quantized numbers. There are `RANDOM_SAMPLES`, or as many as
        fit into a few MiB together with their outputs, at least 1.
    """
    sample_bytes = sum(_sample_bytes(spec) for spec in (*model.inputs, *model.outputs))
    samples = max(1, min(RANDOM_SAMPLES, _MOST_BYTES // max(1, sample_bytes)))
    random = np.random.default_rng(0)
    return {spec.name: _draw(random, spec, samples, integers) for spec in model.inputs}


def _draw(
    random: np.random.Generator, spec: TensorSpec, samples: int, integers: tuple[int, int]
) -> np.ndarray[Any, Any]:
    shape, kind = (samples, *sample_shape(_fixed(spec))), np.dtype(spec.dtype)
    if kind.kind == "f":
        values = random.random(shape, np.float64 if kind == np.float64 else np.float32)
        values *= 2
        values -= 1
        return values.astype(kind, copy=False)
    if kind.kind == "b":
        return random.integers(0, 2, shape, dtype=np.bool_)
    low, high = integers
    if not _is_plain_integer(spec):
        limits = np.iinfo(kind)
        low, high = int(limits.min), int(limits.max)
    return random.integers(low, high, shape, dtype=kind.type, endpoint=True)


def _is_plain_integer(spec: TensorSpec) -> bool:
    return np.dtype(spec.dtype).kind in "iu" and not spec.scale


def _fixed(spec: TensorSpec) -> list[int]:
    """Return the shape with an open batch as 1: it is 1 until somebody resizes it."""
    return [1 if size < 0 else size for size in spec.shape]


def _sample_bytes(spec: TensorSpec) -> int:
    return prod(_fixed(spec)) * np.dtype(spec.dtype).itemsize


def _number_type(spec: TensorSpec) -> np.dtype[Any] | None:
    try:
        kind = np.dtype(spec.dtype)
    except TypeError:
        return None
    return kind if kind.kind in _KINDS else None
