"""A step that was done is not done again, however the conversion before ended."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import process
from converters.request import ConversionRequest
from tests.converters import warm
from tests.converters.conftest import start_parent

RECIPE = """
schema = 1
[[step]]
kind = "tune"
epochs = 2
learning_rate = 1e-3
[[step]]
kind = "qat_w8a8"
epochs = {epochs}
learning_rate = {rate}
"""


class Reports(list):
    """What a conversion told about its progress."""

    @property
    def stages(self) -> set[str]:
        return {report.stage for report in self}

    def first_epoch(self, stage: str) -> int:
        return next(int(r.detail.split()[1].split("/")[0]) for r in self if r.stage == stage)


def made(
    request: ConversionRequest, convert: Callable[..., Any] = warm.convert, **changes: Any
) -> tuple[Any, ...]:
    """A conversion and what it told."""
    reports = Reports()
    return convert(replace(request, **changes), reports.append), reports


def recipe(folder: Path, epochs: int = 4, rate: float = 1e-4) -> str:
    path = folder / "mine.toml"
    path.write_text(RECIPE.format(epochs=epochs, rate=rate))
    return str(path)


@pytest.fixture(scope="module")
def asked(
    digits_request: ConversionRequest, tmp_path_factory: pytest.TempPathFactory
) -> ConversionRequest:
    """A request with a cache of its own."""
    folder = tmp_path_factory.mktemp("cached")
    return replace(
        digits_request, recipe=recipe(folder), out=folder / "out", cache=folder / "cache"
    )


@pytest.fixture(scope="module")
def first(asked: ConversionRequest) -> tuple[Any, ...]:
    return made(asked, process.convert)


def test_what_was_done_is_not_done_again_and_the_file_is_the_same(
    asked: ConversionRequest, first: tuple[Any, ...], tmp_path: Path
) -> None:
    before, reports = first
    assert {"prepare for training", "tune", "train"} <= reports.stages
    again, told = made(asked, out=tmp_path / "out")
    assert {"tune is cached", "qat_w8a8 is cached"} <= told.stages
    assert not {"prepare for training", "tune", "train", "convert"} & told.stages
    assert again.model.read_bytes() == before.model.read_bytes()
    assert [record.cached for record in before.step_records] == [False, False]
    assert [record.cached for record in again.step_records] == [True, True]
    assert [r.found for r in again.step_records] == [r.found for r in before.step_records]
    assert again.accuracy == before.accuracy


def test_only_what_a_changed_value_decides_is_done_again(
    asked: ConversionRequest, first: tuple[Any, ...], tmp_path: Path
) -> None:
    changed, told = made(asked, recipe=recipe(tmp_path, rate=2e-4), out=tmp_path / "out")
    assert "tune is cached" in told.stages
    assert "train" in told.stages
    assert not {"tune", "qat_w8a8 is cached"} & told.stages
    assert changed.model_sha256 != first[0].model_sha256


def test_damaged_entries_are_never_trusted(
    asked: ConversionRequest, first: tuple[Any, ...], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in asked.cache.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        (cache / path.name).write_bytes(content)
    again, told = made(asked, cache=cache, out=tmp_path / "out")
    assert {"tune", "train"} <= told.stages
    assert again.model_sha256 == first[0].model_sha256


def test_a_killed_training_goes_on_after_its_last_epoch_to_the_same_file(
    asked: ConversionRequest, first: tuple[Any, ...], tmp_path: Path
) -> None:
    request = replace(asked, cache=tmp_path / "cache", out=tmp_path / "out")
    with start_parent(request) as parent:
        for line in parent.stdout:
            if line.startswith("train epoch 3/"):
                parent.send_signal(signal.SIGKILL)
                break
    resumed, told = made(request)
    assert "tune is cached" in told.stages
    assert 2 <= told.first_epoch("train") <= 4
    assert resumed.model_sha256 == first[0].model_sha256
    record = resumed.step_records[1].found
    assert record["losses"] == first[0].step_records[1].found["losses"]
    assert len(list(request.cache.iterdir())) == 2  # no epoch is left: the step is done


def test_a_full_disk_of_the_cache_costs_nothing_but_the_way_back(
    asked: ConversionRequest, tmp_path: Path, tiny_disk: Path
) -> None:
    conversion, _ = made(
        asked,
        recipe=recipe(tmp_path, epochs=1),
        cache=tiny_disk / "cache",
        out=tmp_path / "out",
    )
    assert conversion.accuracy.fraction > 0.9
    assert any("finished steps are not kept" in warning for warning in conversion.warnings)
    assert list((tiny_disk / "cache").iterdir()) == []


COMPARE = """
import sys
from pathlib import Path
import numpy as np
import tf_keras
from converters.tflite.run import run_model

data = np.load(sys.argv[2])["x_test"][:100].astype(np.float32)
file = Path(sys.argv[1])
answers = next(iter(run_model(file, {sys.argv[3]: data}).values()))
model = tf_keras.models.load_model(file.with_name("model.keras"), compile=False)
print(abs(model.predict(data, verbose=0) - answers).max())
"""


def test_the_trained_keras_model_is_what_the_file_was_made_of(
    asked: ConversionRequest, tmp_path: Path
) -> None:
    path = tmp_path / "tuned.toml"
    path.write_text(RECIPE.format(epochs=1, rate=1e-4).split('[[step]]\nkind = "qat')[0])
    out = tmp_path / "out"
    request = replace(asked, recipe=str(path), out=out, keep_keras=True)
    conversion = warm.convert(replace(request, logs=tmp_path / "logs", cache=None))
    assert conversion.inputs[0].dtype == "float32"
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, conversion.model, asked.data, conversion.inputs[0].name],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 1e-4
    (events,) = (tmp_path / "logs" / "1_tune").iterdir()
    written = events.read_bytes()
    for figure in (b"loss", b"accuracy", b"validation_accuracy", b"learning_rate"):
        assert figure in written
    plain = warm.convert(replace(request, keep_keras=False))
    assert not (out / "model.keras").exists()  # it was not of this file
    assert json.loads((out / "conversion.json").read_text())["recipe"] == plain.recipe


def _poison(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the parts of an entry; its digest is right again afterwards."""
    body = path.read_bytes().partition(b"\n")[2]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    body = buffer.getvalue()
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    path.chmod(0o600)


def _hostile_keras(parts: dict[str, bytes]) -> None:
    layer = {"class_name": "Lambda", "config": {"name": "evil", "function": "import os"}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": [layer]}))
    parts["model.keras"] = buffer.getvalue()


def _unknown_op(parts: dict[str, bytes]) -> None:
    if "draft.json" in parts:
        plain = json.loads(parts["draft.json"])
        plain["nodes"][-1]["op"] = "os.system"
        parts["draft.json"] = json.dumps(plain).encode()
    else:
        parts["model.tflite"] = b"no model"


def _deep_json(parts: dict[str, bytes]) -> None:
    parts["records.json"] = b"[" * 1_000_000


@pytest.mark.parametrize("change", [_hostile_keras, _unknown_op, _deep_json])
def test_entries_of_somebody_else_are_read_like_files_of_somebody_else(
    asked: ConversionRequest, first: tuple[Any, ...], tmp_path: Path, change: Any
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(0o700)
    for path in asked.cache.iterdir():
        copy = cache / path.name
        copy.write_bytes(path.read_bytes())
        _poison(copy, change)
    again, told = made(asked, cache=cache, out=tmp_path / "out", keep_keras=True)
    assert "qat_w8a8 is cached" not in told.stages
    assert again.model_sha256 == first[0].model_sha256
