"""What runs several settings or models in turn does so on every board, the emulated one included.

How many processes a figure takes is no matter of the board: here it is one of each.
"""

from pathlib import Path

import pytest

from device_agent.contract.measurement import LEAST_RUNS
from targets.progress import no_progress
from targets.provision import open_device
from tests.boards import BoardUnderTest
from tests.tiny_model import relu_model
from toolkit.measure import tune as tune_module
from toolkit.measure.bench import one_process
from toolkit.measure.compare import interleave
from toolkit.measure.tune import tune_target
from toolkit.project import find_target

Project = tuple[Path, BoardUnderTest]


def models(folder: Path) -> tuple[Path, Path]:
    paths = (folder / "one.tflite", folder / "three.tflite")
    for path, outputs in zip(paths, (1, 3), strict=True):
        path.write_bytes(relu_model(outputs))
    return paths


def test_two_models_run_in_turn(project: Project, tmp_path: Path) -> None:
    folder, board = project
    with open_device(find_target(board.name, folder)) as device:
        device.prepare_runtime("tflite")
        one = one_process(threads=1, duration_s=0.05)
        staged = [device.push(path) for path in models(tmp_path)]
        arms = interleave(device, staged, one, 1, no_progress)

    assert [len(runs) for runs in arms] == [1, 1]
    for (run,) in arms:
        assert len(run.samples_ns) >= LEAST_RUNS
        assert min(run.samples_ns) > 0


def test_a_board_is_tuned_by_what_it_measures(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, board = project
    every = tune_module.usable_runtimes
    monkeypatch.setattr(tune_module, "usable_runtimes", lambda *wanted: every(*wanted)[:1])
    monkeypatch.setattr(tune_module, "PROCESSES", 1)
    found = tune_target(models(tmp_path)[0], find_target(board.name, folder), duration_s=0.1)

    tried = {(trial.setting.threads, trial.setting.runtime) for trial in found.trials}
    cores = max(threads for threads, _ in tried)
    assert tried == {(count, found.default.runtime) for count in range(1, cores + 1)}
    assert found.refused == {}
    assert all(trial.screening_us > 0 for trial in found.trials)
    measured = [trial.row for trial in found.trials if trial.row is not None]
    assert measured
    if board.kind == "arm64":
        assert found.best is None  # nothing that was measured under emulation is kept
