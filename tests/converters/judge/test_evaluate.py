from __future__ import annotations

import numpy as np
import pytest

from converters.judge.evaluate import chosen_classes
from converters.tensor_spec import TensorSpec, dequantize, quantize

INT8 = TensorSpec("x", (1, 2), "int8", 0.5, -128)


def test_real_numbers_become_steps_clipped_to_the_type() -> None:
    batch = np.array([[0.0, 1.0], [63.9, 1000.0], [-5.0, 0.26]], np.float32)
    steps = quantize(batch, INT8)
    assert steps.dtype == np.int8
    assert steps.tolist() == [[-128, -126], [0, 127], [-128, -127]]
    np.testing.assert_allclose(dequantize(steps, INT8)[0], batch[0])


def test_a_float_input_is_fed_as_it_is() -> None:
    spec = TensorSpec("x", (1, 1), "float32", None, None)
    np.testing.assert_array_equal(quantize(np.float32([[0.3]]), spec), np.float32([[0.3]]))


@pytest.mark.parametrize(
    ("scores", "probabilities", "classes"),
    [
        ([[0.1, 0.9], [0.8, 0.2]], True, [1, 0]),
        ([[0.4], [0.6]], True, [0, 1]),
        ([[0.4], [-0.6]], False, [1, 0]),
    ],
)
def test_scores_choose_a_class(
    scores: list[list[float]], probabilities: bool, classes: list[int]
) -> None:
    assert chosen_classes(np.float32(scores), probabilities).tolist() == classes
