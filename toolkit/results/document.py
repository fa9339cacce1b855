"""Reads what is kept of a result beside its samples: a JSON document. Pure."""

from __future__ import annotations

import json


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
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
