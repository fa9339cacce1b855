"""`kedge bench` of models of every kind: whole inputs, token numbers, names, sizes, types."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.deadline import endless_sample
from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.tflite.reader import read_model
from targets.inventory import Target
from targets.progress import no_progress
from targets.provision import open_device
from tests.kedge import assert_refused, kedge
from tests.model_maker import ModelMaker
from tests.tiny_model import (
    gather_model,
    pictures_model,
    relu_model,
    repeat_model,
    with_changes,
    with_names,
)
from toolkit.measure import outputs
from toolkit.measure.inputs import random_inputs, refuse_odd_tensors
from toolkit.measure.outputs import check_outputs

QUICK = ("--on", "here", "--quality", "quick", "--duration", "100ms")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    add = ["target", "add", "here", "local", "--root", str(folder / "root")]
    assert kedge(*add, cwd=folder).code == 0
    return folder


def open_batch(graph: Any) -> None:
    for tensor in graph.tensors:
        tensor.shapeSignature = [-1, 2]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pictures_model([[3, 2]]), id="first axis is no batch"),
        pytest.param(pictures_model([[15]]), id="one axis"),
        pytest.param(pictures_model([[]]), id="scalar"),
        pytest.param(with_changes(pictures_model([[3, 2]]), open_batch), id="open batch of 3"),
        pytest.param(gather_model(), id="token numbers up to 3"),
        pytest.param(with_names(pictures_model([[1, 2], [1, 4]]), [""] * 4), id="no names"),
        pytest.param(with_names(pictures_model([[1, 2], [1, 4]]), ["a"] * 4), id="one name"),
    ],
)
def test_outputs_are_equal_on_one_computer(project: Path, content: bytes) -> None:
    (project / "model.tflite").write_bytes(content)
    ran = kedge("bench", "model.tflite", *QUICK, "--json", cwd=project)

    assert ran.code in (0, 9), ran.err
    parity = ran.json["targets"][0]["parity"]
    assert (parity["verdict"], parity["samples"]) == ("EQUAL", 64)


def test_a_model_that_draws_random_numbers_is_not_compared(project: Path) -> None:
    model = ModelMaker()
    x, y = model.tensor("x", [1, 2]), model.tensor("y", [1, 2])
    shape = model.tensor("shape", [2], struct.pack("<2i", 1, 2), schema.TensorType.INT32)
    noise = model.tensor("noise", [1, 2])
    model.op("RANDOM_UNIFORM", [shape], [noise], schema.RandomOptionsT(), "RandomOptions")
    model.op("ADD", [x, noise], [y], schema.AddOptionsT(), "AddOptions")
    (project / "model.tflite").write_bytes(model.pack([([x], [y])]))
    ran = kedge("bench", "model.tflite", *QUICK, "--json", cwd=project)

    assert ran.code in (0, 9), ran.err
    parity = ran.json["targets"][0]["parity"]
    assert parity["verdict"] == "INCONCLUSIVE"
    assert "draws random numbers (RANDOM_UNIFORM)" in parity["reason"]


def test_an_output_that_changes_its_length_is_compared_up_to_there(project: Path) -> None:
    (project / "model.tflite").write_bytes(repeat_model())
    ran = kedge("bench", "model.tflite", *QUICK, "--json", cwd=project)

    assert ran.code in (0, 9), ran.err
    parity = ran.json["targets"][0]["parity"]
    assert parity["verdict"] == "EQUAL"
    assert 1 <= parity["samples"] < 64


def strings(graph: Any) -> None:
    for tensor in graph.tensors:
        tensor.type = schema.TensorType.STRING


def nothing_in(graph: Any) -> None:
    graph.inputs = []


def nothing_out(graph: Any) -> None:
    graph.outputs = []


def open_height(graph: Any) -> None:
    graph.tensors[0].shapeSignature = [1, -1]


def too_large(graph: Any) -> None:
    graph.tensors[0].shape = [1 << 30, 1 << 30, 4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (too_large, "the inputs of one inference have 18,446,744,073,709,551,616 bytes"),
        (strings, "is of type string"),
        (nothing_in, "has no inputs"),
        (nothing_out, "has no outputs"),
        (open_height, "has the open shape [1, -1]"),
    ],
)
def test_what_cannot_be_fed_is_one_sentence(
    project: Path, change: Callable[[Any], None], words: str
) -> None:
    (project / "model.tflite").write_bytes(with_changes(pictures_model([[1, 4]]), change))
    assert_refused(kedge("bench", "model.tflite", *QUICK, cwd=project), 4, words, "expected")


def test_token_numbers_that_fit_nowhere_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "INTEGER_RANGES", ((50, 99), (9, 9)))
    path = tmp_path / "model.tflite"
    path.write_bytes(gather_model())
    with open_device(Target("here", "local", root=str(tmp_path / "root"))) as device:
        kernels = device.prepare_runtime("tflite")
        with pytest.raises(ConversionError, match="without a scale 50 to 99, 9"):
            check_outputs(read_model(path), device, device.push(path), kernels, no_progress)


def test_a_model_that_does_not_end_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "LONGEST_SAMPLE_S", 0.0)
    runs: list[Path] = []

    def run(path: Path, *_: object, **__: object) -> dict[str, np.ndarray[Any, Any]]:
        runs.append(path)
        raise endless_sample(str(path), 120)

    path = tmp_path / "model.tflite"
    path.write_bytes(gather_model())
    model = read_model(path)
    monkeypatch.setitem(FORMATS, "tflite", replace(FORMATS["tflite"], run=run))
    with pytest.raises(ConversionError, match="within 120 s$"):
        outputs._answer_random(model, "none", no_progress)
    assert runs == [path]


def drawn(folder: Path, content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    path = folder / "model.tflite"
    path.write_bytes(content)
    model = read_model(path)
    refuse_odd_tensors(model)
    return random_inputs(model, (0, 99))


def test_values_are_of_the_range_of_their_kind(tmp_path: Path) -> None:
    of_floats = drawn(tmp_path, pictures_model([[3, 2]]))["image0"]
    assert (of_floats.dtype, of_floats.shape) == (np.float32, (64, 3, 2))
    assert -1 <= of_floats.min() < -0.9 < 0.9 < of_floats.max() <= 1

    quantized = drawn(tmp_path, relu_model())["x"]
    assert (quantized.dtype, quantized.shape) == (np.int8, (64, 4))
    assert quantized.min() < -100 < 100 < quantized.max()

    tokens = drawn(tmp_path, gather_model())["index"]
    assert (tokens.dtype, tokens.shape) == (np.int32, (64,))
    assert 0 <= tokens.min() < tokens.max() <= 99


@pytest.mark.parametrize(("size", "samples"), [(1 << 20, 4), (1 << 23, 1)])
def test_large_inputs_are_few(tmp_path: Path, size: int, samples: int) -> None:
    assert len(drawn(tmp_path, pictures_model([[1, size]]))["image0"]) == samples


def test_a_first_axis_that_is_no_batch_belongs_to_a_labelled_sample(project: Path) -> None:
    (project / "whole.tflite").write_bytes(pictures_model([[10]]))
    samples = np.eye(10, dtype=np.float32).repeat(3, axis=0)
    labels = np.arange(10).repeat(3)
    labels[0] = 9
    arrays = {"x_train": samples, "y_train": labels, "x_test": samples, "y_test": labels}
    np.savez(project / "whole.npz", **arrays)
    ran = kedge("bench", "whole.tflite", *QUICK, "--data", "whole.npz", "--json", cwd=project)
    (measurement,) = json.loads(ran.out)["targets"]
    assert measurement["accuracy"]["samples"] == 30, ran.err
    assert measurement["accuracy"]["board"] == pytest.approx(29 / 30)


def test_the_random_values_that_a_message_names_are_those_of_the_inputs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "quantized.tflite"
    path.write_bytes(relu_model())

    def fail(*_: Any, **__: Any) -> Any:
        raise ConversionError("it crashed", "")

    monkeypatch.setitem(outputs.FORMATS, "tflite", replace(outputs.FORMATS["tflite"], run=fail))
    device: Any = None
    with pytest.raises(ConversionError, match=r"random inputs: quantized numbers of the whole"):
        check_outputs(read_model(path), device, device, device, no_progress)
