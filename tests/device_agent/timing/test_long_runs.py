"""Paced runs and soaks through a real agent, of models that behave and that do not."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.conditions import conditions_from_json
from device_agent.contract.measurement import process_run_from_json
from device_agent.store.tree_files import write_list
from targets.agent_client import AgentClient, AgentError
from targets.board_run import BoardRun
from targets.local import LocalTransport
from tests.device_agent.agents import agent_command, open_agent, put, sha256_of
from tests.tiny_model import relu_model
from toolkit.judge import soak
from toolkit.judge.pace import pace_of
from toolkit.judge.soak import LEAKS, TOO_SHORT, soak_of

SLOW = """
import time
class Interpreter:
    def __init__(self, **_): self.kept = []
    def allocate_tensors(self): pass
    def get_input_details(self): return []
    get_output_details = get_input_details
    def set_tensor(self, index, values): pass
    get_tensor = None
    def invoke(self):
        time.sleep({seconds})
        {more}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("board") / "root"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[AgentClient]:
    with open_agent(root) as client:
        yield client


def fake_runtime(root: Path, seconds: float, more: str = "pass") -> str:
    """Puts a runtime on the board whose models take so long, and do something more."""
    source = SLOW.format(seconds=seconds, more=more)
    tree = sha256_of(source.encode())
    folder = root / "store" / "runtimes" / tree / "ai_edge_litert"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("__version__ = '9'\n")
    (folder / "interpreter.py").write_text(source)
    write_list(str(folder.parent))
    return tree


def measure(client: AgentClient, duration_s: float, tree: str = "", **more: Any) -> BoardRun:
    fields = {"tree": tree, "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 60, "seed": 1}
    answer = client.call(
        "benchmark",
        {
            **fields,
            "model": put(client, relu_model()),
            "warmup_s": 0.05,
            "duration_s": duration_s,
            **more,
        },
    )
    run = process_run_from_json(answer["run"])
    series = {name: numbers(client, digest) for name, digest in run.series.items()}
    seen = conditions(client, answer["conditions"])
    return BoardRun(run, numbers(client, run.samples), seen, (), series)


def numbers(client: AgentClient, sha256: str) -> tuple[int, ...]:
    values = array("Q")
    values.frombytes(client.get(sha256))
    return tuple(values)


def conditions(client: AgentClient, sha256: str) -> Any:
    return tuple(conditions_from_json(entry) for entry in json.loads(client.get(sha256)))


def test_a_real_model_answers_at_its_rate(client: AgentClient) -> None:
    run = measure(client, 0.5, period_ns=10_000_000)
    responses = run.series["responses"]

    assert run.run.requests == 50
    assert 0 < len(responses) == len(run.samples_ns) <= 50
    assert all(r >= s for r, s in zip(responses, run.samples_ns, strict=True))
    assert run.run.wall_ns >= (len(responses) - 1) * 10_000_000


def test_a_model_slower_than_the_period_shows_growing_responses(
    client: AgentClient, root: Path
) -> None:
    run = measure(client, 0.6, fake_runtime(root, 0.03), period_ns=10_000_000)
    responses = run.series["responses"]
    pace = pace_of([run])

    assert pace is not None
    assert list(responses) == sorted(responses)
    assert responses[-1] > 10 * responses[0]
    assert pace.missed == pace.requests == 60
    assert pace.unserved == 60 - len(responses) > 30


def test_a_runtime_that_leaks_is_found(
    client: AgentClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "LEAST_S", 2.0)
    tree = fake_runtime(root, 0.002, "self.kept.append(b'x' * 16384)")
    found = soak_of(measure(client, 2.5, tree, soak=True))

    assert found is not None
    assert LEAKS in found.verdict
    assert found.memory is not None
    grown = found.memory_end_bytes - found.memory_start_bytes
    assert grown > 16384 * found.runs * 0.8
    assert found.memory.slope * found.duration_s / 3600 == pytest.approx(grown, rel=0.3)


def test_a_real_model_does_not_leak(client: AgentClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "LEAST_S", 2.0)
    run = measure(client, 2.5, soak=True)
    found = soak_of(run)

    assert found is not None
    assert found.verdict != (TOO_SHORT,)
    assert LEAKS not in found.verdict
    assert found.runs >= found.samples == len(run.samples_ns) == len(run.series["starts"])
    assert len(run.series["memory"]) > 2 * 100


def test_the_moments_of_a_run_are_in_their_order(client: AgentClient, root: Path) -> None:
    # A model of a microsecond would use up its places for samples before the first tick.
    run = measure(client, 2.5, fake_runtime(root, 0.003))
    moments = [seen.moment for seen in run.conditions]
    clocks = [seen.monotonic_ns for seen in run.conditions]

    assert moments[0] == "before"
    assert moments[-1] == "after"
    assert moments.index("begin") < moments.index("end")
    assert "during" in moments
    assert clocks == sorted(clocks)
    assert {seen.boot_id for seen in run.conditions} == {client.call("hello", {})["boot_id"]}
    assert run.run.warmup_ns >= 50_000_000
    assert 0 < run.run.before_load_rss_bytes <= run.run.load_peak_rss_bytes


def test_a_killed_process_is_told_with_the_memory_there_was(
    client: AgentClient, root: Path
) -> None:
    tree = fake_runtime(root, 0.001, "__import__('os').kill(__import__('os').getpid(), 9)")

    with pytest.raises(AgentError) as died:
        measure(client, 1.0, tree)

    assert died.value.code == "child_died"
    assert "it was killed" in str(died.value)
    assert "MiB before" in str(died.value)
    assert died.value.hint


def test_a_process_at_its_memory_limit_is_told_with_the_memory_there_was(tmp_path: Path) -> None:
    root = tmp_path / "root"
    limited = "ulimit -v 1200000; " + agent_command(root)  # KiB, for the agent and its processes
    client = AgentClient(LocalTransport().open(limited), "board")
    try:
        client.call("hello", {})  # it has made its folders
        tree = fake_runtime(root, 0.001, "self.kept.append(b'x' * (64 << 20))")
        with pytest.raises(AgentError) as died:
            measure(client, 30.0, tree)
        assert client.call("hello", {})["cores"] >= 1
    finally:
        client.close()

    assert died.value.code == "child_died"
    assert "ran out of memory" in str(died.value)
    assert "MiB at the least seen" in str(died.value)
    assert died.value.hint
