"""Models with a state on this computer: independent samples, and the steps of one stream."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kedge import assert_refused, kedge
from tests.stateful_model import counter_model, sum_model
from toolkit.measure.state import MOST_STEPS

ASK = ("run", "m.tflite", "--on", "here", "--input", "x.npy", "--save-outputs", "y.npz")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    ran = kedge("target", "add", "here", "local", "--root", str(tmp_path / "root"), cwd=tmp_path)
    assert ran.code == 0, ran.err
    return tmp_path


@pytest.mark.parametrize(
    ("make", "shape", "begin"), [(sum_model, (1, 1, 1), 0), (counter_model, (1,), 5)]
)
def test_samples_are_independent_unless_model_toml_says_otherwise(
    project: Path, make: Callable[[], bytes], shape: tuple[int, ...], begin: int
) -> None:
    (project / "m.tflite").write_bytes(make())
    # More samples than one process on the board gets where they are independent.
    samples = np.ones((300, *shape[1:]), np.float32)
    np.save(project / "x.npy", samples)
    ran = kedge(*ASK, cwd=project)
    assert ran.code == 0, ran.err
    assert "each sample began with a fresh one" in ran.err
    assert set(np.load(project / "y.npz")["y"].ravel()) == {begin + 1}

    (project / "model.toml").write_text("schema = 1\nstreaming = true\n")
    ran = kedge(*ASK, "--json", cwd=project)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["state"] == "stream"
    assert list(np.load(project / "y.npz")["y"].ravel()) == list(range(begin + 1, begin + 301))


def test_a_stream_that_one_process_cannot_take_is_refused(project: Path) -> None:
    (project / "m.tflite").write_bytes(sum_model())
    (project / "model.toml").write_text("schema = 1\nstreaming = true\n")
    np.save(project / "x.npy", np.ones((MOST_STEPS + 1, 1, 1), np.float32))
    assert_refused(kedge(*ASK, cwd=project), 4, "more than 4000 steps", "Give fewer samples")
    assert not (project / "root").exists()


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_outputs_of_a_board_are_compared_with_the_same_state(project: Path, streaming: str) -> None:
    (project / "m.tflite").write_bytes(counter_model())
    (project / "model.toml").write_text(f"schema = 1\nstreaming = {streaming}\n")
    ask = ("bench", "m.tflite", "--on", "here", "--quality", "quick", "--duration", "0.1s")
    ran = kedge(*ask, "--json", cwd=project)
    measurement = json.loads(ran.out)["targets"][0]
    assert measurement["parity"]["verdict"] == "EQUAL", ran.err
    assert measurement["state"] == ("stream" if streaming == "true" else "fresh")


def test_a_wrong_value_is_named(project: Path) -> None:
    (project / "m.tflite").write_bytes(sum_model())
    np.save(project / "x.npy", np.ones((2, 1, 1), np.float32))
    (project / "model.toml").write_text('schema = 1\nstreaming = "yes"\n')
    assert_refused(kedge(*ASK, cwd=project), 3, "line 2: streaming: must be true or false")
