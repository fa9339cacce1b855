"""A .tflite that is written as ONNX answers as it did, and loads from ONNX Runtime 1.14 on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.formats import FORMATS, read_model_file
from converters.model_file import ModelFile
from converters.onnx.contract import lowest_onnxruntimes
from converters.onnx.write.file import onnx_of_tflite
from device_agent.contract.onnx_scales import SCALES_KEY, scales_from_text
from tests.converters.conftest import run_program
from tests.converters.tflite.tflite_maker import model_object, packed

Array = np.ndarray[Any, Any]

CASES = [
    "conv_same_strided",
    "conv_valid_dilated",
    "conv_grouped",
    "conv_1d",
    "depthwise",
    "transposed",
    "transposed_valid",
    "dense",
    "dense_of_rows",
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "concat",
    "squeeze_excite",
    "scaled",
    "max_pool",
    "average_pool",
    "global_pool",
    "pad",
    "mirror_pad",
    "reshape",
    "transpose",
    "softmax",
    "sigmoid",
    "tanh",
    "hard_swish",
    "leaky_relu",
    "relu_bounded",
    "prelu",
    "elu",
    "gelu",
    "exp",
    "squared_difference",
    "divided",
    "bilinear",
    "nearest",
    "mean_of_rows",
    "sum_of_rows",
    "largest",
    "slice",
    "row",
    "split",
    "stacked",
    "gather",
    "tile",
    "depth_to_space",
    "space_to_depth",
    "batch_matmul",
    "normalized",
    "lstm",
    "lstm_backward",
    "argmax",
]
MODELS = Path(__file__).resolve().parents[4] / "shared" / "models"
#: Cases whose int8 file may be further apart, in steps: ONNX computes these in real numbers.
WIDER = {"lstm": 24, "lstm_backward": 24, "normalized": 4}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    run_program("write_cases", folder)
    return folder


def compare(source: Path, folder: Path, samples: int = 40) -> tuple[Array, Array]:
    """Outputs of a .tflite and of the .onnx that is written from it, in the steps of the first."""
    written = folder / "model.onnx"
    written.write_bytes(onnx_of_tflite(source.read_bytes()))
    before, after = read_model_file(source), read_model_file(written)
    inputs = random_inputs(before, samples)
    expected = FORMATS["tflite"].run_here(source, inputs, reset=before.reset)
    answers = FORMATS["onnx"].run_here(written, shifted(inputs, before, after))
    (spec,), (onnx_spec,) = before.outputs, after.outputs
    shift = (onnx_spec.zero_point or 0) - (spec.zero_point or 0)
    return expected[spec.name].astype(float), answers[onnx_spec.name].astype(float) - shift


def random_inputs(model: ModelFile, samples: int) -> dict[str, Array]:
    random = np.random.default_rng(3)
    inputs = {}
    for spec in model.inputs:
        shape = (samples, *spec.shape[1:])
        if spec.scale is None:
            inputs[spec.name] = random.normal(size=shape).astype(spec.dtype)
        else:
            limits = np.iinfo(spec.dtype)
            values = random.integers(limits.min, limits.max + 1, shape)
            inputs[spec.name] = values.astype(spec.dtype)
    return inputs


def shifted(inputs: Mapping[str, Array], before: ModelFile, after: ModelFile) -> dict[str, Array]:
    """Inputs of a .tflite as its .onnx takes them."""
    specs = zip(before.inputs, after.inputs, strict=True)
    return {
        other.name: (
            inputs[spec.name].astype(np.float32) + (other.zero_point or 0) - (spec.zero_point or 0)
        ).astype(other.dtype)
        for spec, other in specs
    }


@pytest.mark.parametrize("name", CASES)
def test_each_op_answers_as_before(name: str, cases: Path, tmp_path: Path) -> None:
    before, after = compare(cases / f"{name}.float32.tflite", tmp_path)
    assert after == pytest.approx(before, abs=2e-5, rel=1e-5)
    before, after = compare(cases / f"{name}.int8.tflite", tmp_path)
    assert np.abs(before - after).max() <= WIDER.get(name, 2)


def test_the_program_has_every_case(cases: Path) -> None:
    names = {path.name.split(".")[0] for path in cases.glob("*.float32.tflite")}
    assert names == set(CASES)


def test_a_trained_network_keeps_its_answers(digits_ptq: Conversion, tmp_path: Path) -> None:
    golden = read_golden(digits_ptq.golden)
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_of_tflite(digits_ptq.model.read_bytes()))
    before, after = read_model_file(digits_ptq.model), read_model_file(path)
    (expected,) = FORMATS["tflite"].run_here(digits_ptq.model, golden.inputs).values()
    (answers,) = FORMATS["onnx"].run(path, shifted(golden.inputs, before, after)).values()
    steps = np.abs(answers.astype(int) - 128 - expected.astype(int))
    assert steps.max() <= 2
    assert (answers.argmax(1) == expected.argmax(1)).mean() >= 0.999
    assert path.stat().st_size < 2 * digits_ptq.model.stat().st_size


def test_the_resnet_of_mlperf_answers_as_before(tmp_path: Path) -> None:
    source = MODELS / "mlperf_tiny_ic_int8.tflite"
    if not source.exists():
        pytest.skip(f"{source} is not on this computer")
    before, after = compare(source, tmp_path, 1000)
    assert np.abs(before - after).max() <= 2  # of noise, which the Softmax magnifies
    assert (before.argmax(1) == after.argmax(1)).mean() >= 0.999


def test_the_file_loads_from_1_14_on_and_says_its_scales(
    digits_ptq: Conversion, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_of_tflite(digits_ptq.model.read_bytes()))
    proto = onnx.load(str(path))
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, proto.opset_import[0].version, len(proto.opset_import)) == (8, 13, 1)
    after = read_model_file(path)
    assert lowest_onnxruntimes(after) == {"onnxruntime": "1.14"}
    (taken,) = after.inputs
    assert (taken.dtype, taken.shape) == ("uint8", digits_ptq.inputs[0].shape)
    assert taken.scale == pytest.approx(digits_ptq.inputs[0].scale)
    assert taken.zero_point == (digits_ptq.inputs[0].zero_point or 0) + 128
    text = {entry.key: entry.value for entry in proto.metadata_props}[SCALES_KEY]
    assert set(scales_from_text(text)) == {taken.name, after.outputs[0].name}
    # Weights stay int8, each channel with a scale; activations are uint8.
    types = {t.data_type for t in proto.graph.initializer if "zero_point" in t.name}
    assert types == {onnx.TensorProto.UINT8, onnx.TensorProto.INT8}


def test_a_symmetric_file_has_zero_points_of_zero(digits_ptq: Conversion, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_of_tflite(digits_ptq.model.read_bytes(), symmetric=True))
    proto = onnx.load(str(path))
    points = [onnx.numpy_helper.to_array(t) for t in proto.graph.initializer
              if t.name.startswith("zero_point")]  # fmt: skip
    assert points
    assert not any(point.any() or point.dtype != np.int8 for point in points)
    written = read_model_file(path)
    assert not written.asymmetric
    assert FORMATS["onnx"].form_refusals(written, "tensorrt") == ()
    assert FORMATS["onnx"].refusals(written.operators, "tensorrt", "10.3.0") == ()
    # TensorRT dequantizes int8 alone, and moves no integers.
    stored = {tensor.name: tensor.dtype for tensor in written.tensors if tensor.is_constant}
    taken = {"QuantizeLinear", "DequantizeLinear"}
    integers = {node.output[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear":
            assert stored.get(node.input[0], "int8") == "int8"
        assert node.op_type in taken or not integers & set(node.input)
    golden = read_golden(digits_ptq.golden)
    (spec,), (other,) = digits_ptq.inputs, written.inputs
    assert (other.dtype, written.outputs[0].dtype, other.scale) == ("float32", "float32", None)
    real = (golden.inputs[spec.name].astype(np.float32) - spec.zero_point) * spec.scale
    (answers,) = FORMATS["onnx"].run_here(path, {other.name: real.astype(np.float32)}).values()
    assert (answers.argmax(1) == golden.labels).mean() >= digits_ptq.accuracy.fraction - 0.02


def test_an_op_that_cannot_be_written_is_named_with_what_to_do() -> None:
    with pytest.raises(ConversionError, match=r"does not write as ONNX: CUSTOM \(1\)") as caught:
        onnx_of_tflite(packed(model_object("CUSTOM", 1, "my_op", use=True)))
    assert (caught.value.exit_code, caught.value.hint) == (
        4,
        "Use --format tflite, or build the model without them.",
    )
