"""Damaged .tflite files: the reader of the graph answers with a graph or with one message."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.graph.tflite.read import RULES, read_tflite_graph
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel, unpack_file
from tests.converters.conftest import run_program

CASES = 2000
BUILTINS = sorted(rule for rule in RULES if hasattr(schema.BuiltinOperator, rule))
SIZES = (-1, 0, 1, 2, 3, 7, 12, 4096, 2**31 - 1)
#: Small files that have most rules between them.
FILES = (
    "attention, mask chosen",
    "attention",
    "concatenation, constant",
    "conv, groups",
    "conv transpose, odd",
    "conv transpose with bias",
    "conv 1d, dilation",
    "depthwise, multiplier",
    "embedding",
    "gather of several",
    "group norm",
    "layer norm",
    "lstm",
    "max pool, padded by -inf",
    "pack, unpack",
    "ranks differ",
    "split, sizes",
    "squeeze and excite",
    "strided slice",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    run_program("tflite_cases", folder, folder / "report.json", *FILES)
    return sorted(folder.glob("*.tflite"))


def change_shape(model: UnpackedModel, chance: random.Random) -> None:
    tensor = chance.choice(model.tensors)
    shape = [] if tensor.shape is None else [int(axis) for axis in tensor.shape]
    if shape and chance.random() < 0.7:
        shape[chance.randrange(len(shape))] = chance.choice(SIZES)
    else:
        shape = [*shape, chance.choice(SIZES)][chance.randrange(2) :]
    tensor.shape = shape


def change_inputs(model: UnpackedModel, chance: random.Random) -> None:
    operator = chance.choice(model.operators)
    inputs = [int(i) for i in operator.inputs] or [0]
    if chance.random() < 0.3:
        inputs.pop()
    else:
        inputs[chance.randrange(len(inputs))] = chance.randrange(-1, len(model.tensors))
    operator.inputs = inputs


def change_outputs(model: UnpackedModel, chance: random.Random) -> None:
    operator = chance.choice(model.operators)
    operator.outputs = [chance.randrange(len(model.tensors))] * chance.randrange(3)


def change_op(model: UnpackedModel, chance: random.Random) -> None:
    operator = chance.choice(model.operators)
    options, kind = operator.builtinOptions, operator.builtinOptionsType
    model.set_op(operator, chance.choice(BUILTINS), options, kind)


def change_option(model: UnpackedModel, chance: random.Random) -> None:
    operator = chance.choice(model.operators)
    numbers = [name for name, value in vars(operator.builtinOptions or object).items()
               if isinstance(value, (int, float))]  # fmt: skip
    if numbers:
        setattr(operator.builtinOptions, chance.choice(numbers), chance.choice(SIZES))


def change_values(model: UnpackedModel, chance: random.Random) -> None:
    buffer = chance.choice(model.model.buffers)
    if buffer.data is None or not len(buffer.data):
        return
    data = np.array(buffer.data, np.uint8)
    if chance.random() < 0.3:
        buffer.data = data[: chance.randrange(len(data))]
    else:
        data[chance.randrange(len(data))] = chance.randrange(256)
        buffer.data = data


CHANGES: tuple[Callable[[UnpackedModel, random.Random], None], ...] = (
    change_shape,
    change_inputs,
    change_outputs,
    change_op,
    change_option,
    change_values,
)


def read(model: UnpackedModel) -> Any:
    return read_tflite_graph(model, "model.tflite", [f"x{i}" for i in range(len(model.inputs))])


def test_whatever_is_changed_the_answer_is_a_graph_or_one_message(files: list[Path]) -> None:
    contents = [path.read_bytes() for path in files]
    refusals = 0
    for number in range(CASES):
        chance = random.Random(number)
        model = UnpackedModel(chance.choice(contents))
        for _ in range(chance.randrange(1, 4)):
            chance.choice(CHANGES)(model, chance)
        began = time.monotonic()
        try:
            read(model)
        except ConversionError as error:
            refusals += 1
            assert str(error).startswith("model.tflite: "), number
            assert error.hint, number
            assert "\n" not in str(error), number
        assert time.monotonic() - began < 20, number
    assert CASES // 4 < refusals < CASES


def test_bytes_that_the_reader_of_files_lets_through_are_no_crash(
    files: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    passed = 0
    for number in range(CASES // 4):
        chance = random.Random(number)
        content = bytearray(chance.choice(files).read_bytes())
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(8, len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            read_model(path)
        except ConversionError:
            continue
        passed += 1
        try:
            read(unpack_file(path))
        except ConversionError as error:
            assert error.hint, number
    assert passed > CASES // 20
