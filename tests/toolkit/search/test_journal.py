"""The file of a study after a power cut, a full disk and kills at any moment."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from converters.errors import HostDiskError
from toolkit.search.objective import Objective
from toolkit.search.study import Study
from toolkit.search.study_errors import SearchError
from toolkit.search.study_storage import STUDY_NAME

OBJECTIVES = (Objective("accuracy", True, 0.0), Objective("latency_ratio", False, 100.0))

#: Does trials until it is killed; prints the number of each whose result is kept for good.
WORKER = """
import sys, time
from pathlib import Path
from tests.toolkit.search.test_journal import OBJECTIVES, do_trial
from toolkit.search.study import Study

with Study(Path(sys.argv[1]), {"the model": "a"}, 0, OBJECTIVES) as study:
    print("open", flush=True)
    while True:
        print(do_trial(study), flush=True)
"""


def open_study(folder: Path) -> Study:
    return Study(folder, {"the model": "a"}, 0, OBJECTIVES)


def do_trial(study: Study) -> str:
    """Do a trial; return the recipe whose result is kept, or "" where it was known."""
    trial = study.ask()
    recipe = "-".join(str(trial.choose(f"p{number}", range(6))) for number in range(4))
    study.note_recipe(trial, recipe)
    earlier = study.known_record(recipe)
    if earlier is not None:
        study.repeat(trial, earlier)
        return ""
    study.finish(trial, (0.5, 0.5), {"recipe": recipe})
    return recipe


def recipes(study: Study) -> list[str]:
    return [record.result["recipe"] for record in study.records if record.result is not None]


def test_every_cut_of_the_file_opens_again_with_all_trials_before_it(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        kept = [do_trial(study) for _ in range(3)]
    path = tmp_path / STUDY_NAME
    whole = path.read_bytes()
    line = whole.rfind(b"\n", 0, len(whole) - 1) + 1
    for cut in (*range(line, len(whole), 29), len(whole) - 1):
        path.write_bytes(whole[:cut])
        with open_study(tmp_path) as study:
            assert recipes(study)[:2] == kept[:2]
            do_trial(study)  # appends to a whole line
            assert recipes(study)[2] == kept[2]  # its values were written; the last word was not
        path.write_bytes(whole + b"\0" * 300)  # so a file system may leave a new block
        with open_study(tmp_path) as study:
            assert recipes(study) == kept


def test_damage_in_the_middle_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        do_trial(study)
    path = tmp_path / STUDY_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:2], b"\x00rubbish\n", *lines[2:]])
    path.write_bytes(damaged)
    with pytest.raises(SearchError, match="no study that Optuna can read"):
        open_study(tmp_path)
    assert path.read_bytes() == damaged


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / STUDY_NAME).write_bytes(b"a list\nof things\n")
    with pytest.raises(SearchError, match="no study that Optuna can read"):
        open_study(tmp_path)
    assert (tmp_path / STUDY_NAME).read_bytes() == b"a list\nof things\n"


def test_a_full_disk_is_named_and_the_study_goes_on_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_study(tmp_path) as study:
        kept = do_trial(study)
        trial = study.ask()

        def refuse(*_: object) -> None:
            with (tmp_path / STUDY_NAME).open("ab") as file:
                file.write(b'{"op_code":')  # the part that had room
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as context:
            context.setattr(os, "fsync", refuse)
            with pytest.raises(HostDiskError, match="No space left"):
                study.finish(trial, (0.5, 0.5), {"recipe": "x"})
        study.postpone(trial)  # writes nothing behind half a line
    with open_study(tmp_path) as study:
        assert recipes(study) == [kept]
        assert do_trial(study)


def test_kills_at_any_moment_lose_no_trial_and_count_none_twice(tmp_path: Path) -> None:
    kept: list[str] = []
    for number in range(4):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "open\n"
        time.sleep(0.023 * number)
        os.kill(worker.pid, signal.SIGKILL)
        kept += [line.strip() for line in worker.stdout if line.strip()]
        worker.stdout.close()
        worker.wait()
    with open_study(tmp_path) as study:
        names = recipes(study)
        assert set(kept) <= set(names)
        assert len(set(names)) == len(names) == study.finished_count
        assert study.running == ()


def test_the_worse_half_of_trainings_as_fast_ends_early_once_there_are_some(
    tmp_path: Path,
) -> None:
    def epochs(ratio: float, accuracy: float) -> int:
        """Number of epochs until the training ends, of 8."""
        training = study.begin_training(ratio)
        for number in range(1, 9):
            if training.falls_behind(accuracy - 0.2 / number):
                return number
        training.end()
        return 8

    with open_study(tmp_path) as study:
        assert [epochs(0.50, 0.9 - 0.01 * number) for number in range(4)] == [8, 8, 8, 8]
        assert epochs(0.51, 0.70) == 2
        assert epochs(0.49, 0.95) == 8
        assert epochs(0.25, 0.70) == 8  # no others are that fast
        assert study.records == ()


def test_a_trial_that_ends_its_process_again_and_again_is_given_up(tmp_path: Path) -> None:
    values = set()
    for _ in range(5):
        study = open_study(tmp_path)  # not closed: its process is killed
        trial = study.ask()
        values.add(trial.choose("width", (1, 2, 3)))
        study.note_recipe(trial, "too large")
    with open_study(tmp_path) as study:
        assert len(values) == 1
        (record,) = study.records
        assert "the process ended 5 times" in record.reason
        assert study.known_record("too large") == record
