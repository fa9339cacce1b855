"""The runtimes of a board's own, read from its files alone."""

import sys
from pathlib import Path

import pytest

from device_agent.board.board_runtimes import board_runtimes
from device_agent.board.tensorrt import gpu_name, library_version
from tests.tensorrt_board import install_trtexec


def test_tensorrt_is_named_with_its_version_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = install_trtexec(tmp_path, version="8.5.2")
    monkeypatch.setenv("PATH", str(programs))
    own = {entry["name"]: entry for entry in board_runtimes()}["tensorrt"]
    assert (own["version"], own["path"]) == ("8.5.2", str(programs / "trtexec"))


def test_without_a_program_there_is_no_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trtexec").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:relative")
    assert "tensorrt" not in {entry["name"] for entry in board_runtimes()}


def test_the_library_of_the_system_says_the_version(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "lib" / "aarch64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / "libnvinfer.so.10").touch()
    assert library_version(str(tmp_path / "bin" / "trtexec"), str(tmp_path)) == "unknown"
    (folder / "libnvinfer.so.10.3.0").touch()
    assert library_version(str(tmp_path / "bin" / "trtexec"), str(tmp_path)) == "10.3.0"


def test_the_gpu_is_that_of_the_driver_or_the_jetson(tmp_path: Path) -> None:
    tree = tmp_path / "proc" / "device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_text("Raspberry Pi 5\0")
    assert gpu_name(str(tmp_path)) == ""
    (tree / "model").write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    assert gpu_name(str(tmp_path)) == "NVIDIA Jetson Orin Nano Developer Kit"
    card = tmp_path / "proc" / "driver" / "nvidia" / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA RTX A2000\nIRQ: 1\n")
    assert gpu_name(str(tmp_path)) == "NVIDIA RTX A2000"


def test_onnx_runtime_is_named_with_the_providers_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "onnxruntime"
    (package / "capi").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "1.18.0"\n')
    (package / "capi" / "onnxruntime_inference_collection.py").touch()
    (package / "capi" / "libonnxruntime_providers_cuda.so").touch()
    (package / "capi" / "libonnxruntime_providers_tensorrt.so").touch()
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = {entry["name"]: entry for entry in board_runtimes()}["onnxruntime"]
    assert (own["version"], own["providers"]) == ("1.18.0", "CPU, CUDA, TensorRT")
