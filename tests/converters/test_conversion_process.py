"""The child process: what it leaves behind however it ends."""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import child, durable, process
from converters.child import ConversionBugError
from converters.errors import ConversionError, HostDiskError, MissingConvertExtraError
from converters.evidence.conversion import Conversion
from converters.evidence.model_toml import card_beside
from converters.out_folder import LOCK_NAME
from converters.process import convert
from converters.progress import Progress
from converters.recipe.recipe import RecipeError, load_recipe
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from device_agent.contract.model_card import ArrayInput
from tests.converters.conftest import start_parent


def test_a_request_survives_the_pipe(digits_request: ConversionRequest) -> None:
    assert ConversionRequest.from_json(digits_request.to_json()) == digits_request


def test_a_conversion_loads_no_tensorflow_into_its_caller(digits_ptq: Conversion) -> None:
    assert not {"tensorflow", "tf_keras", "keras"} & set(sys.modules)


def test_the_card_says_that_the_model_takes_arrays_and_gives_probabilities(
    digits_ptq: Conversion,
) -> None:
    model = read_model(digits_ptq.model)
    card = card_beside(model)
    assert card.inputs == {model.inputs[0].name: ArrayInput()}
    meant = card.outputs[model.outputs[0].name]
    assert (meant.task, meant.activation, meant.labels) == ("classification", "none", [])


def test_only_these_files_are_left(digits_ptq: Conversion) -> None:
    names = {path.name for path in digits_ptq.model.parent.iterdir()}
    assert names == {"model.tflite", "model.toml", "conversion.json", "golden.npz"}


@pytest.mark.parametrize(
    ("change", "error", "exit_code", "message"),
    [
        ({"model": Path("absent.h5")}, ConversionError, 4, "model .*absent.h5: not found"),
        ({"data": Path("absent.npz")}, ConversionError, 4, "data .*absent.npz: not found"),
        ({"recipe": "magic"}, RecipeError, 3, "recipe 'magic' is unknown"),
        ({"image_range": "0..7"}, ConversionError, 4, "image range is '0..7'"),
        ({"seed": -1}, ConversionError, 4, "seed is -1"),
        ({"model": Path(__file__)}, ConversionError, 4, "is not a model"),
        ({"out": Path(__file__)}, ConversionError, 4, "is a file, not a folder"),
    ],
)
def test_cheap_refusals_come_at_once(
    digits_request: ConversionRequest,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[ConversionError] | type[RecipeError],
    exit_code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "start_process", lambda *_: pytest.fail("a child was started"))
    with pytest.raises(error, match=message) as caught:
        convert(replace(digits_request, **{"out": tmp_path / "out", **change}))
    assert caught.value.exit_code == exit_code
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_model_given_as_data_is_said(digits_request: ConversionRequest, tmp_path: Path) -> None:
    swapped = replace(digits_request, data=digits_request.model, out=tmp_path / "out")
    with pytest.raises(ConversionError, match="is a model by its name") as caught:
        convert(swapped)
    assert "--data" in caught.value.hint


def test_a_missing_extra_is_named(
    digits_request: ConversionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name)
    )
    with pytest.raises(MissingConvertExtraError, match="needs tensorflow") as caught:
        convert(digits_request)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "In a clone of kedge: pip install '.[convert]'"


def test_figures_for_tensorboard_need_its_extra(
    digits_request: ConversionRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(MissingConvertExtraError, match="tensorboard") as caught:
        convert(replace(digits_request, logs=tmp_path / "logs", out=tmp_path / "out"))
    assert "'.[tensorboard]'" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Children that `convert` starts."""
    children = []
    start = child.start_process
    monkeypatch.setattr(
        child, "start_process", lambda *args: children.append(start(*args)) or children[-1]
    )
    return children


@pytest.mark.parametrize(
    ("number", "hint"), [(signal.SIGKILL, "memory ran out"), (signal.SIGSEGV, "Report")]
)
def test_a_child_that_a_signal_ends_is_named(
    digits_request: ConversionRequest, tmp_path: Path, started: list[Any], number: Any, hint: str
) -> None:
    with pytest.raises(ConversionError, match=f"ended by {number.name}") as caught:
        convert(
            replace(digits_request, out=tmp_path / "out"),
            lambda progress: os.kill(last_child_of(started[0].pid), number),
        )
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_caller_ends_the_child(
    digits_request: ConversionRequest, tmp_path: Path, started: list[Any]
) -> None:
    def fail(progress: Progress) -> None:
        raise KeyError(progress.stage)

    with pytest.raises(KeyError):
        convert(replace(digits_request, out=tmp_path / "out"), fail)
    assert started[0].returncode == -signal.SIGTERM
    assert not (tmp_path / "out").exists()


def test_a_bug_in_the_child_comes_with_its_traceback(
    digits_request: ConversionRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "check_request", lambda request: load_recipe(request.recipe))
    request = replace(digits_request, image_range="bogus", data=_images(tmp_path))
    with pytest.raises(ConversionBugError, match="(?s)Traceback.*KeyError: 'bogus'"):
        convert(replace(request, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def _images(folder: Path) -> Path:
    for number in range(10):
        (folder / "images" / str(number)).mkdir(parents=True)
    return folder / "images"


def wait_for_stage(parent: subprocess.Popen[str], stage: str) -> None:
    for line in parent.stdout:
        if line.startswith(stage):
            return
    pytest.fail(f"{stage} was never reached: {parent.stderr.read()}")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def last_child_of(pid: int) -> int:
    """The conversion itself, behind the processes of its sandbox."""
    while children := children_of(pid):
        (pid,) = children
    return pid


def ends_within(seconds: int, done: Callable[..., Any]) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("number", "stage"),
    [(signal.SIGINT, "load TensorFlow"), (signal.SIGINT, "train"), (signal.SIGKILL, "train")],
)
def test_an_interrupted_conversion_leaves_nothing(
    digits_request: ConversionRequest, tmp_path: Path, number: Any, stage: str
) -> None:
    out = tmp_path / "out"
    parent = start_parent(replace(digits_request, recipe="qat_w8a8", out=out))
    with parent:
        wait_for_stage(parent, stage)
        pid = last_child_of(parent.pid)
        parent.send_signal(number)
        parent.wait(60)
    assert ends_within(60, lambda: not is_running(pid))
    if number == signal.SIGINT:
        assert parent.returncode != 0
        assert not out.exists()
    else:  # nobody was left to remove the folder itself, and a lock that nobody holds
        assert ends_within(
            60, lambda: {path.name for path in out.rglob("*") if path.is_file()} <= {LOCK_NAME}
        )
        for folder in out.iterdir():
            os.utime(folder, (0, 0))
        convert(replace(digits_request, out=out))
        assert not list(out.glob(".*"))


def test_an_interrupted_conversion_leaves_the_one_before_it_whole(
    digits_request: ConversionRequest, digits_ptq: Conversion, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in digits_ptq.model.parent.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    parent = start_parent(replace(digits_request, recipe="qat_w8a8", out=out))
    with parent:
        wait_for_stage(parent, "train")
        parent.send_signal(signal.SIGINT)
    assert {path.name for path in out.iterdir()} == {
        "model.tflite",
        "model.toml",
        "conversion.json",
        "golden.npz",
    }
    assert process.read_conversion(out).model_sha256 == digits_ptq.model_sha256


def test_a_full_disk_is_named_and_left_as_it_was(
    digits_request: ConversionRequest, tiny_disk: Path
) -> None:
    with pytest.raises(HostDiskError, match="(?i)no space") as caught:
        convert(replace(digits_request, out=tiny_disk / "out"))
    assert caught.value.exit_code == 6
    assert "Free space" in caught.value.hint
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, HostDiskError),
        (errno.EDQUOT, HostDiskError),
        (errno.EROFS, HostDiskError),
        (errno.EACCES, ConversionError),
    ],
)
def test_what_the_system_says_about_a_file_is_translated(
    number: int, error: type[ConversionError] | type[HostDiskError]
) -> None:
    refused = pytest.raises(error, match="/out: cannot be written")
    with refused as caught, durable.translate_errors(Path("/out")):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, OSError)


def test_files_of_another_file_system_are_copied_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "work" / "model.tflite").write_bytes(b"new")
    (tmp_path / "out" / "model.tflite").write_bytes(b"old")
    move = Path.replace

    def refuse_far(path: Path, target: Path) -> Path:
        if path.parent.name != target.parent.name:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return move(path, target)

    monkeypatch.setattr(Path, "replace", refuse_far)
    durable.publish(tmp_path / "work", tmp_path / "out", ["model.tflite"])
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [b"new"]
