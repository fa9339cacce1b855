"""Damaged models on a real runtime: whatever becomes of its process, the agent names it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import files_below, open_agent, processes_with, put
from tests.tiny_model import add_model, gather_model, relu_model

MODELS = {"relu": relu_model(), "add": add_model(), "gather": gather_model()}
MUTANTS = 12
NAMED = {"model_refused", "child_died", "child_timeout", "bad_request"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / "root"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[AgentClient]:
    with open_agent(root) as client:
        yield client


def mutated(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 40))):
        changed[chance.randrange(8, len(changed))] = chance.choice((0, 1, 127, 128, 255))
    if chance.random() < 0.2:
        del changed[chance.randrange(8, len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(MUTANTS))
def test_a_damaged_model(client: AgentClient, root: Path, name: str, seed: int) -> None:
    model = put(client, mutated(MODELS[name], seed))
    fields = {"tree": "", "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 5}
    times = {"warmup_s": 0, "duration_s": 0.01, "seed": 0}
    results: list[str] = []
    try:
        answer = client.call("benchmark", {**fields, **times, "model": model}, 30)
        run = answer["run"]
        results = [run["samples"], run["end_to_end"], answer["conditions"]]
    except AgentError as refused:
        assert refused.code in NAMED, (refused.code, str(refused), refused.traceback)
        assert len(str(refused)) < 10_000
    client.call("drop", {"sha256": [model, *results]})

    assert client.call("hello", {})["agent_sha256"]
    assert files_below(root) == []
    assert len(processes_with(str(root.parent / "agent.pyz"))) == 1
