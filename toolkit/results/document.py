"""What is kept of a result beside its samples: all that identifies it, as JSON. Pure."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from toolkit.measure.bench import Measurement
from toolkit.judge.row import Row


def document_of(measurement: Measurement, row: Row) -> dict[str, Any]:
    """Who measured what, where, how, and what was said of it."""
    host = {
        "name": platform.node(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    return {
        "kedge": version("kedge"),
        "host": host,
        "place": measurement.place,
        "facts": measurement.facts,
        "model_bytes": measurement.staged.size_bytes,
        "connect_s": measurement.connect_s,
        "push_s": measurement.push_s,
        "parity": _parity_document(measurement),
        "settings": _settings(measurement),
        "accuracy": measurement.accuracy.as_plain() if measurement.accuracy else None,
        "reasons": list(row.verdict.reasons),
        "warnings": list(row.verdict.warnings),
    }


def _settings(measurement: Measurement) -> dict[str, Any]:
    plain = asdict(measurement.settings)
    return plain | {
        name: None if plain[name] is None else str(plain[name]) for name in ("wheelhouse", "data")
    }


def _parity_document(measurement: Measurement) -> dict[str, Any]:
    parity = measurement.parity
    return dict(vars(parity), host=str(parity.host), board=str(parity.board))


def mode_of(document: str) -> str:
    """How it was measured; "" for back to back.

    Args:
        document: JSON of what `document_of` gave; where it is damaged the answer is "" as well, so
            that a list shows what is left.
    """
    try:
        settings = json.loads(document)["settings"]
        rate_hz = settings.get("rate_hz")
        return "soak" if settings.get("soak_s") else f"{rate_hz:g} Hz" if rate_hz else ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
