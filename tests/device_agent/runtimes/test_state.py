"""State of a model on a board: fresh before each independent sample, kept in a stream."""

from array import array
from collections.abc import Callable, Iterator

import pytest

from device_agent.contract.state import KEEP, RELOAD, RESET
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import open_agent, put
from tests.stateful_model import counter_model, sum_model

FIELDS = {"tree": "", "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 60}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentClient]:
    with open_agent(tmp_path_factory.mktemp("board") / "root") as client:
        yield client


@pytest.mark.parametrize(
    ("make", "reset", "outputs"),
    [
        (sum_model, KEEP, [1, 2, 4]),
        (sum_model, RESET, [1, 1, 2]),
        (sum_model, RELOAD, [1, 1, 2]),
        (counter_model, KEEP, [6, 7, 9]),
        (counter_model, RELOAD, [6, 6, 7]),
    ],
)
def test_the_state_is_what_the_host_requests(
    client: AgentClient, make: Callable[[], bytes], reset: str, outputs: list[int]
) -> None:
    model = {**FIELDS, "model": put(client, make()), "reset": reset}
    values = [array("f", [number]).tobytes() for number in (1, 1, 2)]
    samples = put(client, b"".join(values))
    sent = [{"name": "x", "dtype": "float32", "sha256": samples}]
    (output,) = client.call("infer", {**model, "inputs": sent})["outputs"]
    assert array("f", client.get(output["sha256"])).tolist() == outputs

    shape = [1, 1, 1] if make is sum_model else [1]
    each = [
        {"inputs": [{"name": "x", "dtype": "float32", "sha256": put(client, one), "shape": shape}]}
        for one in values
    ]
    card = {"schema": 1, "inputs": {}, "outputs": {}}
    (output,) = client.call("run", {**model, "card": card, "samples": each, "keep_outputs": True})[
        "outputs"
    ]
    assert array("f", client.get(output["sha256"])).tolist() == outputs


def test_an_unknown_way_is_refused(client: AgentClient) -> None:
    sent = [{"name": "x", "dtype": "float32", "sha256": put(client, b"")}]
    model = {**FIELDS, "model": put(client, sum_model()), "inputs": sent}
    with pytest.raises(AgentError, match="field reset must be one of keep, reset, reload"):
        client.call("infer", {**model, "reset": "sometimes"})
