"""Datasets of PyTorch as arrays. Torch itself is not imported: whoever made the dataset has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.user_function import UserFunction
from converters.errors import ConversionError

Array = npt.NDArray[Any]

_HINT = (
    "Each sample must be a pair of an input and its answer, as numbers: tensors, arrays or dicts "
    "of them. For torchvision, transform must end with ToTensor() or Normalize(…)."
)


def is_torch_data(value: Any) -> bool:
    """Whether a value is a Dataset or DataLoader of torch."""
    bases = {f"{base.__module__}.{base.__name__}" for base in type(value).__mro__}
    return bool(
        bases & {"torch.utils.data.dataset.Dataset", "torch.utils.data.dataloader.DataLoader"}
    )


def torch_arrays(function: UserFunction, split: str, data: Any) -> dict[str, Array]:
    """Read all samples of a Dataset, or of the Dataset of a DataLoader, in its order.

    Args:
        function: Function of the user that returned it, for messages.
        split: "train" or "test".
        data: Dataset or DataLoader.

    Returns:
        x_train and y_train, or those of the other split: shape (n, …); of dicts an array for each
        key, its name with a dot and the key.

    Raises:
        ConversionError: It is empty or endless, a sample cannot be read or is no pair of numbers.
    """
    data = getattr(data, "dataset", data) if hasattr(data, "batch_size") else data
    if not hasattr(data, "__len__"):
        raise ConversionError(
            f"{function}: the dataset {split} has no length",
            "Return a Dataset with __len__ and __getitem__, not an IterableDataset.",
        )
    parts: dict[str, list[Array]] = {}
    for row in range(len(data)):
        try:
            sample = data[row]
        except Exception as error:  # The user's own transforms may raise anything.
            raise ConversionError(
                f"{function}: sample {row} of the dataset {split} fails: {error}",
                "Correct the dataset.",
            ) from error
        for name, array in _named(function, split, row, sample):
            parts.setdefault(name, []).append(array)
    if not parts:
        raise ConversionError(f"{function}: the dataset {split} is empty", "Give samples.")
    try:
        return {name: np.stack(arrays) for name, arrays in parts.items()}
    except ValueError as error:
        raise ConversionError(
            f"{function}: the samples of the dataset {split} have different shapes: {error}",
            "Bring them to one size, by a transform such as Resize((224, 224)).",
        ) from error


def _named(
    function: UserFunction, split: str, row: int, sample: Any
) -> Iterator[tuple[str, Array]]:
    pair = sample if isinstance(sample, (tuple, list)) else (sample,)
    if len(pair) not in (1, 2):
        raise ConversionError(
            f"{function}: sample {row} of the dataset {split} has {len(pair)} parts, expected an "
            "input and its answer",
            _HINT,
        )
    for side, value in zip("xy", pair, strict=False):
        by_key = value if isinstance(value, Mapping) else {"": value}
        for key, item in by_key.items():
            name = f"{side}_{split}.{key}" if key else f"{side}_{split}"
            yield name, _numbers(function, name, row, item)


def _numbers(function: UserFunction, name: str, row: int, value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except Exception as error:  # An object's own conversion to an array may raise anything.
        raise ConversionError(
            f"{function}: {name} of sample {row} is a {type(value).__name__}", _HINT
        ) from error
    is_picture = type(value).__module__.startswith("PIL.")
    if array.dtype.kind not in "biuf" or is_picture:
        raise ConversionError(
            f"{function}: {name} of sample {row} is a {type(value).__name__}, expected numbers",
            _HINT,
        )
    return array
