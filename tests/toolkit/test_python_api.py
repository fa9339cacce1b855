"""kedge from a program: every command has a function, and results are kept the same way."""

from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.tiny_model import relu_model


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    entry = f'[targets.here]\naddress = "local"\nroot = "{tmp_path}/root"\n'
    (tmp_path / "kedge.toml").write_text(entry)
    return tmp_path


def test_every_name_is_there() -> None:
    for name in toolkit.__all__:
        assert getattr(toolkit, name) is not None
    with pytest.raises(AttributeError):
        _ = toolkit.nonsense  # type: ignore[attr-defined]


def test_a_name_is_still_its_function_once_its_module_is_loaded() -> None:
    for _ in range(2):
        for name in toolkit.__all__:
            assert callable(getattr(toolkit, name)), name


def test_a_program_does_what_the_commands_do(project: Path) -> None:
    board, model = toolkit.find_target("here", project), project / "model.tflite"
    assert toolkit.check_board(board, None, lambda *_: None).diagnosis.verdict.startswith("READY")
    np.save(project / "x.npy", np.full((1, 4), -1, np.float32))

    settings = toolkit.BenchSettings(duration_s=0.2, processes=2, quality="quick")
    (outcome,) = toolkit.bench_many(model, [board], settings)
    answers = toolkit.plain_run(toolkit.run_files(model, board, [project / "x.npy"]))
    comparison = toolkit.compare_models(
        model, model, board, toolkit.CompareSettings(duration_s=0.9)
    )

    assert outcome.measurement is not None
    assert outcome.measurement.parity.verdict == "EQUAL"
    assert len(answers["samples"]) == 1
    assert 0.2 < comparison.ratio.value < 5
    with toolkit.open_results(project) as results:
        (number,) = results.save(toolkit.records_of_measurement(outcome.measurement))
        assert results.load(number).line.target == "here"
