"""Which .onnx files go to a board: by the release there, its known faults, and its delegate."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.formats import read_model_file
from targets.execution import Execution
from targets.inventory import Target
from tests.kedge import assert_refused, kedge
from tests.onnx_models import foreign_model, model_of, relu_model, value
from tests.tiny_model import relu_model as tflite_model
from toolkit.admission import ModelRefusedError, admit_to_runtime


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "relu.onnx").write_bytes(relu_model())
    (tmp_path / "relu.tflite").write_bytes(tflite_model())
    (tmp_path / "new.onnx").write_bytes(relu_model(opset=20, ir_version=10))
    (tmp_path / "foreign.onnx").write_bytes(foreign_model())
    return tmp_path


def write_target(project: Path, *lines: str) -> None:
    entry = ["[targets.pi]", 'address = "local"', f'root = "{project / "root"}"', *lines]
    (project / "kedge.toml").write_text("\n".join(entry) + "\n")


def scratch_of(project: Path) -> list[str]:
    return [path.name for path in (project / "root" / "store" / "scratch").glob("*")]


@pytest.mark.parametrize(
    ("model", "lines", "said"),
    [
        ("foreign.onnx", (), ("Theirs", "operators of ONNX only")),
        ("new.onnx", ('runtime = "onnxruntime 1.16.3"',), ("ONNX IR version 10", "opset")),
        ("relu.onnx", ('delegate = "/usr/lib/libx.so"',), ("takes no .onnx", "allow_cpu")),
        (
            "relu.tflite",
            ('delegate = "CUDAExecutionProvider"',),
            ("takes no .tflite", "allow_cpu"),
        ),
    ],
)
def test_a_model_that_cannot_run_there_is_refused_before_a_byte_is_sent(
    project: Path, model: str, lines: tuple[str, ...], said: tuple[str, ...]
) -> None:
    write_target(project, *lines)
    assert_refused(kedge("push", model, "--to", "pi", cwd=project), 4, *said)
    assert scratch_of(project) == []


def test_a_runtime_of_the_other_format_does_not_keep_an_onnx_away(project: Path) -> None:
    write_target(project, 'runtime = "tflite-runtime"')
    for model in ("relu.onnx", "relu.tflite"):
        ran = kedge("push", model, "--to", "pi", cwd=project)
        assert ran.code == 0, ran.err
    assert len(scratch_of(project)) == 2


def test_a_release_that_would_compute_it_wrongly_is_refused(tmp_path: Path) -> None:
    constants = [
        numpy_helper.from_array(np.float32(1 / 256), "scale"),
        numpy_helper.from_array(np.int8(-128), "zero"),
    ]
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["y"]),
    ]
    outputs = [value("y", [1, 4], TensorProto.INT8)]
    path = tmp_path / "signed.onnx"
    path.write_bytes(model_of(nodes, [value("x", [1, 4])], outputs, constants))
    model, target = read_model_file(path), Target("pi", "local")

    with pytest.raises(ModelRefusedError, match="would compute .* wrongly"):
        admit_to_runtime(model, target, "onnxruntime", "1.23.2", "aarch64")
    admit_to_runtime(model, target, "onnxruntime", "1.23.2", "x86_64")
    admit_to_runtime(model, target, "onnxruntime", "1.32.0", "aarch64")


@pytest.mark.parametrize(
    ("delegate", "allow_cpu", "model_format", "is_compiled", "uses"),
    [
        ("", False, "onnx", False, False),
        ("edgetpu", False, "tflite", True, True),
        ("edgetpu", True, "tflite", False, False),
        ("edgetpu", True, "onnx", False, False),
        ("/usr/lib/libx.so", True, "tflite", False, True),
        ("/usr/lib/libx.so", True, "onnx", False, False),
        ("CUDAExecutionProvider", True, "onnx", False, True),
        ("CUDAExecutionProvider", True, "tflite", False, False),
        ("CUDAExecutionProvider", False, "tflite", False, True),
    ],
)
def test_a_delegate_runs_the_models_that_it_takes(
    delegate: str, allow_cpu: bool, model_format: str, is_compiled: bool, uses: bool
) -> None:
    execution = Execution(delegate=delegate, allow_cpu=allow_cpu)
    assert execution.uses_delegate(model_format, is_compiled) is uses
