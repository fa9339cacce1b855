"""A runtime that the board has already: in a virtual environment of an older Python."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from targets.runtimes.release import Wheel
from targets.runtimes.wheels import find_wheels
from tests.kedge import assert_refused, kedge
from tests.tiny_model import custom_op_model, relu_model

OLDER = "3.9"
FOUND = sorted((Path.home() / ".pyenv" / "versions").glob(f"{OLDER}.*/bin/python{OLDER}"))
WHEELS = (
    Wheel("tflite-runtime", "2.14.0", "39", "x86_64"),
    Wheel("numpy", "1.26.4", "39", "x86_64"),
)

pytestmark = pytest.mark.skipif(not FOUND, reason=f"no Python {OLDER} of pyenv here")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which pip installed tflite-runtime, as it would be."""
    folder = tmp_path_factory.mktemp("board") / "venv"
    subprocess.run([FOUND[0], "-m", "venv", "--without-pip", folder], check=True)
    for wheel in find_wheels(WHEELS, None, lambda name: None):
        with zipfile.ZipFile(wheel.path) as archive:
            archive.extractall(folder / "lib" / f"python{OLDER}" / "site-packages")
    return folder / "bin" / "python"


def project(folder: Path, *lines: str) -> Path:
    entry = ["[targets.old]", 'address = "local"', f'root = "{folder}/root"', *lines]
    (folder / "kedge.toml").write_text("\n".join(entry) + "\n")
    (folder / "model.tflite").write_bytes(relu_model())
    return folder


def test_it_is_used_when_the_user_says_so_and_nothing_is_brought(
    tmp_path: Path, python: Path
) -> None:
    cwd = project(tmp_path, f'python = "{python}"', 'runtime = "board:tflite-runtime"')
    quick = ["--quality", "quick", "--duration", "60ms", "--json"]
    ran = kedge("bench", "model.tflite", "--on", "old", *quick, cwd=cwd)

    assert ran.code in {0, 9}, ran.err
    (entry,) = ran.json["targets"]
    assert entry["runtime"] == "board:tflite-runtime 2.14.0 on x86_64"
    assert entry["board"]["python"].startswith(OLDER)
    assert entry["parity"]["same_class"] is False
    assert not list(tmp_path.glob("root/store/runtimes/*"))


def test_what_operators_it_has_beyond_those_of_a_wheel_it_tells_itself(
    tmp_path: Path, python: Path
) -> None:
    cwd = project(tmp_path, f'python = "{python}"', 'runtime = "board:tflite-runtime"')
    (tmp_path / "custom.tflite").write_bytes(custom_op_model())
    ran = kedge("bench", "custom.tflite", "--on", "old", cwd=cwd)

    assert_refused(ran, 7, "has no operator their-own", "`delegate`")


def test_one_that_the_board_lacks_is_refused_with_what_it_can_use(
    tmp_path: Path, python: Path
) -> None:
    cwd = project(tmp_path, f'python = "{python}"', 'runtime = "board:ai-edge-litert"')
    ran = kedge("bench", "model.tflite", "--on", "old", cwd=cwd)

    assert_refused(
        ran, 6, "has no ai-edge-litert of its own", "tflite-runtime 2.14.0, board:tflite-runtime"
    )
