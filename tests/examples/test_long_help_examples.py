"""The examples in the help that convert a model or measure for long do what they say."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards import start_board
from tests.conformance.conftest import add_arguments
from tests.kedge import kedge
from tests.toolkit.cli.help_projects import LONG

SHARED = Path(__file__).parents[3] / "shared"
#: Files of an example that no package brings.
BROUGHT = {
    "resnet8.h5": SHARED / "models" / "resnet8_cifar10.h5",
    "cifar10.tar.gz": SHARED / "data" / "cifar10.tar.gz",
}

#: Program that writes the model in the older form of Keras, too.
TO_H5 = """
import sys, tf_keras
tf_keras.models.load_model(sys.argv[1] + "/digits.keras").save(sys.argv[1] + "/model.h5")
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with models, data and boards under the names of the examples."""
    folder = tmp_path_factory.mktemp("project")
    for program in (
        ["-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "4"],
        ["-m", "tests.converters.programs.torch_models", str(folder)],
        ["-c", TO_H5, str(folder)],
    ):
        subprocess.run([sys.executable, *program], check=True, capture_output=True)
    shutil.copy(folder / "digits.keras", folder / "model.keras")
    (folder / "my_data.py").write_text("from my_model import load\n")
    for name, path in BROUGHT.items():
        if path.is_file():
            (folder / name).symlink_to(path)
    with start_board("ssh") as board:
        for name in ("pi", "coral"):
            arguments = add_arguments(board)
            arguments[2] = name
            assert kedge(*arguments, "--label", "room=lab", cwd=folder).code == 0
        for out in ("old", "new"):
            words = ["convert", "model.keras", "--data", "digits.npz", "--out", out]
            assert kedge(*words, cwd=folder).code == 0
            shutil.copy(folder / out / "model.tflite", folder / f"{out}.tflite")
        yield folder


@pytest.fixture
def result(project: Path) -> str:
    """Number of a result of `old.tflite`."""
    words = ["bench", "old.tflite", "--on", "pi", "--duration", "300ms"]
    assert kedge(*words, cwd=project).code in (0, 9)
    return str(kedge("results", "--json", cwd=project).json["results"][0]["id"])


@pytest.mark.parametrize("line", LONG.strip().splitlines())
def test_an_example_does_what_it_says(line: str, project: Path, result: str) -> None:
    for name, path in BROUGHT.items():
        if name in line and not path.is_file():
            pytest.skip(f"{path} is not there")
    if "--accelerator" in line and shutil.which("edgetpu_compiler") is None:
        pytest.skip("edgetpu_compiler is not installed")
    data = project / ("cifar10.tar.gz" if "cifar10" in line else "digits.npz")
    words = {"12": result, "10m": "20s", "data.npz": data.name}
    if "my_model" not in line:
        words |= {"out/model.tflite": "new/model.tflite"}
    if line.startswith("bench") and "cifar10" in line:  # a model that takes these images
        images = ["convert", "resnet8.h5", "--data", "cifar10.tar.gz", "--out", "images"]
        assert kedge(*images, cwd=project).code == 0
        words |= {"out/model.tflite": "images/model.tflite"}
    ran = kedge(*(words.get(word, word) for word in shlex.split(line)), cwd=project)
    assert ran.code in (0, 8, 9), ran.err
    assert ran.out
