"""A fused LSTM of a .tflite in integers: the ranges of what is inside of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tests.converters.conftest import run_child
from tests.model_maker import ModelMaker

STEPS, NUMBERS, UNITS, OUTPUTS = 12, 6, 16, 8
FORGET_BIAS = 1.0


def lstm_model(kind: str, weight: float = 0.4) -> bytes:
    """A file of a single UNIDIRECTIONAL_SEQUENCE_LSTM, float32 [1, 12, 6] to [1, 12, units].

    Args:
        kind: "plain", "no input gate", "peepholes", "projection" or "normalized".
        weight: Standard deviation of the weights.
    """
    model, random = ModelMaker(), np.random.default_rng(0)
    given = OUTPUTS if kind == "projection" else UNITS
    x = model.tensor("x", [1, STEPS, NUMBERS])
    y = model.tensor("y", [1, STEPS, given])
    inputs = [x, *[-1] * 23]

    def put(
        first: int, shape: list[int], count: int = 4, scale: float = weight, mean: float = 0.0
    ) -> None:
        for place in range(first, first + count):
            values = random.normal(mean, scale, shape).astype("<f4").tobytes()
            inputs[place] = model.tensor(f"weight{place}", shape, values)

    put(1, [UNITS, NUMBERS])
    put(5, [UNITS, given])
    put(12, [UNITS], scale=0.01)
    put(13, [UNITS], 1, scale=0.01, mean=FORGET_BIAS)
    if kind == "peepholes":
        put(9, [UNITS], 3)
    if kind == "projection":
        put(16, [OUTPUTS, UNITS], 1)
    if kind == "normalized":
        put(20, [UNITS], mean=1.0, scale=0.1)
    if kind == "no input gate":
        for place in (1, 5, 12):
            inputs[place] = -1
    for place, shape in ((18, [1, given]), (19, [1, UNITS])):
        inputs[place] = model.tensor(f"state{place}", shape)
        model.tensors[inputs[place]].isVariable = True
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    model.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], options, "UnidirectionalSequenceLSTMOptions"
    )
    return model.pack([([x], [y])])


def outputs_of(content: bytes, samples: np.ndarray) -> np.ndarray:
    """Answers of a file of floats or int8, as real numbers, each sample with a fresh state."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for sample in samples[:, None]:
        interpreter.reset_all_variables()
        if taken["dtype"] == np.int8:
            scale, zero = taken["quantization"]
            sample = np.clip(np.round(sample / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], sample)
        interpreter.invoke()
        answer = interpreter.get_tensor(given["index"])[0].astype(np.float32)
        if given["dtype"] == np.int8:
            scale, zero = given["quantization"]
            answer = (answer - zero) * scale
        answers.append(answer)
    return np.array(answers)


def relative_error(content: bytes, x: np.ndarray, folder: Path) -> float:
    floats, inputs, file = folder / "floats.tflite", folder / "inputs.npy", folder / "int8.tflite"
    floats.write_bytes(content)
    np.save(inputs, x)
    run_child("-m", "tests.converters.programs.lstm_in_integers", floats, inputs, file)
    right, answers = outputs_of(content, x), outputs_of(file.read_bytes(), x)
    return float(np.sqrt(((answers - right) ** 2).mean()) / right.std())


@pytest.mark.parametrize(
    "kind", ["plain", "no input gate", "peepholes", "projection", "normalized"]
)
def test_each_kind_of_fused_lstm_answers_in_integers_as_in_floats(
    kind: str, tmp_path: Path
) -> None:
    x = np.random.default_rng(1).normal(0, 1, (40, STEPS, NUMBERS)).astype(np.float32)
    assert relative_error(lstm_model(kind), x, tmp_path) < 0.08


def test_a_small_cell_has_a_range_for_which_the_kernel_has_a_tanh(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 0.02, (40, STEPS, NUMBERS)).astype(np.float32)
    assert relative_error(lstm_model("plain", 0.1), x, tmp_path) < 0.1


def test_the_range_of_a_cell_is_that_of_its_largest_step_and_not_of_its_last(
    tmp_path: Path,
) -> None:
    """A sequence that ends in zeros leaves a small cell behind."""
    x = np.random.default_rng(1).normal(0, 4, (40, STEPS, NUMBERS)).astype(np.float32)
    x[:, 5:] = 0
    assert relative_error(lstm_model("plain"), x, tmp_path) < 0.08
