"""Models that bring code or reach for other files are refused, and nothing of them runs."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.process import convert, plan
from converters.request import ConversionRequest
from tests.converters.conftest import run_program


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("hostile") / "models"
    folder.mkdir()
    report: dict[str, Any] = json.loads(run_program("hostile_files", folder).splitlines()[-1])
    return report


def test_every_hostile_model_is_refused_for_what_is_in_it(report: dict[str, Any]) -> None:
    hostile = {name: row for name, row in report["outcomes"].items() if row[0]}
    assert len(hostile) > 450
    wrong = {n: row for n, row in hostile.items() if row[2] != 4 or row[0] not in row[1]}
    assert wrong == {}


def test_harmless_models_of_the_same_forms_are_loaded(report: dict[str, Any]) -> None:
    harmless = {name: row for name, row in report["outcomes"].items() if not row[0]}
    assert len(harmless) >= 30
    assert {name: row for name, row in harmless.items() if row[2]} == {}


def test_nothing_runs_and_no_other_file_is_opened(report: dict[str, Any]) -> None:
    assert report["events"] == []
    assert report["changed"] == []


def test_no_op_that_kedge_allows_gets_the_name_of_a_file(report: dict[str, Any]) -> None:
    assert report["file_ops"] == []


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model with a Lambda layer, which `tests.converters.programs.hostile_files` has, too."""
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": "import os"}}
    config = {"class_name": "Sequential", "config": [layer]}
    path = tmp_path / "hostile.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
    return path


@pytest.mark.parametrize("place", ["model", "teacher"])
@pytest.mark.parametrize("task", [convert, plan])
def test_a_hostile_model_is_refused_wherever_it_is_named(
    digits_request: ConversionRequest, tmp_path: Path, hostile: Path, place: str, task: Any
) -> None:
    request = replace(digits_request, out=tmp_path / "out")
    if place == "model":
        request = replace(request, model=hostile)
    else:
        recipe = tmp_path / "mine.toml"
        recipe.write_text(
            f'schema = 1\n[[step]]\nkind = "distill"\nepochs = 1\nteachers = ["{hostile}"]\n'
        )
        request = replace(request, recipe=str(recipe))
    with pytest.raises(ConversionError, match="layer 'evil' is a Lambda layer") as caught:
        task(request)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_postscript_under_the_name_of_a_picture_starts_no_program(
    digits_request: ConversionRequest, tmp_path: Path, images: Any, form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    mark = tmp_path / "ran"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    data = images(classes=tuple("abcdefghij"))
    for path in sorted((data / "a").iterdir()):
        path.write_bytes(EPS)
    if form == "tar":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(data, "data")
        data = tmp_path / "data.tar.gz"
        data.write_bytes(buffer.getvalue())
    with pytest.raises(ConversionError, match=r"\.png: cannot be decoded") as caught:
        convert(replace(digits_request, data=data, out=tmp_path / "out"))
    assert caught.value.exit_code == 4
    assert not mark.exists()
