"""What kedge believes about runtimes, asked of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.model_file import RuntimeRequirement
from converters.tflite.contract import minimum_runtime, refusals, tflite_version
from converters.tflite.reader import read_model
from tests.converters.tflite.tflite_maker import model_object, op_model, packed

TABLE = Path(__file__).parents[3] / "converters" / "tflite" / "op_versions.toml"
OP_VERSIONS = tomlkit.parse(TABLE.read_text()).unwrap()


def litert(**arguments: Any) -> tuple[Any, str]:
    return Interpreter(**arguments), "ai-edge-litert"


def old(**arguments: Any) -> tuple[Any, str] | None:
    module = pytest.importorskip(
        "tflite_runtime.interpreter", reason="tflite-runtime 2.14 is not installed here"
    )
    return module.Interpreter(**arguments), "tflite-runtime"


@pytest.fixture(
    params=[(litert, "2.3.0"), (old, "2.14.0")], ids=["ai-edge-litert", "tflite-runtime"]
)
def runtime(request: pytest.FixtureRequest) -> tuple[Callable[..., Any], str, str]:
    """How to make an interpreter, and the runtime's name and version."""
    make, version = request.param
    _, name = make(model_content=op_model("RELU", 1))
    return make, name, version


def loads(make: Callable[..., Any], content: bytes) -> bool:
    try:
        make(model_content=content)
    except (ValueError, RuntimeError):
        return False
    return True


def test_every_line_of_the_table_is_true_of_the_real_runtime(
    runtime: tuple[Callable[..., Any], str, str], tmp_path: Path
) -> None:
    make, name, version = runtime
    wrong = []
    for op, versions in OP_VERSIONS.items():
        for number in range(1, len(versions) + 1):
            path = tmp_path / "model.tflite"
            path.write_bytes(packed(model_object(op, number, use=True)))
            believed = not refusals(read_model(path).operators, name, version)
            # Op versions that no runtime kept are unknown, hence not refused of the newest.
            if versions[number - 1] and believed != loads(make, op_model(op, number)):
                wrong.append((op, number, versions[number - 1]))
    assert wrong == []


def test_the_old_runtime_loads_no_op_that_the_table_does_not_know() -> None:
    schema_ops = {op for op in OP_VERSIONS if loads(old, op_model(op, len(OP_VERSIONS[op]) + 1))}
    assert schema_ops == set()


def test_a_dynamic_range_dense_is_refused_by_kedge_and_by_the_old_runtime(zoo: Path) -> None:
    path = zoo / "dense_dynamic.tflite"
    model = read_model(path)
    assert refusals(model.operators, "tflite-runtime", "2.14.0") == (
        "FULLY_CONNECTED version 12 needs a TFLite runtime of 2.17, tflite-runtime is 2.14.0",
    )
    assert minimum_runtime(model) == RuntimeRequirement((2, 17), "FULLY_CONNECTED", 12)
    assert refusals(model.operators, "ai-edge-litert", "2.3.0") == ()
    with pytest.raises(ValueError, match="FULLY_CONNECTED.*12"):
        old(model_path=str(path))
    litert(model_path=str(path))


def answers(interpreter: Any, samples: np.ndarray) -> np.ndarray:
    interpreter.allocate_tensors()
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for sample in samples:
        interpreter.set_tensor(input_["index"], sample[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output["index"])[0])
    return np.array(rows)


def claiming(path: Path, version: int, copy: Path) -> Path:
    """The same file, in which every op claims a version."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    for code in model.operatorCodes:
        code.version = version
    copy.write_bytes(packed(model))
    return copy


@pytest.mark.parametrize(
    ("name", "old_is_right"), [("dense", False), ("conv", True), ("depthwise", True)]
)
def test_dynamic_range_is_judged_by_its_weights_and_not_by_its_claim(
    zoo: Path, tmp_path: Path, name: str, old_is_right: bool
) -> None:
    """tflite-runtime 2.14 loads a Dense layer that claims version 1, and answers wrongly."""
    path = claiming(zoo / f"{name}_dynamic.tflite", 1, tmp_path / "model.tflite")
    with np.load(zoo / f"{name}.npz") as data:
        x, y = data["x"], data["y"]
    # The rounding of the activations as it runs leaves this much; a lost scale leaves more.
    near = 0.1 * np.abs(y).max()
    assert np.abs(answers(litert(model_path=str(path))[0], x) - y).max() < near
    assert refusals(read_model(path).operators, "ai-edge-litert", "2.3.0") == ()
    is_right = np.abs(answers(old(model_path=str(path))[0], x) - y).max() < near
    assert is_right == old_is_right
    reasons = refusals(read_model(path).operators, "tflite-runtime", "2.14.0")
    assert (reasons == ()) == old_is_right
    if reasons:
        assert reasons == (
            "FULLY_CONNECTED version 12 (its weights call for it, though the file claims 1) needs "
            "a TFLite runtime of 2.17, tflite-runtime is 2.14.0",
        )


def test_files_of_the_converter_claim_what_their_weights_call_for(
    zoo: Path, digits_ptq: Conversion, digits_qat: tuple[Any, ...]
) -> None:
    files = [digits_ptq.model, digits_qat[0].model, *zoo.glob("*.tflite")]
    operators = [operator for path in files for operator in read_model(path).operators]
    assert max(operator.least_version for operator in operators) == 12
    assert all(operator.least_version <= operator.version for operator in operators)


def test_int8_models_are_accepted_by_kedge_and_by_the_old_runtime(
    digits_ptq: Conversion, digits_qat: tuple[Any, ...]
) -> None:
    for conversion in (digits_ptq, digits_qat[0]):
        assert refusals(read_model(conversion.model).operators, "tflite-runtime", "2.14.0") == ()
        interpreter, _ = old(model_path=str(conversion.model))
        zeros = np.zeros((1, *conversion.inputs[0].shape[1:]), np.int8)
        assert answers(interpreter, zeros).shape == (1, 10)


def test_per_channel_dense_computes_the_same_on_the_old_runtime(zoo: Path) -> None:
    """Its op version does not change, so an old runtime that knew one scale only would be wrong."""
    path = zoo / "dense_int8.tflite"
    model = read_model(path)
    assert {t.scales for t in model.tensors if t.is_constant and len(t.shape) == 2} == {100, 512}
    with np.load(zoo / "dense.npz") as data:
        steps = np.round(data["x"] / model.inputs[0].scale) + model.inputs[0].zero_point
        float_answers = data["y"]
    samples = np.clip(steps, -128, 127).astype(np.int8)
    builtin = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    new = answers(Interpreter(str(path), experimental_op_resolver_type=builtin), samples)
    np.testing.assert_array_equal(answers(old(model_path=str(path))[0], samples), new)
    assert (new.argmax(axis=1) == float_answers.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("FlexErf", "FlexErf is an op of full TensorFlow (Flex)"),
        ("my_op", "my_op is a custom op, which no TFLite runtime wheel contains"),
    ],
)
def test_a_foreign_op_is_refused_by_kedge_and_by_the_runtimes(
    runtime: tuple[Callable[..., Any], str, str], tmp_path: Path, op: str, message: str
) -> None:
    make, name, version = runtime
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model_object("CUSTOM", 1, op, use=True)))
    (reason,) = refusals(read_model(path).operators, name, version)
    assert reason.startswith(message)
    interpreter, _ = make(model_path=str(path))
    with pytest.raises(RuntimeError):
        interpreter.allocate_tensors()


@pytest.mark.parametrize("op", ["edgetpu-custom-op", "TFLite_Detection_PostProcess"])
def test_ops_that_the_board_or_the_runtime_brings_are_not_refused(tmp_path: Path, op: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model_object("CUSTOM", 1, op, use=True)))
    assert refusals(read_model(path).operators, "tflite-runtime", "2.14.0") == ()


@pytest.mark.parametrize(("op", "version"), [("CONV_2D", 99), ("STABLEHLO_ABS", 1)])
def test_an_op_that_the_table_does_not_know_is_taken_to_be_newer(
    tmp_path: Path, op: str, version: int
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model_object(op, version, use=True)))
    model = read_model(path)
    (reason,) = refusals(model.operators, "tflite-runtime", "2.14.0")
    assert reason.startswith(f"{op} version {version} is newer than every runtime that kedge knows")
    assert minimum_runtime(model).operator == op


@pytest.mark.parametrize(
    ("runtime", "version", "contains"),
    [
        ("tflite-runtime", "2.14.0", (2, 14, 0)),
        ("tflite-runtime", "2.5.0.post1", (2, 5, 0)),
        ("ai-edge-litert", "1.0.1", (2, 17)),
        ("ai-edge-litert", "1.4.0", (2, 20)),
        ("ai-edge-litert", "2.1.0", (2, 21)),
        ("ai-edge-litert", "2.3.0", (2, 22)),
        ("ai-edge-litert", "3.0", (2, 22)),
    ],
)
def test_a_runtime_contains_a_tflite(runtime: str, version: str, contains: tuple[Any, ...]) -> None:
    assert tflite_version(runtime, version) == contains


@pytest.mark.parametrize(("runtime", "version"), [("tvm", "1.0"), ("tflite-runtime", "new")])
def test_an_unknown_runtime_is_said(runtime: str, version: str) -> None:
    with pytest.raises(ConversionError, match=f"runtime {runtime} {version} is unknown"):
        tflite_version(runtime, version)
