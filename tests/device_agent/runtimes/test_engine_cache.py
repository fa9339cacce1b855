"""Engines are kept by what they were built from, bounded, and never loaded damaged."""

import os
from pathlib import Path

import pytest

from device_agent.runtimes import engine_cache
from device_agent.runtimes.engine_cache import EngineCache, engine_key
from device_agent.runtimes.trtexec_faults import banner_version, explain_trtexec, last_errors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(b"model")
    return path


def keep(folder: Path, key: str, content: bytes, used: float) -> str:
    new = folder.parent / "new"
    new.write_bytes(content)
    path = EngineCache(str(folder)).keep(str(new), key)
    os.utime(path, (used, used))
    return path


def test_the_key_is_of_all_that_decides_an_engine(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    keys = {
        engine_key(str(path), version, gpu, options)
        for path in (model, other)
        for version in ("8.5.2", "10.3.0")
        for gpu in ("Orin", "Xavier")
        for options in ([], ["--int8", "--fp16"])
    }
    assert len(keys) == 16
    assert engine_key(str(model), "8.5.2", "Orin", []) in keys


def test_those_that_were_used_longest_ago_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    monkeypatch.setattr(engine_cache, "MOST_ENGINES", 3)
    for number in range(3):
        keep(folder, f"{number:064x}", b"%d" % number, used=1000.0 + number)
    cache = EngineCache(str(folder))
    assert cache.find(f"{0:064x}")  # counts as used now
    keep(folder, f"{3:064x}", b"3", used=2000.0)
    assert [bool(cache.find(f"{number:064x}")) for number in range(4)] == [True, False, True, True]
    monkeypatch.setattr(engine_cache, "MOST_BYTES", 150)
    keep(folder, f"{4:064x}", b"4" * 150, used=3000.0)
    assert len(list(folder.iterdir())) == 1


def test_a_link_or_a_damaged_file_is_no_engine(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    path = Path(keep(folder, "0" * 64, b"engine", used=1000.0))
    (folder / f"{'1' * 64}.{'2' * 64}.plan").symlink_to(path)
    (folder / "notes").write_text("somebody's")
    cache = EngineCache(str(folder))
    assert cache.find("1" * 64) == ""
    path.write_bytes(b"engin!")
    assert cache.find("0" * 64) == ""
    assert not path.exists()
    assert (folder / "notes").exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec", (8, 2, 1)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec", (8, 6, 1)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # trtexec", (10, 3, 0)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v101303] # trtexec", (10, 13, 3)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v110100] # trtexec", (11, 1, 0)),
        ("another program", ()),
    ],
)
def test_the_banner_says_the_version(text: str, version: tuple[int, ...]) -> None:
    assert banner_version(text) == version


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("[E] Could not find any implementation for node conv1 + relu.", "the node conv1 + relu"),
        ("[E] While parsing node number 5 [Loop -> \"out\"]:", 'not take the node Loop -> "out"'),
        ("[E] TRT only supports symmetric quantization - zeroPt must be all zeros", "zero points"),
        ("[E] Could not load library libnvinfer_plugin.so.8: no such", "libnvinfer_plugin.so.8"),
        ("[E] CUDA initialization failure with error: 35", "the GPU does not answer"),
        ("[E] Unknown option: --exposeDMA", "no option --exposeDMA"),
        ("nothing that is known", ""),
    ],
)  # fmt: skip
def test_a_complaint_is_explained(text: str, meaning: str) -> None:
    complaint = explain_trtexec(text)
    assert meaning in complaint.meaning
    assert bool(complaint.hint) == bool(meaning)


def test_only_errors_are_passed_on_and_no_control_signs() -> None:
    text = "[I] fine\n" * 100 + "[E] bad \x1b[31m\x07\n[I] end\n"
    assert last_errors(text) == "[E] bad [31m"
    assert len(last_errors("[E] " + "x" * 10_000)) <= 1500
