"""Golden inputs: real held-out samples, ready to feed, to compare a board with the host."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import durable
from converters.data.array_file import ARRAY_DAMAGE, array_of, check_array_sizes
from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Enough for the paired comparison of outputs (at least 500 inputs), small enough for a slow link.
MAX_SAMPLES = 1_000
MAX_BYTES = 64 * 2**20

_INPUT_PREFIX, _MORE_PREFIX = "input/", "more/"
#: Keys for several outputs: their number, and labels and threshold of each classifier.
_SEVERAL, _LABELS_PREFIX, _THRESHOLD_PREFIX = "several outputs", "labels/", "threshold/"
_OWN_LABELS = "own_labels"

#: Errors of NumPy on a file that is not a complete .npz.
_DAMAGE = (*ARRAY_DAMAGE, KeyError)


@dataclass(frozen=True)
class Right:
    """Right classes of one output."""

    labels: npt.NDArray[np.int64] | None
    """Right class of each sample, int64, shape (n,), or None."""
    threshold: float | None = None
    """Real value above which a single number chooses class 1, or None; see `Golden`."""


@dataclass(frozen=True)
class Golden:
    """Inputs for one model file."""

    model_sha256: str
    """Digest of the .tflite that the inputs were quantized for."""
    inputs: dict[str, Array]
    """Tensor name to array of shape (n, ...), of exactly the dtype and the shape past the batch
    axis that the file's input takes."""
    labels: npt.NDArray[np.int64] | None
    """Right class of each sample, int64, shape (n,), or None."""
    threshold: float | None = None
    """Real value above which a single output chooses class 1 (0.5 of a probability, 0 of a logit);
    None where each class has an output of its own."""
    outputs: dict[str, Right] | None = None
    """Name of each output that is a classifier to its right classes; None for a model of one
    output."""
    own_labels: bool = False
    """Whether labels are what the original model answers: the data had none."""
    more_inputs: dict[str, Array] = field(default_factory=dict)
    """Tensor name to array of shape (k, ...): inputs of training samples, without labels, for the
    comparison of outputs where there are few held-out samples; empty where there are enough."""


def sample_count(available: int, sample_bytes: int) -> int:
    """How many golden samples to keep of `available` ones of `sample_bytes` each; at least 1."""
    return max(1, min(available, MAX_SAMPLES, MAX_BYTES // max(1, sample_bytes)))


def write_golden(path: Path, golden: Golden) -> None:
    """Write golden inputs as an .npz without pickled objects.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    arrays: dict[str, Array] = {_INPUT_PREFIX + name: x for name, x in golden.inputs.items()}
    arrays |= {_MORE_PREFIX + name: x for name, x in golden.more_inputs.items()}
    arrays["model_sha256"] = np.array(golden.model_sha256)
    if golden.labels is not None:
        arrays["labels"] = golden.labels
    if golden.threshold is not None:
        arrays["threshold"] = np.array(golden.threshold)
    if golden.outputs is not None:
        arrays[_SEVERAL] = np.array(len(golden.outputs))
    if golden.own_labels:
        arrays[_OWN_LABELS] = np.array(True)
    for name, right in (golden.outputs or {}).items():
        if right.labels is not None:
            arrays[_LABELS_PREFIX + name] = right.labels
        if right.threshold is not None:
            arrays[_THRESHOLD_PREFIX + name] = np.array(right.threshold)
    buffer = io.BytesIO()
    # A dict, as tensor names such as "serving_default_input:0" are no Python names.
    np.savez(buffer, **arrays)
    durable.write(path, buffer.getvalue())


def read_golden(path: Path) -> Golden:
    """Read what `write_golden` wrote.

    Raises:
        ConversionError: The file is missing, is no .npz of golden inputs, or holds pickled objects.
    """
    try:
        # NumPy leaves a damaged file open unless it was opened for it.
        with path.open("rb") as stream:
            check_array_sizes(stream)
            with np.load(stream, allow_pickle=False) as arrays:
                golden = _golden(arrays)
    except _DAMAGE as error:
        raise ConversionError(
            f"{path}: holds no golden inputs of kedge: {error}",
            "Convert the model again, or take the file away: then random inputs are compared.",
        ) from error
    if not golden.inputs:
        raise ConversionError(
            f"{path}: holds no golden inputs of kedge", "Convert the model again."
        )
    return golden


def _golden(arrays: Any) -> Golden:
    inputs, more_inputs = (
        {
            name.removeprefix(prefix): array_of(arrays, name)
            for name in arrays.files
            if name.startswith(prefix)
        }
        for prefix in (_INPUT_PREFIX, _MORE_PREFIX)
    )
    labels = array_of(arrays, "labels") if "labels" in arrays.files else None
    golden = Golden(
        str(arrays["model_sha256"]),
        inputs,
        labels,
        float(arrays["threshold"]) if "threshold" in arrays.files else None,
        _outputs(arrays) if _SEVERAL in arrays.files else None,
        _OWN_LABELS in arrays.files,
        more_inputs,
    )
    counts = {len(array) for array in inputs.values()}
    rights = [labels, *(right.labels for right in (golden.outputs or {}).values())]
    for array in (array for array in rights if array is not None):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise ValueError(f"labels of {array.dtype}, shape {array.shape}")
        counts.add(len(array))
    if len(counts) > 1:
        raise ValueError(f"arrays of {', '.join(map(str, sorted(counts)))} samples")
    if any(array.dtype.kind not in "biufc" for array in (*inputs.values(), *more_inputs.values())):
        raise ValueError("inputs that are no numbers")
    if more_inputs and (
        set(more_inputs) != set(inputs) or len({len(array) for array in more_inputs.values()}) > 1
    ):
        raise ValueError("inputs of training samples that do not fit the others")
    return golden


def _outputs(arrays: Any) -> dict[str, Right]:
    outputs = {}
    for key in arrays.files:
        if key.startswith(_LABELS_PREFIX):
            name = key.removeprefix(_LABELS_PREFIX)
            decides = _THRESHOLD_PREFIX + name
            threshold = float(arrays[decides]) if decides in arrays.files else None
            outputs[name] = Right(array_of(arrays, key), threshold)
    return outputs
