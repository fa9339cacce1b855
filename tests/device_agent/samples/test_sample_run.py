"""Whole samples on a real runtime, through a real agent: what it refuses, and what it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import files_below, open_agent, put
from tests.tiny_model import add_model, gather_model, pictures_model, relu_model

IMAGE = {"kind": "image", "height": 2, "width": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("board") / "root"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[AgentClient]:
    with open_agent(root) as client:
        yield client


def tensor(client: AgentClient, name: str, values: Any) -> dict[str, Any]:
    values = np.asarray(values)
    sha256 = put(client, values.tobytes())
    return {"name": name, "dtype": values.dtype.name, "shape": list(values.shape), "sha256": sha256}


def run(
    client: AgentClient, model: bytes, *inputs: dict[str, Any], keep: bool = False, **card: Any
) -> dict[str, Any]:
    fields = {"tree": "", "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 60}
    return client.call(
        "run",
        {
            **fields,
            "model": put(client, model),
            "card": {"schema": 1, **card},
            "samples": [{"inputs": list(inputs)}],
            "keep_outputs": keep,
        },
    )


def test_two_inputs_are_paired_by_name(client: AgentClient) -> None:
    a, b = np.array([1, 2, 3, 4], np.float32), np.array([0.5, 0.5, 0.5, 0.5], np.float32)
    answer = run(
        client, add_model(), tensor(client, "b", b), tensor(client, "a", a),
        outputs={"sum": {"task": "regression"}},
    )  # fmt: skip

    (sample,) = json.loads(client.get(answer["answers"]))
    assert sample["outputs"]["sum"]["values"] == [1.5, 2.5, 3.5, 4.5]
    assert answer["outputs"] == []


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("image0", np.zeros((2, 3, 3), np.float32), "is sent as uint8, found float32"),
        ("image0", np.zeros((2, 3), np.uint8), r"the shape \[height, width, 3\], found \[2, 3\]"),
        ("image0", np.zeros((2, 0, 3), np.uint8), r"found \[2, 0, 3\]"),
        ("other", np.zeros((2, 3, 3), np.uint8), r"has the inputs \['image0'\], values were sent"),
    ],
)  # fmt: skip
def test_a_picture_that_does_not_fit_is_refused(
    client: AgentClient, name: str, values: Any, said: str
) -> None:
    with pytest.raises(AgentError, match=said) as refused:
        run(
            client, pictures_model([[1, 2, 3, 3]]), tensor(client, name, values),
            inputs={"image0": IMAGE},
        )  # fmt: skip
    assert refused.value.code == BAD_REQUEST
    assert refused.value.traceback == ""


def test_fewer_bytes_than_the_shape_says_are_refused(client: AgentClient) -> None:
    cut = {**tensor(client, "image0", np.zeros((2, 2, 3), np.uint8)), "shape": [2, 3, 3]}
    with pytest.raises(AgentError, match="12 values do not fill the shape") as refused:
        run(client, pictures_model([[1, 2, 3, 3]]), cut, inputs={"image0": IMAGE})
    assert refused.value.code == BAD_REQUEST


def test_a_card_of_another_model_is_refused(client: AgentClient) -> None:
    sent = tensor(client, "image0", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(AgentError, match="pictures of .* were declared") as refused:
        run(client, pictures_model([[1, 4, 4, 3]]), sent, inputs={"image0": IMAGE})
    assert refused.value.code == BAD_REQUEST


def test_a_model_that_fails_when_run_says_so(client: AgentClient) -> None:
    values = tensor(client, "values", np.zeros(4, np.float32))
    with pytest.raises(AgentError, match="fails when it is run") as refused:
        run(client, gather_model(), values, tensor(client, "index", np.array([99], np.int32)))
    assert refused.value.code == MODEL_REFUSED


def test_what_is_kept_is_the_real_value_and_nothing_is_left_at_work(
    client: AgentClient, root: Path
) -> None:
    sent = tensor(client, "x", np.array([0.2, 0.3, -1, 70], np.float32))
    answer = run(client, relu_model(), sent, keep=True)

    (output,) = answer["outputs"]
    assert (output["name"], output["dtype"], output["shape"]) == ("y0", "float32", [1, 4])
    kept = np.frombuffer(client.get(output["sha256"]), "<f4")
    assert kept.tolist() == [0, 0.5, 0, 63.5]  # steps of 0.5; int8 ends at 127 of them
    assert not [path for path in files_below(root) if "work-" in path or "partial" in path]
