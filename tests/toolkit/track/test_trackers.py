"""Trackers get epochs, figures with intervals and digests; what fails there loses nothing."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from converters.evidence.conversion import Conversion, StepRecord
from tests.kedge import assert_refused, kedge
from tests.toolkit.measurements import measurement
from tests.toolkit.report.page.reports import conversion, digest
from toolkit.cli.tracking import send_to_tracker
from toolkit.report.record import records_of_measurement
from toolkit.track.tracked_run import TrackedRun, run_of_conversion, run_of_record
from toolkit.track.trackers import TRACKERS, TrackError, track_runs

SAMPLES = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(6)]
LOSSES = (0.5, 0.25, 0.125)


def trained() -> Conversion:
    """A conversion with three epochs."""
    findings = {"losses": list(LOSSES), "kept_epoch": 2, "tried": {"0.1": 0.5}, "notes": ["a"]}
    step = StepRecord("qat_w8a8", 1.0, findings)
    return replace(conversion(2, "qat_w8a8", 898), step_records=(step,))


def two_runs() -> list[TrackedRun]:
    """A conversion and a measurement."""
    (record,) = records_of_measurement(measurement(SAMPLES))
    return [run_of_conversion(trained()), run_of_record(record)]


def test_a_run_has_figures_with_intervals_epochs_and_digests() -> None:
    converted, measured = two_runs()
    assert converted.epochs == {"1_qat_w8a8/losses": list(LOSSES)}
    assert converted.figures["file_accuracy"] == 0.898
    assert converted.figures["file_accuracy_low"] < 0.898 < converted.figures["file_accuracy_high"]
    assert converted.figures["drop_low"] < converted.figures["drop"] < 1
    assert converted.facts["model_sha256"] == digest(2)
    assert converted.facts["source_sha256"] == "f" * 64
    assert measured.facts["model_sha256"] == "a" * 64
    low, high = measured.figures["latency_us_low"], measured.figures["latency_us_high"]
    assert low <= measured.figures["latency_us"] <= high


def test_tensorboard_reads_what_was_written_and_tensorflow_is_not_loaded(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    code = (
        "import sys; from pathlib import Path; from tests.toolkit.track.test_trackers import *;"
        "print(track_runs('tensorboard', two_runs(), Path(sys.argv[1])));"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path.cwd())
    folders = sorted((tmp_path / ".kedge" / "track" / "tensorboard").iterdir())
    assert [folder.name.partition("-0-")[2] for folder in folders][0] == "qat_w8a8"
    (path,) = folders[0].iterdir()
    events = list(LegacyEventFileLoader(str(path)).Load())
    values = [(v.tag, e.step, v) for e in events for v in e.summary.value]
    losses = [(s, v.simple_value) for tag, s, v in values if tag == "1_qat_w8a8/losses"]
    assert losses == [*enumerate(LOSSES)]
    (facts,) = [v.tensor.string_val[0].decode() for tag, _, v in values if tag == "facts"]
    assert digest(2) in facts


def test_mlflow_reads_what_was_written_into_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    track_runs("mlflow", two_runs(), tmp_path)
    track_runs("mlflow", two_runs()[1:], tmp_path)
    code = """if True:
        import json, sys
        from mlflow.tracking import MlflowClient
        client = MlflowClient(tracking_uri=sys.argv[1])
        (experiment,) = [e for e in client.search_experiments() if e.name == "kedge"]
        runs = client.search_runs([experiment.experiment_id])
        print(json.dumps([{
            "name": run.info.run_name, "status": run.info.status, "params": run.data.params,
            "metrics": run.data.metrics,
            "losses": [(m.step, m.value) for m in client.get_metric_history(
                run.info.run_id, "1_qat_w8a8/losses")],
        } for run in runs]))
    """
    address = (tmp_path / ".kedge" / "track" / "mlflow").as_uri()
    done = subprocess.run(
        [sys.executable, "-c", code, address], check=True, capture_output=True, text=True
    )
    runs = json.loads(done.stdout)
    assert len(runs) == 3
    assert {run["status"] for run in runs} == {"FINISHED"}
    (converted,) = [run for run in runs if run["name"] == "qat_w8a8"]
    assert sorted(converted["losses"]) == [[step, value] for step, value in enumerate(LOSSES)]
    assert converted["params"]["model_sha256"] == digest(2)
    assert converted["metrics"]["file_accuracy"] == 0.898


def test_wandb_writes_offline_and_contacts_nobody(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.toolkit.track.test_trackers import *;"
        "print(track_runs('wandb', two_runs(), Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
    files = sorted(
        (tmp_path / ".kedge" / "track" / "wandb" / "wandb").glob("offline-run-*/*.wandb")
    )
    assert len(files) == 2
    content = b"".join(path.read_bytes() for path in files)
    for text in (digest(2), "1_qat_w8a8/losses", "file_accuracy_low", "latency_us_high", "a" * 64):
        assert text.encode() in content, text


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kedge.toml").write_text('[track]\nto = "tensorboard"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_project_names_a_tracker_and_the_command_line_another(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []

    def write(name: str, runs: Sequence[TrackedRun], folder: Path) -> str:
        names.append((name, len(runs), folder))
        return ""

    monkeypatch.setattr("toolkit.track.trackers.track_runs", write)
    send_to_tracker(None, two_runs)
    send_to_tracker("mlflow", two_runs)
    assert names == [("tensorboard", 2, project), ("mlflow", 2, project)]
    (project / "kedge.toml").write_text("")
    send_to_tracker(None, two_runs)
    assert len(names) == 2


@pytest.mark.parametrize("text", ['[track]\nto = "excel"', "track = 5", "[track", "[track]\n"])
def test_a_wrong_key_is_one_warning(
    project: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "kedge.toml").write_text(text)
    send_to_tracker(None, two_runs)
    assert capsys.readouterr().err.count("nothing was tracked") == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ValueError("a\nb"), KeyError()])
def test_a_tracker_that_fails_is_one_warning(
    project: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr("toolkit.track.tensorboard.track_in_tensorboard", fail)
    send_to_tracker("tensorboard", two_runs)
    told = capsys.readouterr()
    assert told.err.count("note: ") == 1
    assert "tensorboard took nothing" in told.err


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_named(name: str, tmp_path: Path) -> None:
    package = "tensorboard.compat.proto.event_pb2" if name == "tensorboard" else name
    code = (
        "import sys; from pathlib import Path; sys.modules[sys.argv[1]] = None;"
        "from toolkit.track.trackers import *\n"
        "try: track_runs(sys.argv[2], [], Path(sys.argv[3]))\n"
        "except TrackError as error: print(error, error.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, package, name, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f'pip install "kedge[{name}]"' in done.stdout


def test_an_unknown_tracker_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").touch()
    ran = kedge("bench", "m.tflite", "--track", "excel", cwd=tmp_path)
    assert ran.code == 2
    assert "tensorboard" in ran.err
    assert_refused(kedge("bench", "m.tflite", "--track", "mlflow", cwd=tmp_path), 3)
    with pytest.raises(TrackError):
        (tmp_path / ".kedge").write_text("")
        track_runs("tensorboard", two_runs(), tmp_path)
