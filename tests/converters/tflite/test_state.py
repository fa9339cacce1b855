from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.isolated import run_isolated
from converters.tflite.reader import read_model
from converters.tflite.run import run_inside, run_model
from device_agent.contract.state import KEEP, RELOAD, RESET
from tests.stateful_model import counter_model, sum_model
from tests.tiny_model import pictures_model

STATEFUL = {RESET: (sum_model, (1, 1, 1), 0.0), RELOAD: (counter_model, (1,), 5.0)}


@pytest.mark.parametrize(
    ("content", "reset"),
    [
        (sum_model(), RESET),
        (counter_model(), RELOAD),
        (counter_model(changes=False), KEEP),
        (pictures_model([[3, 2]]), KEEP),
    ],
)
def test_a_file_says_how_its_state_is_set_to_the_beginning(
    tmp_path: Path, content: bytes, reset: str
) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    assert read_model(tmp_path / "model.tflite").reset == reset


@pytest.mark.parametrize("run", [run_model, run_isolated])
@pytest.mark.parametrize("reset", STATEFUL)
def test_independent_samples_begin_with_a_fresh_state(
    tmp_path: Path, run: Callable[..., dict[str, np.ndarray]], reset: str
) -> None:
    make, shape, begin = STATEFUL[reset]
    path = tmp_path / "model.tflite"
    path.write_bytes(make())
    samples = np.array([1, 1, 2], np.float32).reshape(3, *shape[1:])

    fresh = run(path, {"x": samples}, reset=read_model(path).reset)["y"]
    assert np.array_equal(fresh.ravel(), begin + samples.ravel())

    stream = run(path, {"x": samples}, reset=KEEP)["y"]
    assert np.array_equal(stream.ravel(), begin + np.cumsum(samples))


@pytest.mark.parametrize("reset", STATEFUL)
def test_ranges_are_measured_from_a_fresh_state(reset: str) -> None:
    make, shape, begin = STATEFUL[reset]
    samples = np.ones((3, *shape[1:]), np.float32)
    outputs = run_inside(make(), [{"x": samples}], [1 if reset == RESET else 3])
    assert [float(values.ravel()[0]) for (values,) in outputs] == [begin + 1] * 3
