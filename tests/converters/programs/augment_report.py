"""What each step that trains is asked to feed: augment_report.py DIGITS_FOLDER REPORT.json."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.request import ConversionRequest
from converters.training import automatic
from converters.work import pipeline

KINDS = ("tune", "distill", "sparse", "cluster", "qat_w8a8")


class SeenError(ConversionError):
    """All that was wanted."""


def main(digits: Path, report: Path) -> None:
    """The settings of each step's batches."""
    found = {}

    def spy(model: Any, data: Any, settings: Any, *rest: Any) -> None:
        found[kind] = asdict(settings.batches)
        raise SeenError("seen")

    automatic.fine_tune = spy
    for kind in KINDS:
        recipe = report.with_name(f"{kind}.toml")
        recipe.write_text(
            f'schema = 1\n[[step]]\nkind = "{kind}"\nepochs = 1\nlearning_rate = 1e-3\n'
            'augment = "flip_shift"\n'
        )
        request = ConversionRequest(
            digits / "digits.keras", digits / "digits.npz", str(recipe), report.parent / "out"
        )
        try:
            pipeline.run_pipeline(
                request, Path(tempfile.mkdtemp(dir=report.parent)), lambda progress: None
            )
        except SeenError:
            continue
    report.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
