"""One result in the form in which it is given to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.judge.row import Row


@dataclass(frozen=True)
class ResultRecord:
    """One setting of a model on a board: what identifies it, its verdict and its samples."""

    target: str
    model: str
    """Path of the model, as it was given."""
    model_sha256: str
    runtime: str
    """Kernel class in words."""
    row: Row
    document: Mapping[str, Any]
    """All else that identifies it: `StoredResult.document` without `reasons` and `warnings`."""
