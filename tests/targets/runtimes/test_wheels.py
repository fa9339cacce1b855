"""The wheels of a board: the right file, found once, never half."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from targets.runtimes import download as download_module
from targets.runtimes.digests import published_digests
from targets.runtimes.download import WheelError, find_pip
from targets.runtimes.fit import every_wheel
from targets.runtimes.release import Wheel
from targets.runtimes.wheel_name import is_wheel
from targets.runtimes.wheels import OtherWheelError, WheelFile, find_local_wheel, find_wheels
from tests.wheel_files import write_wheel

PYTHON, REPOSITORY = sys.executable, Path(__file__).parents[3]
LITERT = Wheel("ai-edge-litert", "2.3.0", "311", "aarch64")
NUMPY = Wheel("numpy", "1.26.4", "311", "x86_64")
#: SHA-256 of the published file of `LITERT`.
PUBLISHED = "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae"
#: SHA-256 of a zip file without members.
EMPTY_ZIP = "8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85"
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
    assert is_wheel(name, wheel)


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
    assert not is_wheel(name, NUMPY)


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
    expected = write_wheel(house / LITERT_FILE, {"x.py": ""})

    found = find_wheels([LITERT], house, refuse_download, [expected.sha256])

    assert found == [expected]
    assert not cache.exists()


def test_a_missing_wheelhouse_is_named(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="none is not a folder") as refused:
        find_wheels([LITERT], tmp_path / "none", refuse_download)
    assert refused.value.exit_code == 6
    assert refused.value.hint


def test_a_wheel_that_the_wheelhouse_lacks_is_named_with_the_command(tmp_path: Path) -> None:
    name = "ai_edge_litert-2.3.0-cp310-cp310-manylinux_2_27_aarch64.whl"
    write_wheel(tmp_path / name, {"x.py": ""})

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
    assert refused.value.exit_code == 5


def test_what_is_in_the_cache_is_not_downloaded_again(cache: Path, pip: Path) -> None:
    downloads: list[str] = []
    pip_does(pip, f'printf "PK\\005\\006%018d" 0 | tr 0 "\\000" > "$DEST/{LITERT_FILE}"\n')

    first = find_wheels([LITERT], None, downloads.append, [EMPTY_ZIP])
    pip.unlink()
    again = find_wheels([LITERT], None, refuse_download, [EMPTY_ZIP])

    assert downloads == ["ai-edge-litert-2.3.0 for Python 3.11 on aarch64"]
    assert first == again == [WheelFile(cache / LITERT_FILE, EMPTY_ZIP)]
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
    monkeypatch.setattr(download_module, "DOWNLOAD_TIMEOUT_S", 0.3)
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


def is_told_both_digests(refused: OtherWheelError, found: str) -> bool:
    said = str(refused)
    return found in said and PUBLISHED in said and f'wheels = ["{found}"]' in refused.hint


def test_another_build_in_a_wheelhouse_is_refused(tmp_path: Path) -> None:
    other = write_wheel(tmp_path / LITERT_FILE, {"ai_edge_litert/__init__.py": "evil"})

    with pytest.raises(OtherWheelError, match="is not the published ai-edge-litert") as refused:
        find_wheels([LITERT], tmp_path, refuse_download)
    assert refused.value.exit_code == 5
    assert is_told_both_digests(refused.value, other.sha256)


def test_another_build_in_the_cache_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    other = write_wheel(cache / LITERT_FILE, {"ai_edge_litert/__init__.py": "evil"})

    for find in (lambda: find_wheels([LITERT], None, refuse_download), lambda: local(None)):
        with pytest.raises(OtherWheelError, match="is not the published") as refused:
            find()
        assert "Remove it" in refused.value.hint
        assert is_told_both_digests(refused.value, other.sha256)


def local(wheelhouse: Path | None) -> object:
    return find_local_wheel(LITERT, wheelhouse)


def test_another_build_that_pip_brings_does_not_reach_the_cache(cache: Path, pip: Path) -> None:
    pip_does(pip, f'printf "PK\\005\\006%018d" 0 | tr 0 "\\000" > "$DEST/{LITERT_FILE}"\n')

    with pytest.raises(OtherWheelError, match="which pip downloaded, is not the pub") as refused:
        find_wheels([LITERT], None, lambda name: None)
    assert is_told_both_digests(refused.value, EMPTY_ZIP)
    assert "pip config list" in refused.value.hint
    assert list(cache.iterdir()) == []


def test_a_build_that_may_be_taken_is_found_beside_one_that_may_not(tmp_path: Path) -> None:
    write_wheel(tmp_path / LITERT_FILE, {"x.py": "1"})
    second = "ai_edge_litert-2.3.0-9-cp311-cp311-manylinux_2_27_aarch64.whl"
    good = write_wheel(tmp_path / second, {"x.py": "2"})

    assert find_wheels([LITERT], tmp_path, refuse_download, [good.sha256]) == [good]


def test_what_is_no_file_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / LITERT_FILE).mkdir()

    with pytest.raises(WheelError, match="has no wheel"):
        find_wheels([LITERT], tmp_path, refuse_download)


def test_every_wheel_that_a_board_may_get_has_one_published_digest() -> None:
    wheels = every_wheel()

    assert len(wheels) > 50
    assert {len(published_digests(wheel)) for wheel in wheels} == {1}
    assert published_digests(LITERT) == {PUBLISHED}


def test_a_program_of_the_current_folder_is_not_run_as_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('a pip of the project')")
    monkeypatch.chdir(tmp_path)

    assert subprocess.run([*find_pip(), "--version"], check=False).returncode == 0


def without_own_pip(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(download_module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")


def test_a_pip_on_the_path_is_used_where_the_environment_has_none(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, programs = tmp_path / "pip", tmp_path / "pip3"
    pip_does(programs, f'printf "PK\\005\\006%018d" 0 | tr 0 "\\000" > "$DEST/{LITERT_FILE}"\n')
    text = programs.read_text().split("\n", 1)
    programs.write_text(f'{text[0]}\n[ "$1" = --version ] && exit 0\n{text[1]}')
    broken.write_text("#!/bin/sh\nexit 127\n")  # the shim of a version manager
    broken.chmod(0o755)
    without_own_pip(monkeypatch, tmp_path)

    (found,) = find_wheels([LITERT], None, lambda name: None, [EMPTY_ZIP])

    assert found.path == cache / LITERT_FILE


def test_uv_is_used_where_there_is_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in (("pip", 1), ("pip3", 1), ("uv", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    without_own_pip(monkeypatch, tmp_path)

    assert find_pip() == [str(tmp_path / "uv"), "tool", "run", "pip"]


def test_where_there_is_neither_pip_nor_uv_the_way_out_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pip", "pip3", "uv"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    without_own_pip(monkeypatch, tmp_path)

    with pytest.raises(WheelError, match="neither pip nor uv on the PATH") as refused:
        find_wheels([LITERT], None, lambda name: None)
    assert "ensurepip" in refused.value.hint
    assert "uv pip install pip" in refused.value.hint
