"""What became of a conversion, as plain data for the tests that asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.evidence.conversion import CONVERSION_NAME, GOLDEN_NAME
from converters.evidence.golden import read_golden
from converters.evidence.model_toml import MODEL_TOML
from converters.request import ConversionRequest
from converters.work import pipeline


def recipe_file(text: str, path: Path) -> str:
    """A recipe's text in a file; the name of a built-in one as it is."""
    if "[" not in text:
        return text
    path.write_text(text if text.strip().startswith("schema") else f"schema = 1\n{text}")
    return str(path)


def outcome(request: ConversionRequest, work: Path) -> dict[str, Any]:
    """Convert in this process, with every file in `work`.

    Returns:
        `conversion`, `card` (model.toml), `golden` (name of each input to its shape) and `labels`
        (names of the outputs that golden inputs have classes for, "" for a single one); or `error`
        and `hint`.
    """
    try:
        pipeline.run_pipeline(request, work, lambda progress: None)
    except ConversionError as error:
        return {"error": str(error), "hint": error.hint}
    golden = read_golden(work / GOLDEN_NAME)
    return {
        "conversion": json.loads((work / CONVERSION_NAME).read_text()),
        "card": (work / MODEL_TOML).read_text(),
        "golden": {name: list(array.shape) for name, array in golden.inputs.items()},
        "labels": sorted(golden.outputs or ([] if golden.labels is None else [""])),
    }
