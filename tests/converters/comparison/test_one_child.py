"""Several recipes in one child: started once, equal files, and a crash ends one recipe alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import child
from converters.comparison.compare import compare_recipes
from converters.comparison.comparison_file import write_comparison
from converters.digest import sha256_of
from converters.evidence.conversion import Conversion
from converters.process import find_conversion
from converters.progress import Progress
from converters.request import ConversionRequest
from tests.converters.test_conversion_process import last_child_of

NAMES = ("float32", "ptq_w8a8", "ptq_f16")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Children that a comparison starts."""
    children: list[Any] = []
    start = child.start_process
    monkeypatch.setattr(
        child, "start_process", lambda *args: children.append(start(*args)) or children[-1]
    )
    return children


def test_a_crash_ends_one_recipe_and_the_others_are_those_of_separate_processes(
    digits_request: ConversionRequest,
    digits_ptq: Conversion,
    tmp_path: Path,
    started: list[Any],
) -> None:
    request = replace(digits_request, out=tmp_path / "out")

    def kill(progress: Progress) -> None:
        if progress.stage == "recipe 1 of 3, float32: load model":
            os.kill(last_child_of(started[0].pid), signal.SIGKILL)

    comparison = compare_recipes(request, NAMES, kill)
    crashed, ptq, f16 = comparison.rows
    assert crashed.refused.startswith("the conversion process was ended by SIGKILL")
    assert ptq.conversion is not None
    assert f16.conversion is not None
    assert len(started) == 1
    assert ptq.conversion.model_sha256 == digits_ptq.model_sha256

    write_comparison(comparison, request.out)
    again = compare_recipes(request, NAMES)  # what crashed once may succeed now
    assert len(started) == 2
    assert again.rows[0].conversion is not None
    assert not list(request.out.glob(".kedge-*"))


def test_a_child_that_dies_is_replaced(
    digits_request: ConversionRequest, tmp_path: Path, started: list[Any]
) -> None:
    def kill(progress: Progress) -> None:
        if progress.stage == "recipe 1 of 2, ptq_f16: load model":
            os.kill(started[0].pid, signal.SIGKILL)

    request = replace(digits_request, out=tmp_path / "out")
    rows = compare_recipes(request, ("ptq_f16", "ptq_w8a8"), kill).rows
    assert rows[1].conversion is not None
    assert len(started) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _edit(folder / "conversion.json", '"seed": 0', '"seed": 1'),
        lambda folder: (folder / "golden.npz").write_bytes(b"PK"),
        lambda folder: (folder / "model.toml").unlink(),
        lambda folder: (folder / "model.tflite").write_bytes(b"TFL3"),
    ],
)
def test_a_conversion_that_was_changed_is_not_taken_for_the_one_of_before(
    digits_request: ConversionRequest,
    digits_ptq: Conversion,
    tmp_path: Path,
    change: Callable[[Path], Any],
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in digits_ptq.model.parent.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    request = replace(digits_request, out=out)
    earlier = find_conversion(request)
    assert earlier is not None
    assert earlier.model_sha256 == sha256_of(out / "model.tflite")
    assert find_conversion(replace(request, seed=1)) is None
    assert find_conversion(replace(request, max_drop=0.1)) is None
    change(out)
    assert find_conversion(request) is None


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
