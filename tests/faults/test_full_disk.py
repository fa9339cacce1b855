"""A board's disk fills up in each phase of a measurement: it is told, and nothing is left over."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from targets import device as device_module
from targets.board_disk import BoardDiskError
from targets.inventory import Target
from targets.provision import open_device
from tests.faults.afterwards import BRIEF, assert_unharmed
from tests.targets.small_disk import small_disk
from tests.wheel_files import wheel_file

SIZE = 24_000_000
SAMPLES = np.ones((20_000, 4), np.int8)


@pytest.fixture
def root(here: Target) -> Iterator[Path]:
    """The board's folder, on a disk of its own."""
    with small_disk(Path(here.root), f"size={SIZE}"):
        yield Path(here.root)


@contextlib.contextmanager
def full(root: Path) -> Iterator[None]:
    """Another program fills the disk."""
    with contextlib.suppress(OSError), (root / "other").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    try:
        yield
    finally:
        (root / "other").unlink()


def test_for_the_wheels_of_a_runtime(
    here: Target, root: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They arrive, and do not fit when they are unpacked."""
    wheel = tmp_path / "large-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large/data", bytes(SIZE))
    monkeypatch.setattr(device_module, "find_wheels", lambda *_: [wheel_file(wheel)])
    with open_device(here) as device:
        with pytest.raises(BoardDiskError, match="bytes are needed") as refused:
            device._bring_runtime(device.runtime_for("tflite"), None, lambda *_: None)
        assert "Free some space" in refused.value.hint
        staged = device.push(wheel)
        assert staged.sent_bytes < 4096  # the next try does not send it again
        device.jobs._drop([staged.sha256])
    assert_unharmed(here, model)


def test_for_the_name_in_the_reservation(here: Target, root: Path, model: Path) -> None:
    with open_device(here) as device:
        with full(root), pytest.raises(BoardDiskError, match="No space left") as refused:
            device.prepare_runtime("tflite")
        assert "Free some space" in refused.value.hint
        device.prepare_runtime("tflite")
    assert_unharmed(here, model)


def test_for_the_tensors(here: Target, root: Path, model: Path) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        with full(root), pytest.raises(BoardDiskError, match="bytes are needed") as refused:
            device.jobs.infer(staged, {"x": SAMPLES})
        assert "Free some space" in refused.value.hint
        assert len(device.jobs.infer(staged, {"x": SAMPLES})[1]["y0"]) == len(SAMPLES)
    assert_unharmed(here, model)


def test_for_the_last_of_several_tensors(here: Target, root: Path, model: Path) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        much = {"x": np.ones((1_000_000, 4), np.int8), "y": np.ones((SIZE, 1), np.int8)}
        with pytest.raises(BoardDiskError, match="bytes are needed"):
            device.jobs.infer(staged, much)
        assert [path.name for path in root.glob("store/scratch/*")] == [staged.sha256]
    assert_unharmed(here, model)


def test_for_the_results(
    here: Target, root: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        ask = device.jobs._job

        def in_a_full_disk(*arguments: object, **named: object) -> object:
            with full(root):
                return ask(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(device.jobs, "_job", in_a_full_disk)
        with pytest.raises(BoardDiskError, match="No space left") as refused:
            device.jobs.benchmark(staged, BRIEF)
        assert "Free some space" in refused.value.hint
        with pytest.raises(BoardDiskError, match="No space left"):
            device.jobs.infer(staged, {"x": SAMPLES})
    assert_unharmed(here, model)
