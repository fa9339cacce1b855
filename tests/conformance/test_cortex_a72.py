"""Every release that a board with Python 3.11 may get runs on the CPU of a Raspberry Pi 4."""

from pathlib import Path

import pytest

from device_agent.contract.facts import Facts, facts_from_json
from targets.runtimes.all import RUNTIMES
from targets.runtimes.fit import choice_of
from targets.runtimes.release import RuntimeRelease
from targets.runtimes.wheels import find_wheels
from tests import arm64_root
from tests.boards import require_board_parts
from tests.emulated_cpu import load_release
from tests.onnx_models import relu_model
from tests.tiny_model import relu_model as tflite_model

pytestmark = pytest.mark.arm64

#: Python of the root file system of the arm64 board.
PYTHON = 11
RELEASES = [
    release
    for release in RUNTIMES
    if "aarch64" in release.machines and release.pythons[0] <= PYTHON <= release.pythons[1]
]
MODELS = {"tflite": tflite_model(), "onnx": relu_model()}


@pytest.fixture(scope="module")
def system() -> Path:
    require_board_parts("arm64")
    return arm64_root.ensure_root()


def wheels_of(release: RuntimeRelease) -> list[Path]:
    facts: Facts = facts_from_json({"machine": "aarch64", "python": f"3.{PYTHON}.2"})
    choice = choice_of(release, facts)
    return [file.path for file in find_wheels(choice.wheels, None, lambda _: None)]


@pytest.mark.parametrize(
    "release", RELEASES, ids=lambda release: f"{release.distribution}-{release.version}"
)
def test_a_release_runs_on_a_cortex_a72(system: Path, release: RuntimeRelease) -> None:
    loaded = load_release(system, release.distribution, wheels_of(release), MODELS[release.format])

    assert loaded.code == 0, loaded.last_words
    assert loaded.version.startswith(release.version)
    assert loaded.output == [[0, 2, 0, 4]]


def test_an_old_release_names_what_it_lacks_without_sys(system: Path) -> None:
    """The agent knows these words; see `device_agent.child`."""
    (release,) = (each for each in RELEASES if each.version == "1.23.2")
    loaded = load_release(
        system, release.distribution, wheels_of(release), MODELS["onnx"], with_sys=False
    )

    assert loaded.code != 0
    assert "failed to parse both lists of possible and present processors" in loaded.last_words
