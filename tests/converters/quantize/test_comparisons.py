"""A comparison of numbers, as a Masking layer has it, beside integers."""

from __future__ import annotations

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tests.converters.conftest import run_child
from tests.model_maker import ModelMaker


def masked_model() -> bytes:
    """float32 `x` [1, 4] to `y`: `x` where it is not 0.5."""
    model = ModelMaker()
    x, half = model.tensor("x", [1, 4]), model.tensor("half", [], 0.5)
    is_kept = model.tensor("is_kept", [1, 4], dtype=schema.TensorType.BOOL)
    kept, y = model.tensor("kept", [1, 4]), model.tensor("y", [1, 4])
    model.op("NOT_EQUAL", [x, half], [is_kept], schema.NotEqualOptionsT(), "NotEqualOptions")
    model.op("CAST", [is_kept], [kept], schema.CastOptionsT(), "CastOptions")
    model.op("MUL", [x, kept], [y], schema.MulOptionsT(), "MulOptions")
    return model.pack([([x], [y])])


def test_a_comparison_with_a_float_is_named_and_runs(tmp_path: Path) -> None:
    floats, file = tmp_path / "floats.tflite", tmp_path / "int8.tflite"
    floats.write_bytes(masked_model())
    said = run_child("-m", "tests.converters.programs.comparison_in_integers", floats, file)
    (note,) = said.strip().splitlines()
    assert "NOT_EQUAL 'is_kept'" in note
    interpreter = Interpreter(model_content=file.read_bytes())
    interpreter.allocate_tensors()
    interpreter.invoke()
