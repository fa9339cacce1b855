"""Reads what is kept of a result beside its samples: a JSON document. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from device_agent.contract.op_times import op_times_from_json

#: Largest depth of tables and lists in each other; those of kedge have 6.
_MOST_DEPTH = 30

#: Types of what every document has, and of what it may have, by path; `float` takes any number.
_REQUIRED: dict[str, type] = {
    "place": str,
    "kedge": str,
    "facts": dict,
    "settings": dict,
    "parity": dict,
    "parity.verdict": str,
    "parity.reason": str,
    "reasons": list,
}
_OPTIONAL: dict[str, type] = {
    "host": dict,
    "warnings": list,
    "streams": int,
    "model_bytes": int,
    "op_times": dict,
    "accuracy": dict,
    "accuracy.board": float,
    "accuracy.host": float,
    "accuracy.samples": int,
    "accuracy.board_interval": list,
}


def parse_document(text: str) -> dict[str, Any]:
    """Parse the document of a result.

    Args:
        text: Content of the column.

    Raises:
        ValueError: It is no such document; the message says what is wrong.
    """
    try:
        plain = json.loads(text)
    except (TypeError, RecursionError) as error:
        raise ValueError("its document is no JSON that can be read") from error
    if not isinstance(plain, dict):
        raise ValueError(f"its document is {str(plain)[:60]!r}, expected an object")
    if not is_shallow(plain, _MOST_DEPTH):
        raise ValueError(f"its document is nested deeper than {_MOST_DEPTH}")
    for table, is_required in ((_REQUIRED, True), (_OPTIONAL, False)):
        for path, kind in table.items():
            _check(plain, path, kind, is_required)
    _check_lists(plain)
    if plain.get("op_times"):
        op_times_from_json(plain["op_times"])
    return plain


def mode_of(document: str) -> str:
    """Return how a result was measured; "" for runs back to back.

    Args:
        document: JSON of `StoredResult.document`; where it is damaged the answer is "" as well, so
            that a list shows the other columns.
    """
    try:
        plain = json.loads(document)
        settings, streams = plain["settings"], plain.get("streams", 1)
        if streams > 1:
            return f"{streams} streams"
        rate_hz = settings.get("rate_hz")
        return "soak" if settings.get("soak_s") else f"{rate_hz:g} Hz" if rate_hz else ""
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def recipe_of(document: str) -> str:
    """Return the recipe that the model was converted by; "" where that is not known.

    Args:
        document: JSON of `StoredResult.document`; damaged, or of an older kedge, it has none.
    """
    try:
        recipe = json.loads(document).get("recipe")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""
    return recipe if isinstance(recipe, str) else ""


def _check(plain: Mapping[str, Any], path: str, kind: type, is_required: bool) -> None:
    value: Any = plain
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None and not is_required:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_right = number and math.isfinite(value) if kind is float else isinstance(value, kind)
    if not is_right or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path} of its document is {str(value)[:60]!r}")


def _check_lists(plain: Mapping[str, Any]) -> None:
    for name in ("reasons", "warnings"):
        if not all(isinstance(reason, str) for reason in plain.get(name) or ()):
            raise ValueError(f"{name} of its document are not all texts")
    if not 1 <= (plain.get("streams") or 1) <= 1024:
        raise ValueError(f"streams of its document is {plain['streams']!r}")
    accuracy = plain.get("accuracy")
    if accuracy:
        for name in ("board", "host", "samples", "board_interval", "data"):
            if name not in accuracy:
                raise ValueError(f"accuracy of its document lacks {name}")
        interval = accuracy["board_interval"]
        if len(interval) != 2 or not all(isinstance(end, (int, float)) for end in interval):
            raise ValueError(f"accuracy.board_interval of its document is {interval!r}")


def is_shallow(value: Any, most: int) -> bool:
    """Whether no table or list lies deeper than a number of others."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return most > 0 and all(is_shallow(part, most - 1) for part in inner)
