from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converters.recipe.recipe import parse_recipe
from tests.converters.conftest import run_program


@pytest.fixture(scope="module")
def seen(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    path = tmp_path_factory.mktemp("augment") / "report.json"
    run_program("augment_report", digits, path)
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["tune", "distill", "sparse", "cluster", "qat_w8a8"])
def test_every_step_that_trains_sees_images_mirrored_and_moved(
    seen: dict[str, dict[str, Any]], kind: str
) -> None:
    assert seen[kind]["flip"] is True
    assert seen[kind]["shift"] == 1  # an eighth of 8 pixels


def test_what_calibrates_cannot_be_augmented() -> None:
    for kind in ("ptq_w8a8", "ptq_w8a16", "mixed_w8a8"):
        with pytest.raises(Exception, match="'augment' is unknown"):
            parse_recipe({"schema": 1, "step": [{"kind": kind, "augment": "flip"}]}, "mine")
