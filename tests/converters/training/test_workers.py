"""Several devices and several machines that train one model; see worker_report.py."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import read_conversion
from converters.process import convert
from converters.request import ConversionRequest
from converters.workers import Worker, wait_for_others, worker_of
from tests.converters.conftest import PARENT, REPOSITORY, run_program

WITHIN_SECONDS = 300
TRAINED, BATCH = 600, 25


def free_addresses(count: int = 2) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def cluster(addresses: list[str], number: int) -> str:
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
    )


def start(*command: Any, **environment: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={
            **os.environ,
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(REPOSITORY),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


@contextlib.contextmanager
def two(*command_of_each: Any) -> Iterator[Any]:
    addresses = free_addresses()
    started = [start(*c, TF_CONFIG=cluster(addresses, n)) for n, c in enumerate(command_of_each)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def together(
    digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, dict[str, Any]]]:
    """What each of two workers reports about each kind of step that trains."""
    folder = tmp_path_factory.mktemp("workers")
    inputs = (digits / "digits.keras", digits / "digits.npz")
    kinds = ("distill", "qat_w8a8", "sparse", "cluster")
    reports = [folder / f"{number}.json" for number in range(2)]
    with two(
        *(
            ("-m", "tests.converters.programs.worker_report", *inputs, path, *kinds)
            for path in reports
        )
    ) as workers:
        for worker in workers:
            _, told = worker.communicate(timeout=WITHIN_SECONDS)
            assert worker.returncode == 0, told[-3000:]
    return [json.loads(path.read_text()) for path in reports]


@pytest.mark.parametrize("kind", ["distill", "qat_w8a8", "sparse", "cluster"])
def test_two_workers_take_half_of_the_batches_each_and_end_with_the_same_weights(
    together: list[dict[str, dict[str, Any]]], kind: str
) -> None:
    one, other = (report[kind] for report in together)
    assert one["weights"] == other["weights"]
    assert one["accuracy"] == other["accuracy"] > 0.9
    alone = TRAINED // BATCH
    assert one["devices"] == other["devices"] == 2
    assert one["steps"] == other["steps"] == alone // 2
    assert one["plain"]
    epochs = len(one["rows"]) // one["steps"]
    assert len(one["rows"]) == len(other["rows"]) == epochs * alone // 2
    for epoch in range(epochs):
        part = slice(epoch * one["steps"], (epoch + 1) * one["steps"])
        seen = [[row for rows in each["rows"][part] for row in rows] for each in (one, other)]
        assert not set(seen[0]) & set(seen[1])
        assert sorted(seen[0] + seen[1]) == list(range(TRAINED))


def test_what_is_trained_together_is_rounded_pruned_and_shared_as_alone(
    together: list[dict[str, dict[str, Any]]],
) -> None:
    found = together[0]
    assert found["qat_w8a8"]["file"] > 10_000
    assert found["sparse"]["zeros"] == pytest.approx(0.5, abs=0.02)
    assert found["cluster"]["distinct"] <= 16


def test_two_devices_of_one_machine_train_together(digits: Path, tmp_path: Path) -> None:
    inputs = (digits / "digits.keras", digits / "digits.npz")
    run_program(
        "worker_report",
        *inputs,
        tmp_path / "report.json",
        "qat_w8a8",
    )
    found = json.loads((tmp_path / "report.json").read_text())["qat_w8a8"]
    assert (found["devices"], found["steps"]) == (2, TRAINED // BATCH // 2)
    assert found["accuracy"] > 0.9
    assert found["file"] > 10_000
    rows = [row for batch in found["rows"][: TRAINED // BATCH] for row in batch]
    assert sorted(rows) == list(range(TRAINED))


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Any]:
    path = tmp_path / "mine.toml"

    def write(epochs: int) -> str:
        path.write_text(
            'schema = 1\n[[step]]\nkind = "tune"\nlearning_rate = 1e-4\n'
            f'epochs = {epochs}\n[[step]]\nkind = "ptq_w8a8"\n'
        )
        return str(path)

    return write


def test_a_conversion_started_on_two_workers_is_written_by_the_first(
    digits_request: ConversionRequest, recipe: Callable[..., Any], tmp_path: Path
) -> None:
    mine = replace(digits_request, recipe=recipe(1), out=tmp_path / "0").absolute()
    other = ("convert", mine.model, "--data", mine.data, "--recipe", mine.recipe)
    commands = (
        ("-c", PARENT, mine.to_json()),
        ("-m", "toolkit.cli", *other, "--out", tmp_path / "1"),
    )
    with two(*commands) as workers:
        said = [worker.communicate(timeout=WITHIN_SECONDS) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert "worker 1 of 2 has done its part" in said[1][1]
    assert "error" not in said[1][1]
    conversion = read_conversion(tmp_path / "0")
    assert conversion.step_records[0].found["devices"] == 2
    assert conversion.accuracy.fraction > 0.95
    assert not (tmp_path / "1").exists()
    assert "tune" in said[0][0]
    assert "loss" not in "".join(said[1])


def test_a_worker_that_dies_ends_the_others_with_a_message(
    digits_request: ConversionRequest, recipe: Callable[..., Any], tmp_path: Path
) -> None:
    requests = [
        replace(digits_request, recipe=recipe(1000), out=tmp_path / str(n)).absolute()
        for n in range(2)
    ]
    with two(*(("-c", PARENT, request.to_json()) for request in requests)) as workers:
        for line in workers[0].stdout:
            if line.startswith("tune"):
                break
        workers[1].kill()
        _, told = workers[0].communicate(timeout=WITHIN_SECONDS)
    assert "ConversionError: another worker ended before worker 0 of 2 was done" in told
    assert not (tmp_path / "0" / "model.tflite").exists()


def test_a_worker_that_never_starts_is_named() -> None:
    addresses = tuple(free_addresses())
    with pytest.raises(ConversionError) as caught:
        wait_for_others(Worker(0, addresses), 0.5)
    assert f"worker 0 of 2 cannot train with {addresses[1]}: no answer within" in str(caught.value)


def test_workers_that_are_there_find_each_other_whoever_comes_first() -> None:
    addresses = tuple(free_addresses())

    def come(number: int) -> socket.socket:
        wait_for_others(Worker(number, addresses), 60.0)
        # as TensorFlow listens next: the other one may have to find it there
        return socket.create_server(("", int(addresses[number].split(":")[1])))

    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in pool.map(come, (1, 0))]
        ports = [listener.getsockname()[1] for listener in listeners]
    assert [f"127.0.0.1:{port}" for port in ports] == [addresses[1], addresses[0]]


def test_who_this_is_stands_in_the_configuration() -> None:
    assert worker_of({}) is None
    assert worker_of({"TF_CONFIG": cluster(["a:1"], 0)}) is None
    assert worker_of({"TF_CONFIG": cluster(["a:1", "b:2"], 1)}) == Worker(1, ("a:1", "b:2"))
    chief = {
        "cluster": {"chief": ["c:3"], "worker": ["a:1"]},
        "task": {"type": "worker", "index": 0},
    }
    assert worker_of({"TF_CONFIG": json.dumps(chief)}) == Worker(1, ("c:3", "a:1"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (cluster(["a:1", "b:2"], 2), "says that this is number 2"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "type ps"),
    ],
)
def test_a_configuration_that_cannot_be_is_told(text: str, told: str) -> None:
    with pytest.raises(ConversionError, match=told) as caught:
        worker_of({"TF_CONFIG": text})
    assert "TF_CONFIG" in str(caught.value)
    assert '"cluster"' in caught.value.hint


@pytest.mark.parametrize(("change", "told"), [({"max_drop": 0.01}, "--max-drop")])
def test_what_machines_could_decide_differently_is_refused(
    digits_request: ConversionRequest,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, float],
    told: str,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TF_CONFIG", cluster(["a:1", "b:2"], 0))
    with pytest.raises(ConversionError, match=told):
        convert(replace(digits_request, out=tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()
