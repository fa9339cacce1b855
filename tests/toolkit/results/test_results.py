"""What was measured stays, can be analysed again, and is never lost to a second writer."""

import json
import platform
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from targets.board_run import BoardRun
from tests.targets.small_disk import small_disk
from tests.toolkit.measurements import measurement
from toolkit.project import FOLDER
from toolkit.report.record import records_of_measurement
from toolkit.report.stored_result import plain_samples
from toolkit.results.database import NAME, SCHEMA, ResultDiskError, ResultStoreError
from toolkit.results.store import open_results

SAMPLES = [[100_000 + 7 * process + sample for sample in range(60)] for process in range(6)]


def parts_of(runs: tuple[BoardRun, ...]) -> list[tuple[object, ...]]:
    """Return the parts of runs, every series as a list."""
    return [
        (
            run.run,
            run.conditions,
            list(run.samples_ns),
            list(run.end_to_end_ns),
            {name: list(values) for name, values in run.series.items()},
        )
        for run in runs
    ]


def test_a_result_comes_back_with_every_sample(tmp_path: Path) -> None:
    taken = measurement(SAMPLES)
    with open_results(tmp_path) as store:
        (number,) = store.save(records_of_measurement(taken))
    with open_results(tmp_path) as store:
        found = store.load(number)
    assert [list(run.samples_ns) for run in found.runs] == SAMPLES
    assert found.latency == taken.rows[0].latency
    assert found.verdict == taken.rows[0].verdict
    assert parts_of(found.runs) == parts_of(taken.rows[0].runs)
    assert found.document["facts"]["model"] == "Raspberry Pi 5"


def test_what_paced_runs_and_soaks_recorded_comes_back(tmp_path: Path) -> None:
    taken = measurement(SAMPLES)
    series = {"responses": (3, 2, 1), "memory": (0, 4096)}
    runs = tuple(replace(run, series=series) for run in taken.rows[0].runs)
    with open_results(tmp_path) as store:
        (number,) = store.save(
            records_of_measurement(replace(taken, rows=(replace(taken.rows[0], runs=runs),)))
        )
        found = store.load(number)
    assert parts_of(found.runs) == parts_of(runs)
    assert plain_samples(found)["runs"][5]["series"]["responses"] == [3, 2, 1]


def test_a_result_says_by_whom_and_how_it_was_taken(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        (number,) = store.save(records_of_measurement(measurement(SAMPLES)))
        told = store.load(number).document
    assert told["host"]["name"] == platform.node()
    assert told["settings"]["seed"] == 0
    assert told["settings"]["processes"] == 6
    assert told["model_bytes"] == 1


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A project whose results were written by the first kedge, of a real benchmark."""
    (tmp_path / FOLDER).mkdir()
    shutil.copy(Path(__file__).parent / "stores" / "schema1.db", tmp_path / FOLDER / NAME)
    return tmp_path


def test_a_store_of_schema_1_is_read_and_computed_again(first_store: Path) -> None:
    with open_results(first_store) as store:
        lines = store.list_results().lines
        assert {line.mode for line in lines} == {""}
        found = [store.load(line.id) for line in lines]
    assert [line.threads for line in lines] == [2, 1]
    for result in found:
        assert len(result.runs) == 6
        assert result.row.latency.median_us == pytest.approx(result.line.median_us)
        assert result.row.verdict.kind == result.verdict.kind == "UNSTABLE"
        assert result.row.verdict.reasons[0] == result.verdict.reasons[0]
        assert [run.run.sample_count for run in result.runs] == [
            len(run.samples_ns) for run in result.runs
        ]


def test_new_results_go_beside_those_of_schema_1(first_store: Path) -> None:
    with open_results(first_store) as store:
        (number,) = store.save(records_of_measurement(measurement(SAMPLES)))
    with open_results(first_store) as store:
        assert [line.id for line in store.list_results().lines] == [number, 2, 1]
        assert store.load(1).line.target == "here"


def test_the_newest_result_is_listed_first_and_by_target(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        for target in ("pi", "jetson", "pi"):
            store.save(records_of_measurement(measurement(SAMPLES, target)))
        assert [line.id for line in store.list_results().lines] == [3, 2, 1]
        assert [line.id for line in store.list_results("pi").lines] == [3, 1]
        assert [line.id for line in store.list_results(limit=1).lines] == [3]


def test_a_store_of_a_newer_kedge_is_refused_and_left_alone(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        store.save(records_of_measurement(measurement(SAMPLES)))
    path = tmp_path / FOLDER / NAME
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ResultStoreError, match="newer kedge"), open_results(tmp_path):
        pass
    assert path.read_bytes() == before


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(ResultStoreError, match=NAME), open_results(tmp_path):
        pass


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("")
    with pytest.raises(ResultStoreError, match=FOLDER), open_results(tmp_path):
        pass


@pytest.mark.parametrize("number", [0, 7, -1, 2**63])
def test_a_number_that_no_result_has_is_told(number: int, tmp_path: Path) -> None:
    with open_results(tmp_path) as store, pytest.raises(ResultStoreError) as caught:
        store.load(number)
    assert f"no result {number}" in str(caught.value)
    assert "kedge results" in caught.value.hint


def test_a_full_disk_is_named_and_what_was_kept_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=262144"):
        project = tmp_path / "disk"
        random = np.random.default_rng(0)
        kept = 0
        with pytest.raises(ResultDiskError, match="full") as refused:
            while kept < 100:
                samples = random.integers(1_000_000, 2_000_000, (6, 1000)).tolist()
                with open_results(project) as store:
                    store.save(records_of_measurement(measurement(samples)))
                kept += 1
        assert refused.value.exit_code == 6
        with open_results(project) as store:
            assert len(store.list_results().lines) == kept > 0
            assert len(store.load(kept).runs) == 6


def test_a_store_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    project = tmp_path / "disk"
    with small_disk(project, "size=4000000"):
        with open_results(project) as store:
            store.save(records_of_measurement(measurement(SAMPLES)))
        subprocess.run(["mount", "-o", "remount,ro", project], check=True)
        with open_results(project) as store:
            assert len(store.load(1).runs) == 6
            with pytest.raises(ResultStoreError, match="readonly") as refused:
                store.save(records_of_measurement(measurement(SAMPLES)))
        assert "writable" in refused.value.hint


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.toolkit.measurements import measurement\n"
        "from toolkit.report.record import records_of_measurement\n"
        "from toolkit.results.store import open_results\n"
        "for _ in range(10):\n"
        "    with open_results(pathlib.Path(sys.argv[1])) as store:\n"
        "        store.save(records_of_measurement(measurement([[1000, 2000, 3000]] * 6)))\n"
    )
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with open_results(tmp_path) as store:
        assert len(store.list_results(limit=100).lines) == 30
        lines = store.list_results(limit=100).lines
        assert all(len(store.load(line.id).runs) == 6 for line in lines)


def test_an_export_is_json_with_the_samples(tmp_path: Path) -> None:
    with open_results(tmp_path) as store:
        (number,) = store.save(records_of_measurement(measurement(SAMPLES)))
        document = json.loads(json.dumps(plain_samples(store.load(number))))
    assert document["schema"] == SCHEMA
    assert document["runs"][5]["samples_ns"] == SAMPLES[5]
    assert document["runs"][0]["conditions"][0]["load_1min"] == 0.5
    assert document["model_sha256"] == "a" * 64
