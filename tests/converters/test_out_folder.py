"""Two conversions into one folder: the second is refused, and no reader sees half of a set."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from converters.comparison.compare import compare_recipes
from converters.formats import read_model_file
from converters.out_folder import (
    LOCK_NAME,
    REPLACING_NAME,
    FolderInUseError,
    hold_folder,
    read_together,
    replace_together,
)
from converters.process import convert
from converters.request import ConversionRequest
from device_agent.contract.codes import IntegrityError
from tests.tiny_model import relu_model

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from converters.out_folder import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
WRITER = """
import random, sys, time
from pathlib import Path
from converters.out_folder import replace_together
out, who, stop = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
while not stop.exists():
    with replace_together(out):
        for name in "abc":
            (out / f".{who}").write_text(who)
            (out / f".{who}").replace(out / name)
    time.sleep(random.uniform(0, 0.03))  # the other one gets in
"""
#: Number of times that the reader looks at least; the writers replace the set every few of them.
READS = 200


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A folder into which another process converts."""
    with start(HOLDER, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_conversion_is_refused_with_the_process_of_the_first(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with held(out) as process:
        with pytest.raises(FolderInUseError, match=f"process {process.pid} on .* into it") as no:
            convert(replace(digits_request, out=out))
        with pytest.raises(FolderInUseError, match=f"process {process.pid} on"):
            compare_recipes(replace(digits_request, out=out), ["ptq_w8a8", "ptq_f16"])
    assert no.value.exit_code == 6
    assert "--out" in no.value.hint


def test_a_conversion_that_ended_leaves_a_free_folder(tmp_path: Path) -> None:
    with held(tmp_path / "new") as process:
        process.communicate("")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with hold_folder(tmp_path / "old"):
        assert [path.name for path in (tmp_path / "old").iterdir()] == [LOCK_NAME]
    assert not list((tmp_path / "old").iterdir())


def test_a_conversion_that_was_killed_leaves_a_free_folder(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with hold_folder(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK_NAME).symlink_to(tmp_path / "victim")

    with pytest.raises(Exception, match="cannot be written"), hold_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


def test_of_many_at_once_one_holds_the_folder(tmp_path: Path) -> None:
    programs = [start(HOLDER.replace("sys.stdin.read()", "time.sleep(1)"), tmp_path / "out")
                for _ in range(8)]  # fmt: skip
    said = [program.communicate()[0] for program in programs]

    assert said.count("held\n") == 1
    # Whoever made the folder removes it, unless another one was the first to lock it.
    out = tmp_path / "out"
    assert not out.exists() or not list(out.iterdir())


def test_a_reader_sees_a_whole_set_while_two_write(tmp_path: Path) -> None:
    out, stop = tmp_path / "out", tmp_path / "stop"
    out.mkdir()
    writers = [start(WRITER, out, who, stop) for who in ("one", "two")]
    seen: list[tuple[str, ...]] = []
    end = time.monotonic() + 60
    while (len(seen) < READS or len(set(seen) - {()}) < 2) and time.monotonic() < end:
        with read_together(out):
            names = [name for name in "abc" if (out / name).exists()]
            seen.append(tuple((out / name).read_text() for name in names))
        time.sleep(0.001)
    stop.touch()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0

    assert set(seen) - {()} == {("one",) * 3, ("two",) * 3}


def test_a_set_that_was_replaced_by_half_is_refused_until_it_is_replaced(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(relu_model())
    killed = start(
        "import os, sys; from pathlib import Path; from converters.out_folder import *\n"
        "with replace_together(Path(sys.argv[1])): os.kill(os.getpid(), 9)",
        tmp_path,
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    with pytest.raises(IntegrityError, match="not all of one model") as refused:
        read_model_file(model)
    assert "Convert the model again" in refused.value.hint
    with replace_together(tmp_path):
        pass
    assert read_model_file(model).sha256
    assert not (tmp_path / REPLACING_NAME).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    tmp_path.chmod(0o555)

    assert read_model_file(tmp_path / "model.tflite").sha256
