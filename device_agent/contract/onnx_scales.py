"""Scales of the integer inputs and outputs of an .onnx, as its `metadata_props` keep them.

An input or output of ONNX has a type and a shape, and no place for a scale. Where a file takes or
gives whole numbers that stand for real values, one entry of its metadata says which.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple

from device_agent.contract.records import RecordError, parse_json, read_value

#: Key of the entry in `metadata_props` of the model.
SCALES_KEY = "kedge.scales"

#: Longest text of the entry that is read; a name has rarely more than 100 characters.
_MOST_CHARACTERS = 1 << 20


class IntegerScale(NamedTuple):
    """Real values of a quantized input or output: ``real = scale * (stored - zero_point)``."""

    scale: float
    """Real value of one step; above 0."""
    zero_point: int
    """Stored value that stands for the real value 0."""


def scales_to_text(scales: Mapping[str, IntegerScale]) -> str:
    """Write the entry for the metadata of a file.

    Args:
        scales: Scale of each quantized input and output, by the name of the tensor.
    """
    return json.dumps({name: list(scale) for name, scale in scales.items()}, sort_keys=True)


def scales_from_text(text: str) -> Dict[str, IntegerScale]:
    """Read the entry of a file that nobody has to trust.

    Args:
        text: The entry; empty where the file has none.

    Returns:
        Scale of each quantized input and output, by the name of the tensor.

    Raises:
        RecordError: The entry is damaged, and the scales of the file are not known.
    """
    if not text:
        return {}
    if len(text) > _MOST_CHARACTERS:
        raise RecordError("{} has {} characters".format(SCALES_KEY, len(text)))
    plain = parse_json(text.encode("utf-8", "replace"))
    if not isinstance(plain, dict):
        raise RecordError("{} is no JSON object".format(SCALES_KEY))
    return {name: _scale(name, pair) for name, pair in plain.items()}


def _scale(name: str, pair: Any) -> IntegerScale:
    if not isinstance(pair, list) or len(pair) != 2:
        raise RecordError("{}: expected scale and zero point of {!r}".format(SCALES_KEY, name[:80]))
    scale = float(read_value(float, pair[0], SCALES_KEY))
    if not scale > 0:
        raise RecordError("{}: the scale of {!r} is not above 0".format(SCALES_KEY, name[:80]))
    return IntegerScale(scale, int(read_value(int, pair[1], SCALES_KEY)))
