"""200 damaged models on a real runtime: whatever becomes of its process, the agent names it."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import files_below, open_agent, processes_with, put
from tests.tiny_model import add_model, gather_model, relu_model

MODELS = {"relu": relu_model(), "add": add_model(), "gather": gather_model()}
NAMED = {"model_refused", "child_died", "child_timeout", "bad_request"}

#: One job at a time on each board.
BOARDS = 2
MUTANTS = 20
ROUNDS = 10


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[AgentClient, Path]]]:
    """Agents with their roots, which stay alive over all the models."""
    roots = [tmp_path_factory.mktemp("faults") / "root" for _ in range(BOARDS)]
    with ExitStack() as stack:
        yield [(stack.enter_context(open_agent(root)), root) for root in roots]


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 40))):
        changed[chance.randrange(8, len(changed))] = chance.choice((0, 1, 127, 128, 255))
    if chance.random() < 0.2:
        del changed[chance.randrange(8, len(changed)) :]
    return bytes(changed)


def outcome(client: AgentClient, content: bytes) -> str:
    """What a board says of a model: `ran`, or the code with which it refuses."""
    model = put(client, content)
    fields = {"tree": "", "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 5}
    times = {"warmup_s": 0, "duration_s": 0.01, "seed": 0}
    results: list[str] = []
    said = "ran"
    try:
        answer = client.call("benchmark", {**fields, **times, "model": model}, 30)
        run = answer["run"]
        results = [run["samples"], run["end_to_end"], answer["conditions"]]
    except AgentError as refused:
        said = refused.code
        assert len(str(refused)) < 10_000
        assert refused.code in NAMED, (refused.code, str(refused), refused.traceback)
    client.call("drop", {"sha256": [model, *results]})
    return said


@pytest.mark.parametrize("number", range(ROUNDS))
def test_damaged_models(boards: list[tuple[AgentClient, Path]], number: int) -> None:
    chance = random.Random(number)
    models = [mutated(MODELS[chance.choice(sorted(MODELS))], chance) for _ in range(MUTANTS)]

    def try_share(share: int) -> list[str]:
        return [outcome(boards[share][0], model) for model in models[share::BOARDS]]

    with ThreadPoolExecutor(BOARDS) as hosts:
        said = Counter(end for ends in hosts.map(try_share, range(BOARDS)) for end in ends)

    assert sum(said.values()) == MUTANTS
    assert said["model_refused"], f"the damage did not reach the models: {said}"
    for client, root in boards:
        assert client.call("hello", {})["agent_sha256"]
        assert files_below(root) == []
        assert len(processes_with(str(root.parent / "agent.pyz"))) == 1
