"""What runs a model fastest on a board: which settings are tried, which is kept, who uses it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from device_agent.contract.facts import CoreClass, Facts
from targets.execution import Execution
from targets.runtimes.release import RuntimeChoice
from tests.dense_model import dense_model
from tests.kedge import kedge
from tests.onnx_models import relu_model
from tests.tiny_model import pictures_model
from tests.toolkit.measurements import FACTS, board_run
from toolkit.cli.main import run_command_line
from toolkit.judge.row import Row, row_of
from toolkit.measure.bench import threads_for
from toolkit.measure.tune import (
    Setting,
    Trial,
    Tuning,
    apply_setting,
    choose_finalists,
    settings_for,
)

LITERT = RuntimeChoice("tflite", "ai-edge-litert", "2.3.0", ())
TFLITE = RuntimeChoice("tflite", "tflite-runtime", "2.14.0", ())


def test_every_runtime_is_tried_with_one_to_all_threads() -> None:
    assert settings_for(
        Facts(cores=2, core_classes=(CoreClass(cores=(0, 1)),)), [LITERT, TFLITE]
    ) == [
        Setting(LITERT, 1),
        Setting(LITERT, 2),
        Setting(TFLITE, 1),
        Setting(TFLITE, 2),
    ]


def test_on_big_little_each_class_of_cores_is_tried_alone_too() -> None:
    facts = Facts(cores=3, core_classes=(CoreClass(cores=(2,)), CoreClass(cores=(0, 1))))

    assert settings_for(facts, [LITERT]) == [
        *(Setting(LITERT, threads) for threads in (1, 2, 3)),
        Setting(LITERT, 1, (2,)),
        *(Setting(LITERT, threads, (0, 1)) for threads in (1, 2)),
    ]


def test_who_is_far_behind_leaves_but_the_default_stays_for_comparison() -> None:
    default, other, fast, near = (Setting(LITERT, threads) for threads in (1, 2, 3, 4))
    screened = {default: 900.0, other: 800.0, fast: 100.0, near: 140.0}

    assert choose_finalists(screened, default) == [fast, near, default]


def row(median_us: float, threads: int, *, emulated: bool = False) -> Row:
    runs = tuple(board_run([int(1000 * median_us)] * 90) for _ in range(6))
    return row_of(replace(FACTS, emulated=emulated), threads, runs)


def tuning(*trials: Trial) -> Tuning:
    return Tuning("pi", "pi", Path("m.tflite"), trials, Setting(TFLITE, 1), {})


def trial(
    choice: RuntimeChoice, threads: int, median_us: float, *, emulated: bool = False
) -> Trial:
    found = row(median_us, threads, emulated=emulated)
    return Trial(Setting(choice, threads), median_us, found)


def test_the_fastest_is_chosen_and_its_ratios_are_told() -> None:
    found = tuning(trial(LITERT, 1, 100), trial(LITERT, 2, 150), trial(TFLITE, 1, 400))

    assert found.best is not None
    assert found.best.setting == Setting(LITERT, 1)
    assert found.speedup == 4
    assert found.runtime_ratios == {"ai-edge-litert 2.3.0": 1, "tflite-runtime 2.14.0": 4}


def test_more_threads_that_gain_nothing_are_not_taken() -> None:
    found = tuning(trial(LITERT, 4, 99), trial(LITERT, 1, 100), trial(LITERT, 2, 120))

    assert found.best is not None
    assert found.best.setting.threads == 1


def test_more_threads_whose_gain_drowns_in_the_noise_are_not_taken() -> None:
    def noisy(threads: int, *medians_us: int) -> Trial:
        runs = tuple(board_run([1000 * median_us] * 90) for median_us in medians_us)
        return Trial(Setting(LITERT, threads), medians_us[0], row_of(FACTS, threads, runs))

    alike = tuning(noisy(2, 80, 85, 90, 95, 120, 130), noisy(1, 79, 92, 105, 110, 115, 126))
    apart = tuning(noisy(2, 50, 51, 52, 53, 54, 70), noisy(1, 80, 92, 105, 110, 115, 126))

    assert alike.best is not None
    assert apart.best is not None
    assert (alike.best.setting.threads, apart.best.setting.threads) == (1, 2)


def test_what_cannot_be_trusted_is_not_kept() -> None:
    found = tuning(trial(LITERT, 1, 100, emulated=True), Trial(Setting(TFLITE, 1), 500, None))

    assert found.best is None
    assert found.speedup is None


def test_what_was_found_leaves_the_rest_of_an_entry_as_it_is() -> None:
    before = Execution(delegate="edgetpu", runtime="tflite-runtime", threads=4)
    after = apply_setting(before, Setting(LITERT, 2, (4, 5)))

    assert after == replace(before, runtime="ai-edge-litert", threads=2, cores=(4, 5))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board whose own tflite-runtime is broken, and which runs what is brought to it."""
    folder, venv = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("board") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "tflite_runtime").mkdir()
    (packages / "tflite_runtime" / "__init__.py").write_text("")
    (packages / "tflite_runtime" / "interpreter.py").write_text("raise ImportError('libfoo')")
    entry = ["[targets.here]", 'address = "local"', f'root = "{folder}/root"']
    entry.append(f'python = "{venv}/bin/python"')
    (folder / "kedge.toml").write_text("\n".join(entry) + "\n")
    (folder / "model.tflite").write_bytes(dense_model())
    return folder


FASTEST = trial(LITERT, 2, 100)


@pytest.mark.parametrize(
    ("found", "options", "code", "kept"),
    [
        (tuning(FASTEST), [], 0, True),
        (tuning(FASTEST), ["--dry-run"], 0, False),
        (tuning(trial(LITERT, 2, 100, emulated=True)), [], 9, False),
    ],
    ids=["found", "dry-run", "not-trusted"],
)
def test_only_what_is_trusted_is_kept_and_nothing_in_a_dry_run(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: Tuning,
    options: list[str],
    code: int,
    kept: bool,
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr("toolkit.measure.tune.tune_target", lambda *_: found)
    before = (project / "kedge.toml").read_text()

    assert (
        run_command_line(["target", "tune", "here", "--model", "m.tflite", "--json", *options])
        == code
    )
    assert ("threads = 2" in (project / "kedge.toml").read_text()) == kept
    (project / "kedge.toml").write_text(before)


def test_of_two_runtimes_on_this_computer_the_one_with_fast_int8_kernels_is_kept(
    project: Path,
) -> None:
    """tflite-runtime has no XNNPACK kernels for int8: some twenty times slower here."""
    command = ["target", "tune", "here", "--model", "model.tflite", "--duration", "120ms"]
    ran = kedge(*command, "--json", cwd=project)
    found = ran.json

    assert ran.code == 0, ran.err
    assert {one["runtime"] for one in found["trials"]} == {"ai-edge-litert", "tflite-runtime"}
    assert {one["threads"] for one in found["trials"]} >= {1}
    assert found["chosen"]["runtime"] == "ai-edge-litert"
    assert found["kept"] is True
    assert "does not load here" in found["refused"]["board:tflite-runtime unknown"]
    text = (project / "kedge.toml").read_text()
    assert 'runtime = "ai-edge-litert"' in text
    assert f"threads = {found['chosen']['threads']}" in text


def test_what_is_kept_is_used(project: Path) -> None:
    text = (project / "kedge.toml").read_text().splitlines()
    kept = [line for line in text if not line.startswith(("threads", "runtime", "cores"))]
    kept += ["threads = 2", 'runtime = "tflite-runtime"', "cores = [0]"]
    (project / "kedge.toml").write_text("\n".join(kept) + "\n")
    bench = ["bench", "model.tflite", "--on", "here", "--quality", "quick", "--duration", "60ms"]
    (entry,) = kedge(*bench, "--profile", "--json", cwd=project).json["targets"]

    assert entry["runtime"].startswith("tflite-runtime 2.14.0")
    assert (entry["threads"], entry["cores"]) == (2, [0])
    assert entry["op_times"]["reason"].startswith("tflite-runtime 2.14.0 does not report them")


@pytest.mark.parametrize(
    ("asked", "kept", "expected"),
    [(None, None, (1,)), (None, 3, (3,)), ((2,), 3, (2,)), ((), 3, (1, 2, 3, 4))],
    ids=["nothing", "kept", "asked", "sweep"],
)
def test_an_option_wins_over_what_is_kept(
    asked: tuple[int, ...] | None, kept: int | None, expected: tuple[int, ...]
) -> None:
    assert threads_for(asked, Execution(threads=kept), cores=4) == expected


def test_a_model_that_no_runtime_runs_is_an_error_and_keeps_nothing(project: Path) -> None:
    (project / "broken.tflite").write_bytes(dense_model()[:3000])
    before = (project / "kedge.toml").read_text()
    ran = kedge("target", "tune", "here", "--model", "broken.tflite", cwd=project)

    assert ran.code == 4
    assert (project / "kedge.toml").read_text() == before


def test_a_file_of_the_other_format_beside_it_is_measured_too(project: Path) -> None:
    """`kedge convert --format both` writes model.tflite and model.onnx."""
    (project / "both.tflite").write_bytes(pictures_model([[1, 4]]))
    (project / "both.onnx").write_bytes(relu_model())
    command = ["target", "tune", "here", "--model", "both.tflite", "--duration", "60ms"]
    ran = kedge(*command, "--dry-run", "--json", cwd=project)

    assert ran.code in (0, 9), ran.err
    tried = {(one["format"], one["runtime"]) for one in ran.json["trials"]}
    assert {("tflite", "ai-edge-litert"), ("onnx", "onnxruntime")} <= tried
    chosen, file = ran.json["chosen"], ran.json["file"]
    assert chosen is None or file == f"both.{chosen['format']}"
