"""A search that several machines share, over a real PostgreSQL server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from converters.measure import FileFigures, FileRefusal
from converters.progress import ignore
from converters.request import ConversionRequest
from tests.toolkit.search.database import PASSWORD, Database, start_database
from tests.toolkit.search.stand_in import StandInConversions, judge, measure
from toolkit.search.events import NOTE, SearchEvent
from toolkit.search.objective import Objective
from toolkit.search.outcome import SearchSettings
from toolkit.search.search import search
from toolkit.search.shared_study import SharedStudy, parse_study_url
from toolkit.search.study import Study
from toolkit.search.study_errors import SearchError, StudyUnreachableError, TrialLostError
from toolkit.search.trial_run import TrialTools

INPUTS = {"the model": "a", "the data": "b"}
OBJECTIVES = (Objective("accuracy", True, 0.0), Objective("latency_ratio", False, 100.0))


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with start_database() as server:
        yield server


@pytest.fixture
def url(database: Database, request: pytest.FixtureRequest) -> str:
    return database.make(request.node.name[:60])


@pytest.fixture
def shared(url: str) -> SharedStudy:
    return replace(parse_study_url(url), heartbeat_s=1, patience_s=60.0)


@pytest.fixture
def tools(tmp_path: Path) -> TrialTools:
    return tools_in(tmp_path / "out")


def tools_in(out: Path) -> TrialTools:
    model, data = out.parent / "model.keras", out.parent / "data.npz"
    model.write_bytes(b"a model")
    data.write_bytes(b"samples")
    request = ConversionRequest(model, data, "", out, judge_all=True, judge_test=False)
    return TrialTools(request, StandInConversions(), {"board": measure}, 1.0, ignore, judge)


def study_of(folder: Path, shared: SharedStudy, inputs: dict[str, str] = INPUTS) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder, inputs, 0, OBJECTIVES, shared)


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_trial_of_a_killed_worker_is_done_by_the_other_one_and_counts_once(
    database: Database, url: str, tmp_path: Path
) -> None:
    name = url.partition("///")[2].partition("?")[0]
    program = [sys.executable, "-m", "tests.toolkit.search.stand_in"]
    first, second = tmp_path / "a" / "out", tmp_path / "b" / "out"
    # Both make the tables at the same moment. The first one hangs in its first trial.
    dying = subprocess.Popen([*program, str(first), "12", "600", url])
    living = subprocess.Popen([*program, str(second), "12", "0.05", url])
    try:
        wait_for(lambda: list(first.glob("trials/*")), "the first worker begins no trial")
        os.kill(dying.pid, signal.SIGKILL)
        (folder,) = first.glob("trials/*")
        assert living.wait(300) == 0
    finally:
        for worker in (dying, living):
            worker.kill()
            worker.wait()
    states = database.do(name, f"select state from trials where number = {int(folder.name)}")
    plain = json.loads((second / "search.json").read_text())
    recipes = database.do(
        name, "select u.value_json from trial_user_attributes u join trials t using (trial_id) "
        "where t.state = 'COMPLETE' and u.key = 'recipe'"
    ).splitlines()  # fmt: skip
    retried = database.do(
        name, "select count(*) from trial_system_attributes s join trials t using (trial_id) "
        "where t.state = 'COMPLETE' and s.key = 'failed_trial'"
    )  # fmt: skip
    assert states == "FAIL"
    assert retried == "1"
    assert plain["finished"] == 12
    assert len(set(recipes)) == 12
    assert not any(point["elsewhere"] for point in plain["front"])


def test_a_model_of_another_machine_is_named_and_its_recipe_is_written(
    shared: SharedStudy, tmp_path: Path
) -> None:
    for name, trials in (("a", 6), ("b", 7)):
        (tmp_path / name).mkdir()
        settings = SearchSettings("board", 60.0, trials, 2, shared=shared)
        search(settings, tools_in(tmp_path / name / "out"))
    out = tmp_path / "b" / "out"
    front = json.loads((out / "search.json").read_text())["front"]
    others = [number for number, point in enumerate(front, start=1) if point["elsewhere"]]
    assert others
    assert all(front[number - 1]["elsewhere"].endswith("a/out") for number in others)
    for number, point in enumerate(front, start=1):
        files = {path.name for path in (out / "front" / str(number)).iterdir()}
        assert ("model.tflite" in files) is (point["elsewhere"] is None)
        assert "recipe.toml" in files


def test_a_worker_waits_for_a_database_that_comes_back(
    database: Database, shared: SharedStudy, tools: TrialTools
) -> None:
    calls, notes = [], []

    def break_third(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        calls.append(paths)
        if len(calls) == 3:
            database.stop()
            threading.Timer(0.5, database.start).start()
        return measure(paths)

    def watch(event: SearchEvent) -> None:
        notes.extend([event.words] if event.kind == NOTE else [])

    settings = SearchSettings("board", 60.0, 6, 2, shared=shared)
    outcome = search(settings, replace(tools, measure={"board": break_third}), watch)
    assert outcome.finished == 6
    assert any("waiting for it" in words for words in notes)
    wait_for(lambda: database.do("postgres", "select 1") == "1", "the server is down")


def test_a_database_that_stays_away_ends_the_search_and_the_same_command_goes_on(
    database: Database, shared: SharedStudy, tools: TrialTools
) -> None:
    def stop(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        database.stop()
        return measure(paths)

    settings = SearchSettings("board", 60.0, 4, 2, shared=replace(shared, patience_s=0.5))
    try:
        with pytest.raises(StudyUnreachableError) as caught:
            search(settings, replace(tools, measure={"board": stop}))
        with pytest.raises(StudyUnreachableError):
            search(settings, tools)
    finally:
        database.start()
    assert caught.value.exit_code == 6
    assert "the same command goes on" in caught.value.hint
    assert search(settings, tools).finished == 4


def test_a_worker_that_was_silent_loses_its_trial_and_its_result(
    database: Database, shared: SharedStudy, tmp_path: Path
) -> None:
    name = shared.url.partition("///")[2].partition("?")[0]
    with study_of(tmp_path / "a", shared) as silent, study_of(tmp_path / "b", shared) as other:
        lost = silent.ask()
        value = lost.choose("width", (1, 2, 3))
        silent._stop_heartbeat()
        database.do(name, "update trial_heartbeats set heartbeat = heartbeat - interval '1 hour'")
        again = other.ask()
        assert again.number != lost.number
        assert again.choose("width", (1, 2, 3)) == value
        with pytest.raises(TrialLostError):
            silent.finish(lost, (0.9, 0.5), {"by": "a"})
        other.finish(again, (0.9, 0.5), {"by": "b"})
        assert [record.result for record in silent.records] == [{"by": "b"}]


def test_a_trial_whose_worker_died_before_its_first_heartbeat_is_not_lost(
    database: Database, shared: SharedStudy, tmp_path: Path
) -> None:
    name = shared.url.partition("///")[2].partition("?")[0]
    with study_of(tmp_path / "a", shared) as dead, study_of(tmp_path / "b", shared) as other:
        trial = dead.ask()
        value = trial.choose("width", (1, 2, 3))
        dead._stop_heartbeat()
        database.do(name, "delete from trial_heartbeats")
        other.wait_for_others(0.0)
        database.do(name, "update trial_heartbeats set heartbeat = heartbeat - interval '1 hour'")
        assert other.ask().choose("width", (1, 2, 3)) == value


def test_a_trial_that_ctrl_c_ended_is_the_next_of_any_worker_and_no_death(
    database: Database, shared: SharedStudy, tmp_path: Path
) -> None:
    with study_of(tmp_path / "a", shared) as one, study_of(tmp_path / "b", shared) as other:
        trial = one.ask()
        value = trial.choose("width", (1, 2, 3))
        one.postpone(trial)
        again = other.ask()
        assert again.choose("width", (1, 2, 3)) == value
        sql = "select count(*) from trial_system_attributes where key = 'retry_history'"
        assert database.do(shared.url.partition("///")[2].partition("?")[0], sql) == "0"
        assert [running.number for running in one.running] == [again.number]
        assert other.records == ()


def test_another_model_is_refused_and_may_have_a_study_of_another_name(
    url: str, shared: SharedStudy, tmp_path: Path
) -> None:
    study_of(tmp_path / "a", shared).__exit__(None, None, None)
    others = {**INPUTS, "the model": "c"}
    with pytest.raises(SearchError, match="is about the model a, not c") as caught:
        study_of(tmp_path / "b", shared, others)
    assert "#NAME" in caught.value.hint
    with study_of(tmp_path / "b", parse_study_url(url + "#other"), others) as study:
        assert study.finished_count == 0


def test_a_password_is_checked_and_never_shown(database: Database, tmp_path: Path) -> None:
    database.make("secrets")
    with study_of(tmp_path, parse_study_url(database.tcp_url("secrets"))) as study:
        assert study.finished_count == 0
    wrong = parse_study_url(database.tcp_url("secrets", "a wrong/one"))
    with pytest.raises(SearchError, match="password authentication failed") as caught:
        study_of(tmp_path, wrong)
    assert "a wrong" not in f"{caught.value} {caught.value.hint} {wrong.public_url}"
    assert "PGPASSWORD" in caught.value.hint
    right = parse_study_url(database.tcp_url("secrets"))
    assert not {"se/cret", quote(PASSWORD, safe="")} & {*repr(right).split("'"), right.public_url}
    assert right.hide_password(f"no: {PASSWORD}, {quote(PASSWORD, safe='')}") == "no: ***, ***"


def test_a_database_that_does_not_exist_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match='"nowhere" does not exist') as caught:
        study_of(tmp_path, parse_study_url(database.tcp_url("nowhere")))
    assert "createdb" in caught.value.hint
