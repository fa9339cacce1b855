"""What a model declares beyond its file: weights, memory, and loops that do not end."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.deadline import watched
from converters.errors import ConversionError
from converters.sources import load_limits
from converters.sources.keras_file import read_zip
from converters.sources.load_limits import limit_load, refuse_without_memory
from converters.sources.source_file import SAVED_MODEL, SourceFile


def keras_file(folder: Path, class_name: str, **config: Any) -> Path:
    """A .keras of one layer, without weights."""
    path = folder / "model.keras"
    layers = [{"class_name": class_name, "config": {"name": "wide", **config}}]
    model = {"class_name": "Sequential", "config": {"name": "model", "layers": layers}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.3.3"}))
        archive.writestr("config.json", json.dumps(model))
    return path


@pytest.mark.parametrize(
    ("layer", "config"),
    [
        ("Dense", {"units": 2_000_000_000}),
        ("Conv2D", {"filters": 10**12}),
        ("Embedding", {"input_dim": 10**9, "output_dim": 8}),
        ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"units": 10**9}}}),
    ],
)
def test_a_layer_with_more_weights_than_its_file_can_hold_is_refused(
    tmp_path: Path, layer: str, config: dict[str, Any]
) -> None:
    with pytest.raises(ConversionError, match="which cannot hold its weights"):
        read_zip(keras_file(tmp_path, layer, **config))


def test_large_numbers_that_are_no_weights_are_allowed(tmp_path: Path) -> None:
    path = keras_file(tmp_path, "Dropout", seed=2**31, units=64, filters=99_000)
    assert read_zip(path)[0] == 3


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[ConversionError]:
    """Errors that a process answers from its thread."""
    errors: list[ConversionError] = []
    monkeypatch.setattr(watched, "end_with", errors.append)
    return errors


def test_a_model_that_is_not_loaded_in_time_ends_in_a_sentence(
    tmp_path: Path, answers: list[ConversionError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_limits, "_SECONDS", 0.05)
    with limit_load(SourceFile(tmp_path, SAVED_MODEL)):
        deadline = time.monotonic() + 30
        while not answers and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "a loop that does not end" in str(answers[0])
    assert answers[0].exit_code == 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/meminfo")
def test_a_model_gets_the_memory_that_is_free_while_it_is_loaded(
    tmp_path: Path, answers: list[ConversionError]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limit_load(SourceFile(tmp_path, SAVED_MODEL)):
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        assert 0 < most < 2**50
        with pytest.raises(MemoryError) as caught:
            np.empty(most + 2**30, np.uint8)
        with pytest.raises(ConversionError, match="more numbers than this computer has memory"):
            refuse_without_memory(tmp_path, caught.value)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert not answers


def test_a_shape_of_tensorflow_is_named(tmp_path: Path) -> None:
    error = RuntimeError("OOM when allocating tensor with shape[8,2000000000] and type float on …")
    with pytest.raises(ConversionError, match=r"a tensor of shape \[8,2000000000\]"):
        refuse_without_memory(tmp_path, error)
    refuse_without_memory(tmp_path, ValueError("something else"))


@pytest.mark.parametrize("kind", ["saved_model", "file"])
def test_a_loop_that_does_not_end_for_one_sample_ends_in_a_sentence(
    tmp_path: Path, kind: str
) -> None:
    command = [sys.executable, "-m", "tests.converters.programs.endless_model", kind, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert result.stdout.startswith("4 "), result.stderr[-2000:]
    assert "did not answer one sample within" in result.stdout
