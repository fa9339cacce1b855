from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import isolated_run
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.tflite.isolated import run_isolated
from converters.tflite.reader import read_model
from converters.tflite.run import host_runtime, run_model
from tests.converters.tflite.tflite_maker import model_object, packed
from tests.tiny_model import pictures_model, repeat_model, with_names


def test_samples_come_back_one_row_each(digits_ptq: Conversion) -> None:
    golden = read_golden(digits_ptq.golden)
    seen = []
    results = run_model(digits_ptq.model, golden.inputs, on_progress=lambda *a: seen.append(a))
    (scores,) = results.values()
    assert list(results) == [digits_ptq.outputs[0].name]
    assert (scores.shape, scores.dtype) == ((359, 10), np.int8)
    assert (scores.argmax(axis=1) == golden.labels).mean() == digits_ptq.accuracy.fraction
    assert seen == [(250, 359)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda x: x.astype(np.float32), r"takes int8 \(1, 8, 8, 1\).*given float32"),
        (lambda x: x[:, :4], r"given int8 \(359, 4, 8, 1\)"),
    ],
)
def test_an_input_that_does_not_fit_is_named(
    digits_ptq: Conversion, changed: Callable[..., Any], message: str
) -> None:
    inputs = {name: changed(x) for name, x in read_golden(digits_ptq.golden).inputs.items()}
    with pytest.raises(ConversionError, match=message):
        run_model(digits_ptq.model, inputs)


def test_an_input_of_another_name_is_named(digits_ptq: Conversion) -> None:
    with pytest.raises(ConversionError, match="was given .'other'."):
        run_model(digits_ptq.model, {"other": np.zeros((1, 8, 8, 1), np.int8)})


def test_a_file_that_the_runtime_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model_object("CUSTOM", 1, "my_op", use=True)))
    with pytest.raises(ConversionError, match="model.tflite: ai-edge-litert .* cannot run it"):
        run_model(path, {"x": np.zeros((1,), np.float32)})
    with pytest.raises(ConversionError, match="cannot run it"):
        run_model(tmp_path / "absent.tflite", {})


def test_samples_end_when_the_time_is_up(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(pictures_model([[3, 2]]))
    values = np.arange(30, dtype=np.float32).reshape(5, 3, 2)
    for run in (run_model, run_isolated):
        assert len(run(path, {"image0": values})["same0"]) == 5
        assert np.array_equal(run(path, {"image0": values}, most_s=0)["same0"], values[:1])


def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe9l.tflite"))
    path.write_bytes(pictures_model([[3, 2]]))
    values = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    for run in (run_model, run_isolated):
        assert np.array_equal(run(path, {"image0": values})["same0"], values)


def test_a_process_that_answers_nothing_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(pictures_model([[3, 2]]))
    monkeypatch.setattr(isolated_run, "LONGEST_SAMPLE_S", 0.0)
    for most_s in (0, None):  # golden inputs are run without a limit for all of them
        with pytest.raises(ConversionError, match="did not answer one sample within 0 s"):
            run_isolated(path, {"image0": np.zeros((5, 3, 2), np.float32)}, most_s=most_s)


def test_the_limit_is_that_of_a_sample_and_not_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(pictures_model([[3, 2]]))
    slow = (
        "import sys, time\nfor n in range(6): print(n, 6, flush=True); time.sleep(0.4)\n"
        "sys.stderr.write('slow, and it ends\\0'); sys.exit(4)"
    )
    start = subprocess.Popen

    def start_slow(_: object, **more: Any) -> Any:
        return start([sys.executable, "-c", slow], **more)

    monkeypatch.setattr(isolated_run.subprocess, "Popen", start_slow)
    monkeypatch.setattr(isolated_run, "LONGEST_SAMPLE_S", 2.0)
    with pytest.raises(ConversionError, match="slow, and it ends"):
        run_isolated(path, {"image0": np.zeros((5, 3, 2), np.float32)})


def test_inputs_and_outputs_of_one_name_are_told_apart_by_position(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_names(pictures_model([[1, 2], [1, 4]]), ["", "", "y", "y"]))
    assert [spec.name for spec in read_model(path).inputs] == ["0", "1"]
    first, second = np.full((3, 2), 1, np.float32), np.full((3, 4), 2, np.float32)
    results = run_model(path, {"0": first, "1": second})
    assert list(results) == [spec.name for spec in read_model(path).outputs] == ["0:y", "1:y"]
    assert np.array_equal(results["0:y"], first)
    assert np.array_equal(results["1:y"], second)


def test_a_name_may_hold_any_sign(tmp_path: Path) -> None:
    names = ["a\r", "b\r\n\x85\u2028/../x", "y\r", "z\n"]
    path = tmp_path / "model.tflite"
    path.write_bytes(with_names(pictures_model([[1, 2], [1, 4]]), names))
    inputs = {names[0]: np.ones((3, 2), np.float32), names[1]: np.ones((3, 4), np.float32)}
    assert list(run_isolated(path, inputs)) == names[2:]


def test_an_output_that_changes_its_shape_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(repeat_model())
    inputs = {"x": np.ones((3, 2), np.float32), "times": np.array([[2], [2], [3]], np.int32)[:, 0]}
    with pytest.raises(ConversionError, match=r"output 'y' changes its shape.*\[4\], then \[6\]"):
        run_model(path, inputs)
    assert run_model(path, inputs, most_s=60)["y"].shape == (2, 4)


def test_the_runtime_says_nothing_on_the_terminal(digits_ptq: Conversion) -> None:
    code = (
        "import sys; from pathlib import Path; from converters.evidence.golden import read_golden; "
        "from converters.tflite.run import run_model; "
        "run_model(Path(sys.argv[1]), read_golden(Path(sys.argv[2])).inputs); "
        "assert 'tensorflow' not in sys.modules"
    )
    paths = [str(digits_ptq.model), str(digits_ptq.golden)]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_host_runtime_has_a_version() -> None:
    name, version = host_runtime()
    assert name == "ai-edge-litert"
    assert version.startswith("2.")
