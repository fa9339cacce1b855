"""The wheels of a board: the right file, found once, never half."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from targets.runtimes import wheels as wheels_module
from targets.runtimes.release import Wheel
from targets.runtimes.wheels import WheelError, find_wheels, matches

PYTHON, REPOSITORY = sys.executable, Path(__file__).parents[3]
LITERT = Wheel("ai-edge-litert", "2.3.0", "311", "aarch64")
NUMPY = Wheel("numpy", "1.26.4", "311", "x86_64")
LITERT_FILE = "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl"


@pytest.mark.parametrize(
    ("name", "wheel"),
    [
        (LITERT_FILE, LITERT),
        ("ai_edge_litert-2.3.0-1-cp311-cp311-manylinux_2_27_aarch64.whl", LITERT),
        ("AI_Edge_LiteRT-2.3.0-cp311-cp311-linux_aarch64.whl", LITERT),
        ("numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", NUMPY),
        ("numpy-1.26.4-cp310.cp311-abi3-manylinux1_i686.manylinux1_x86_64.whl", NUMPY),
        (
            "numpy-1.21.6-cp37-cp37m-manylinux_2_12_x86_64.manylinux2010_x86_64.whl",
            Wheel("numpy", "1.21.6", "37", "x86_64"),
        ),
    ],
)
def test_a_file_that_is_the_wheel(name: str, wheel: Wheel) -> None:
    assert matches(name, wheel)


@pytest.mark.parametrize(
    "name",
    [
        "numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "numpy-1.26.4-cp311-cp311-musllinux_1_1_x86_64.whl",
        "numpy-1.26.4-cp311-cp311-macosx_10_9_x86_64.whl",
        "numpy-1.26.4-cp311-cp311t-manylinux_2_17_x86_64.whl",
        "numpy-1.26.4-cp312-cp312-manylinux_2_17_x86_64.whl",
        "numpy-1.26.40-cp311-cp311-manylinux_2_17_x86_64.whl",
        "numpy-2.0.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "numpy_stubs-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl",
        "numpy-1.26.4-py3-none-any.whl",
        "numpy-1.26.4.whl",
        "numpy.whl",
        ".whl",
    ],
)
def test_a_file_that_is_another(name: str) -> None:
    assert not matches(name, NUMPY)


def write_wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.py", "")
    return path


def refuse_download(name: str) -> None:
    pytest.fail(f"downloads {name}")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wheels"


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of Python with pip; a test writes what it does with `$DEST`."""
    script = tmp_path / "pip"
    monkeypatch.setattr(sys, "executable", str(script))
    return script


def pip_does(script: Path, act: str) -> None:
    find = 'while [ "$1" != --dest ]; do shift; done; DEST=$2\n'
    script.write_text("#!/bin/sh\n" + find + act)
    script.chmod(0o755)


def test_a_wheelhouse_is_taken_as_it_is(tmp_path: Path, cache: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    expected = write_wheel(house / LITERT_FILE)

    assert find_wheels([LITERT], house, refuse_download) == [expected]
    assert not cache.exists()


def test_a_missing_wheelhouse_is_named(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="none is not a folder") as refused:
        find_wheels([LITERT], tmp_path / "none", refuse_download)
    assert refused.value.exit_code == 6
    assert refused.value.hint


def test_a_wheel_that_the_wheelhouse_lacks_is_named_with_the_command(tmp_path: Path) -> None:
    write_wheel(tmp_path / "ai_edge_litert-2.3.0-cp310-cp310-manylinux_2_27_aarch64.whl")

    with pytest.raises(WheelError, match=r"ai-edge-litert-2\.3\.0 for Python 3\.11") as refused:
        find_wheels([LITERT], tmp_path, refuse_download)
    assert "pip download --no-deps" in refused.value.hint
    assert "ai-edge-litert==2.3.0" in refused.value.hint
    assert "manylinux_2_27_aarch64" in refused.value.hint


def test_all_missing_wheels_are_named_with_one_command(tmp_path: Path) -> None:
    needed = [
        Wheel("ai-edge-litert", "2.3.0", "311", "aarch64"),
        Wheel("numpy", "1.26.4", "311", "aarch64"),
    ]
    with pytest.raises(WheelError) as refused:
        find_wheels(needed, tmp_path, lambda name: None)
    for words in ("ai-edge-litert-2.3.0", "numpy-1.26.4"):
        assert words in str(refused.value)
    assert refused.value.hint.count("pip download") == 1
    assert "ai-edge-litert==2.3.0 numpy==1.26.4" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut"])
def test_a_damaged_wheel_is_named_before_it_is_sent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LITERT_FILE).write_bytes(content)

    with pytest.raises(WheelError, match=f"{LITERT_FILE} is damaged") as refused:
        find_wheels([LITERT], tmp_path, refuse_download)
    assert "Remove it" in refused.value.hint


def test_what_is_in_the_cache_is_not_downloaded_again(cache: Path, pip: Path) -> None:
    downloads: list[str] = []
    pip_does(pip, f'printf "PK\\005\\006%018d" 0 | tr 0 "\\000" > "$DEST/{LITERT_FILE}"\n')

    first = find_wheels([LITERT], None, downloads.append)
    pip.unlink()
    again = find_wheels([LITERT], None, refuse_download)

    assert downloads == ["ai-edge-litert-2.3.0 for Python 3.11 on aarch64"]
    assert first == again == [cache / LITERT_FILE]
    assert [path.name for path in cache.iterdir()] == [LITERT_FILE]


def test_a_failed_download_leaves_nothing_and_says_why(cache: Path, pip: Path) -> None:
    pip_does(
        pip,
        f'echo half > "$DEST/{LITERT_FILE}"; echo noise >&2; echo "ERROR: no network" >&2; exit 1',
    )
    with pytest.raises(WheelError, match="cannot download ai-edge-litert-2.3.0.*no network") as no:
        find_wheels([LITERT], None, lambda name: None)

    assert "--wheelhouse" in no.value.hint
    assert list(cache.iterdir()) == []


def test_a_download_that_takes_too_long_leaves_nothing(
    cache: Path, pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels_module, "DOWNLOAD_TIMEOUT_S", 0.3)
    pip_does(pip, f'echo half > "$DEST/{LITERT_FILE}"; exec sleep 60')
    began = time.monotonic()

    with pytest.raises(WheelError, match="took too long"):
        find_wheels([LITERT], None, lambda name: None)
    assert time.monotonic() - began < 40
    assert list(cache.iterdir()) == []


def test_a_killed_download_is_not_taken_for_a_whole_one(cache: Path, pip: Path) -> None:
    """The whole of kedge is killed while pip writes: the next run must download again."""
    pip_does(pip, f'echo half > "$DEST/{LITERT_FILE}"; kill -9 $PPID; sleep 0.2')
    program = (
        "import sys; from targets.runtimes.release import Wheel\n"
        "from targets.runtimes.wheels import find_wheels\n"
        f"sys.executable = {str(pip)!r}; find_wheels([{LITERT!r}], None, print)"
    )
    killed = subprocess.run([PYTHON, "-c", program], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL

    downloads: list[str] = []
    pip_does(pip, "exit 1")
    with pytest.raises(WheelError, match="cannot download"):
        find_wheels([LITERT], None, downloads.append)
    assert len(downloads) == 1

    (left,) = cache.iterdir()
    os.utime(left, (0, 0))
    with pytest.raises(WheelError):
        find_wheels([LITERT], None, downloads.append)
    assert list(cache.iterdir()) == []


def test_a_pip_that_brings_something_else_is_told(cache: Path, pip: Path) -> None:
    pip_does(pip, 'echo other > "$DEST/other-1-py3-none-any.whl"')

    with pytest.raises(WheelError, match="pip downloaded no file"):
        find_wheels([LITERT], None, lambda name: None)


def test_a_cache_that_cannot_be_written_is_named(cache: Path, pip: Path) -> None:
    cache.parent.write_text("a file where the folder should be")

    with pytest.raises(WheelError, match="cannot keep wheels in") as refused:
        find_wheels([LITERT], None, lambda name: None)
    assert "KEDGE_CACHE_DIR" in refused.value.hint
