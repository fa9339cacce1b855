"""`kedge inspect` as a whole command: figures, runtimes, boards, and files that are no models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards import BoardUnderTest
from tests.conformance.conftest import add_arguments
from tests.converters.tflite.tflite_maker import model_object, packed
from tests.dense_model import dense_model
from tests.kedge import assert_refused, kedge
from tests.tiny_model import custom_op_model, relu_model


def test_figures_for_a_person_and_for_a_program(tmp_path: Path) -> None:
    (tmp_path / "dense.tflite").write_bytes(dense_model())
    ran = kedge("inspect", "dense.tflite", cwd=tmp_path)
    assert ran.code == 0
    for line in ("multiply-accumulates", "peak of activations", "compute with integers"):
        assert line in ran.out
    found = json.loads(kedge("inspect", "dense.tflite", "--json", cwd=tmp_path).out)
    operators, totals = found["ops"], found["totals"]
    assert totals["operators"] == len(operators) == sum(op["count"] for op in found["operators"])
    assert totals["macs"] == sum(op["macs"] for op in operators) > 0
    first = operators[0]
    assert {"subgraph", "op", "version", "layer", "output", "bytes_read", "parameters"} <= set(
        first
    )
    assert first["inputs"][0]["dtype"] == "int8"
    assert totals["quantization"]["float_operators"] == 0


def test_a_runtime_that_is_too_old_is_named_with_the_way_out(tmp_path: Path) -> None:
    model = model_object("FULLY_CONNECTED", 12, use=True)
    model.subgraphs[0].operators[0].inputs = [0, 0]
    (tmp_path / "new.tflite").write_bytes(packed(model))
    options = ("--runtime", "tflite-runtime==2.14")
    ran = kedge("inspect", "new.tflite", *options, cwd=tmp_path)
    assert ran.code == 4
    assert "FULLY_CONNECTED version 12 needs a TFLite runtime of 2.17" in ran.out
    assert "without dynamic range" in ran.out
    assert "ai-edge-litert" in ran.out
    found = json.loads(kedge("inspect", "new.tflite", *options, "--json", cwd=tmp_path).out)
    assert found["runtime_contract"]["loads"] is False


def test_a_board_has_an_estimate_and_an_edge_tpu_a_placement(tmp_path: Path) -> None:
    (tmp_path / "relu.tflite").write_bytes(relu_model())
    ran = kedge("inspect", "relu.tflite", "--board", "raspberry-pi-4", cwd=tmp_path)
    assert "estimate, not measured" in ran.out
    assert "Edge TPU" not in ran.out
    options = ("--board", "coral-dev-board", "--json")
    found = json.loads(kedge("inspect", "relu.tflite", *options, cwd=tmp_path).out)
    assert found["edgetpu"]["kind"] == "prediction"
    assert found["edgetpu"]["mapped"] == 1
    assert "time" not in found  # no source gives the speed of this board


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        (("--board", "coral-dev"), 2, "coral-dev-board"),
        (("--runtime", "tflite"), 2, "NAME==VERSION"),
        (("--runtime", "numpy==1.0"), 4, "tflite-runtime"),
        (("--board", "rk3588", "--runtime", "tflite-runtime==2.14"), 2, "exclude"),
    ],
)
def test_what_is_no_board_or_runtime_is_refused(
    tmp_path: Path, options: tuple[str, ...], code: int, hint: str
) -> None:
    (tmp_path / "relu.tflite").write_bytes(relu_model())
    ran = kedge("inspect", "relu.tflite", *options, cwd=tmp_path)
    assert ran.code == code
    assert hint in ran.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a .tflite"),
        (b"hello, this is a text", "is not a .tflite"),
        (relu_model()[:200], "damaged or cut-off"),
        (b"\x1c\0\0\0TFL9" + relu_model()[8:], "is not a .tflite"),
        (b"\xff\xff\xff\x7fTFL3" + relu_model()[8:], "damaged"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "odd.tflite").write_bytes(content)
    assert_refused(kedge("inspect", "odd.tflite", cwd=tmp_path), 4, words)


def test_a_file_of_two_gigabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.tflite").open("wb") as file:
        file.write(relu_model()[:64])
        file.truncate(2**31)
    assert_refused(kedge("inspect", "huge.tflite", cwd=tmp_path), 4, "below 2 GiB")


def test_an_op_of_a_newer_schema_is_shown_by_its_number(tmp_path: Path) -> None:
    model = model_object(use=True)
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = 9999, 127
    (tmp_path / "new.tflite").write_bytes(packed(model))
    found = json.loads(kedge("inspect", "new.tflite", "--json", cwd=tmp_path).out)
    assert [operator["op"] for operator in found["ops"]] == ["op code 9999"]


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_the_runtime_of_a_board_is_read_and_nothing_is_written_there(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    board: BoardUnderTest = request.getfixturevalue(f"{kind}_board")
    assert kedge(*add_arguments(board), cwd=tmp_path).code == 0
    (tmp_path / "relu.tflite").write_bytes(relu_model())
    (tmp_path / "custom.tflite").write_bytes(custom_op_model())
    before = sorted(board.root_on_host.rglob("*"))
    ran = kedge("inspect", "relu.tflite", "--for", board.name, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.json["runtime_contract"]["loads"] is True
    assert ran.json["runtime_contract"]["runtime_version"]
    ran = kedge("inspect", "custom.tflite", "--for", board.name, cwd=tmp_path)
    assert ran.code == 4
    assert "their-own is a custom op" in ran.out
    assert sorted(board.root_on_host.rglob("*")) == before


def test_memory_stays_below_a_hundred_megabytes_and_ten_times_the_file(tmp_path: Path) -> None:
    (tmp_path / "big.tflite").write_bytes(dense_model(4, 1024))
    script = (
        "import re, sys; from toolkit.cli.main import kedge; "
        "kedge(['inspect', 'big.tflite', '--json'], standalone_mode=False); "
        # ru_maxrss would have the memory of the process that started this one.
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read()); "
        "print(1024 * int(peak[1]), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    size = (tmp_path / "big.tflite").stat().st_size
    assert size > 4_000_000
    assert int(ran.stderr.split()[-1]) < 100e6 + 10 * size
