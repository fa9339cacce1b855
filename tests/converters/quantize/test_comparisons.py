"""A comparison of numbers, as a Masking layer has it, beside integers."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters.quantize.integer_file import int8_file
from converters.quantize.layer_names import float_layer_notes
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


def test_a_comparison_with_a_float_is_named_and_runs() -> None:
    ranges = {0: (-1.0, 1.0), 3: (0.0, 1.0), 4: (-1.0, 1.0)}
    content = int8_file(masked_model(), ranges, "int8")
    (note,) = float_layer_notes(content, None)
    assert "NOT_EQUAL 'is_kept'" in note
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.invoke()
