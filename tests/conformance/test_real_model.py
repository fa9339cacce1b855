"""The acceptance run: a real network with real images, from the Keras file to the boards."""

from pathlib import Path

import pytest

from tests.boards import BoardUnderTest
from tests.conformance.conftest import add_arguments
from tests.kedge import Ran, kedge

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODEL = SHARED / "models" / "resnet8_cifar10.h5"
DATA = SHARED / "data" / "cifar10.tar.gz"

#: How far the int8 file may be below the float model: half a point of 100.
MOST_DROP = 0.005

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODEL.is_file() and DATA.is_file()), reason=f"no {MODEL} with {DATA}"),
]


@pytest.fixture(scope="module")
def deployed(
    ssh_board: BoardUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ran]:
    """The folder of the run, and what `convert-and-push` to the ssh board said."""
    folder = tmp_path_factory.mktemp("resnet8")
    assert kedge(*add_arguments(ssh_board), cwd=folder).code == 0
    ran = kedge(
        "convert-and-push", str(MODEL), "--data", str(DATA), "--recipe", "ptq_w8a8",
        "--to", ssh_board.name, "--out", "out", "--json", cwd=folder,
    )  # fmt: skip
    return folder, ran


def test_the_int8_file_keeps_its_accuracy(deployed: tuple[Path, Ran]) -> None:
    conversion = deployed[1].json["conversion"]
    assert conversion["samples"] == 10_000
    assert conversion["float_accuracy"] - conversion["accuracy"] <= MOST_DROP


def test_the_ssh_board_computes_the_same_bits(deployed: tuple[Path, Ran]) -> None:
    entry = deployed[1].json["targets"][0]
    assert entry["parity"]["verdict"] == "EQUAL"
    assert entry["parity"]["samples"] >= 500
    assert deployed[1].code == (0 if entry["verdict"] == "VALID" else 9)


@pytest.mark.arm64
def test_the_arm64_board_decides_the_same(
    deployed: tuple[Path, Ran], arm64_board: BoardUnderTest
) -> None:
    folder = deployed[0]
    assert kedge(*add_arguments(arm64_board), cwd=folder).code == 0
    ran = kedge(
        "bench", "out/model.tflite", "--on", arm64_board.name, "--quality", "quick",
        "--duration", "200ms", "--json", cwd=folder,
    )  # fmt: skip
    entry = ran.json["targets"][0]
    parity = entry["parity"]
    assert parity["verdict"] == "AGREES", parity["reason"]
    assert parity["samples"] >= 500
    assert parity["agreement"] >= 0.97
    low, high = parity["accuracy_interval"]
    assert low <= 0 <= high
    assert ran.code == 9, "an emulated board's latency is never VALID"
    assert entry["verdict"] == "INVALID"
