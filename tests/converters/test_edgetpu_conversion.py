"""`kedge convert --accelerator edgetpu`, with a stand-in that speaks as the real compiler does."""

import json
from pathlib import Path

import pytest

from tests.converters.tflite.edgetpu.test_compiler import install
from tests.edgetpu_model import edgetpu_model
from tests.kedge import assert_refused, kedge

LOG = """Edge TPU Compiler version 16.0.384591198
On-chip memory used for caching model parameters: 8.00KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 2
Number of operations that will run on Edge TPU: 1
Operator                       Count      Status

FULLY_CONNECTED                1          Mapped to Edge TPU
SOFTMAX                        1          Operation is otherwise supported, but not mapped
"""


def options(folder: Path, recipe: str = "ptq_w8a8") -> tuple[str, ...]:
    data, out = str(folder / "data.npz"), str(folder / "out")
    options = ("--recipe", recipe, "--accelerator", "edgetpu", "--out", out)
    return ("convert", str(folder / "model.onnx"), "--data", data, *options)


def test_without_a_compiler_nothing_is_begun(tmp_path: Path) -> None:
    assert_refused(kedge(*options(tmp_path), cwd=tmp_path), 3, "is not installed", "coral.ai")
    assert not (tmp_path / "out").exists()


def test_a_recipe_of_floats_is_refused(tmp_path: Path) -> None:
    ran = kedge(*options(tmp_path, "ptq_f16"), cwd=tmp_path)
    assert_refused(ran, 4, "8-bit integers only", "ptq_w8a8")


def test_the_file_is_compiled_and_compared_with_the_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Path
) -> None:
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "result").write_bytes(edgetpu_model())
    script = f'cp {tmp_path}/result "$3/model_edgetpu.tflite"; cat {tmp_path}/log'
    install(tmp_path, monkeypatch, script)
    out = tmp_path / "out"
    arguments = ("convert", str(digits / "digits.keras"), "--data", str(digits / "digits.npz"))
    arguments += ("--accelerator", "edgetpu", "--out", str(out))
    ran = kedge(*arguments, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "1 of 2 operators on the Edge TPU" in ran.out
    assert "SOFTMAX 0 instead of 1" in ran.err
    assert (out / "model_edgetpu.tflite").read_bytes() == edgetpu_model()
    evidence = json.loads((out / "model_edgetpu.json").read_text())
    conversion = json.loads((out / "conversion.json").read_text())
    assert evidence["model_sha256"] == conversion["model_sha256"]
    assert evidence["agrees"] is False
    assert not list(out.glob(".edgetpu-*"))
    again = kedge(*arguments, "--json", cwd=tmp_path)
    assert again.json["edgetpu"]["compiler"]["total"] == 2
    assert again.json["model_sha256"] == conversion["model_sha256"]
