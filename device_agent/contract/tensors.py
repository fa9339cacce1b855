"""Rules for inputs and outputs that the host and the board share: names, shapes, values."""

from __future__ import annotations

from typing import Iterable, List, Sequence

#: Ranges of random values for whole numbers without a scale, such as token numbers: lowest and
#: highest value. The first that a model accepts is used.
INTEGER_RANGES = ((0, 99), (0, 1), (1, 1), (0, 0))


def unique_names(names: Sequence[str]) -> List[str]:
    """Return a name for each input (or each output) of a model that no other one has.

    Args:
        names: Names of the tensors in the file, in the model's order.

    Returns:
        `names`, where they differ and none is empty; otherwise every one with its position in
        front, `0:a`, or only its position where the name is empty.
    """
    if all(names) and len(set(names)) == len(names):
        return list(names)
    return [
        "{}:{}".format(position, name) if name else str(position)
        for position, name in enumerate(names)
    ]


def sample_shape(shape: Iterable[int]) -> List[int]:
    """Return the shape of one sample: without its batch axis of 1, where it has one."""
    sizes = [int(size) for size in shape]
    return sizes[1:] if sizes[:1] == [1] else sizes
