"""A conversion writes the formats that were requested, each judged by its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion, read_conversion, recipe_of_file
from converters.evidence.golden import read_golden
from converters.formats import FORMATS, read_model_file
from converters.process import convert
from converters.request import ConversionRequest
from device_agent.contract.codes import IntegrityError
from toolkit.measure.inputs import golden_beside


@pytest.fixture(scope="module")
def both(digits_request: ConversionRequest, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    out = tmp_path_factory.mktemp("formats") / "both"
    return convert(replace(digits_request, format="both", out=out))


def test_both_formats_are_judged_and_compared(both: Conversion, digits_ptq: Conversion) -> None:
    assert both.model_sha256 == digits_ptq.model_sha256
    (other,) = both.other_files
    path = both.model.with_name(other.name)
    assert both.model_files == (both.model, path)
    assert (other.name, other.sha256, other.size_bytes) == (
        "model.onnx",
        sha256_of(path),
        path.stat().st_size,
    )
    golden = read_golden(path.with_name(other.golden))
    (answers,) = FORMATS["onnx"].run(path, golden.inputs).values()
    right = int((answers.argmax(1) == golden.labels).sum())
    assert other.accuracy is not None
    assert (right, len(answers)) == (other.accuracy.correct, other.accuracy.samples)
    parity = both.format_parity
    assert parity is not None
    assert parity.samples == len(answers)
    assert parity.largest <= 2
    assert parity.share_above_one is not None
    assert parity.same_class is not None
    assert parity.same_class >= 0.999


def test_golden_inputs_and_the_recipe_belong_to_each_file(both: Conversion) -> None:
    for path in both.model_files:
        model = read_model_file(path)
        golden = golden_beside(model)
        assert golden is not None
        assert [array.dtype.name for array in golden.inputs.values()] == [model.inputs[0].dtype]
        assert recipe_of_file(path, model.sha256) == "ptq_w8a8"


def test_a_changed_file_of_either_format_is_noticed(
    both: Conversion, digits_request: ConversionRequest
) -> None:
    path = both.model.with_name("model.onnx")
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    request = replace(digits_request, format="both", out=both.model.parent)
    convert(request)
    assert path.read_bytes() == content


def test_onnx_alone_leaves_no_tflite(
    both: Conversion, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    out = tmp_path / "onnx"
    conversion = convert(replace(digits_request, format="onnx", out=out))
    assert {path.name for path in out.iterdir()} == {
        "model.onnx",
        "model.toml",
        "golden.npz",
        "conversion.json",
    }
    assert conversion.model.name == "model.onnx"
    assert conversion.model_sha256 == both.other_files[0].sha256
    assert conversion.accuracy == both.other_files[0].accuracy
    assert conversion.format_parity == both.format_parity
    assert conversion.inputs[0].dtype == "uint8"
    assert conversion.cost is not None
    assert both.cost is not None
    assert conversion.cost.macs == both.cost.macs
    assert read_conversion(out) == conversion
    conversion.model.write_bytes(b"other")
    with pytest.raises(IntegrityError):
        read_conversion(out)


def test_a_file_for_tensorrt_is_judged_by_onnx_runtime(
    both: Conversion, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    conversion = convert(replace(digits_request, format="tensorrt", out=tmp_path / "out"))
    assert conversion.model.name == "model.onnx"
    assert not conversion.model.with_name("model.tflite").exists()
    model = read_model_file(conversion.model)
    assert FORMATS["onnx"].form_refusals(model, "tensorrt") == ()
    assert FORMATS["onnx"].form_refusals(read_model_file(both.model_files[1]), "tensorrt")
    assert (model.inputs[0].dtype, model.outputs[0].dtype) == ("float32", "float32")
    golden = golden_beside(model)
    assert golden is not None
    (answers,) = FORMATS["onnx"].run(conversion.model, golden.inputs).values()
    assert conversion.accuracy is not None
    assert both.accuracy is not None
    assert int((answers.argmax(1) == golden.labels).sum()) == conversion.accuracy.correct
    assert conversion.accuracy.fraction >= both.accuracy.fraction - 0.02
    assert conversion.format_parity is not None
    assert conversion.format_parity.same_class is not None
    assert conversion.format_parity.same_class >= 0.97


def test_another_format_is_refused(digits_request: ConversionRequest, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="format is 'gguf'"):
        convert(replace(digits_request, format="gguf", out=tmp_path / "out"))
