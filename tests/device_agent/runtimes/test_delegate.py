"""Delegates in a real runtime: what one computes is told, and why one does not load."""

import ctypes.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import BAD_REQUEST, CHILD_DIED, DELEGATE, MODEL_REFUSED
from targets.agent_client import AgentClient, AgentError
from tests.dense_model import dense_model
from tests.device_agent.agents import open_agent, put
from tests.device_agent.delegates import build_delegate
from tests.edgetpu_model import edgetpu_model
from tests.tiny_model import relu_model

RUNTIMES = ("ai-edge-litert", "tflite-runtime")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentClient]:
    with open_agent(tmp_path_factory.mktemp("board") / "root") as client:
        yield client


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(client: AgentClient, runtime: str, model: bytes, **more: Any) -> dict[str, Any]:
    fields = {"tree": "", "runtime": runtime, "threads": 1, "timeout_s": 60, "seed": 1}
    times = {"warmup_s": 0.01, "duration_s": 0.01, "period_ns": 0, "soak": False}
    answer = client.call("benchmark", {**fields, **times, "model": put(client, model), **more})
    return dict(answer["run"])


def refusal(client: AgentClient, runtime: str, model: bytes, delegate: str) -> AgentError:
    with pytest.raises(AgentError) as refused:
        run(client, runtime, model, delegate=delegate)
    assert client.call("hello", {})["cores"] >= 1  # the agent lives
    return refused.value


def test_operators_are_told_by_what_computes_them(client: AgentClient, runtime: str) -> None:
    placement = run(client, runtime, dense_model())["placement"]

    # tflite-runtime 2.14 was built without XNNPACK's int8 kernels.
    expected = {
        "ai-edge-litert": {"XNNPACK": {"FULLY_CONNECTED": 2}, "builtin": {"SOFTMAX": 1}},
        "tflite-runtime": {"builtin": {"FULLY_CONNECTED": 2, "SOFTMAX": 1}},
    }
    assert placement == {"ops": expected[runtime], "delegate": ""}


def test_what_a_delegate_claims_is_told_as_its(client: AgentClient, runtime: str) -> None:
    library = build_delegate("CLAIMS_ALL")
    done = run(client, runtime, relu_model(3), delegate=library)

    name = Path(library).name
    assert done["placement"] == {"ops": {name: {"RELU": 3}}, "delegate": name}
    assert done["kernel_class"]["delegate"] == name


def test_a_delegate_that_claims_nothing_is_told(client: AgentClient, runtime: str) -> None:
    library = build_delegate("CLAIMS_NOTHING")
    placement = run(client, runtime, dense_model(), delegate=library)["placement"]

    assert placement["delegate"] == Path(library).name
    assert placement["delegate"] not in placement["ops"]
    assert sum(sum(ops.values()) for ops in placement["ops"].values()) == 3


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("GIVES_NOTHING", "it created no delegate: it gave no reason"),
        ("COMPLAINS", "it created no delegate: no such option"),
    ],
)
def test_a_delegate_that_does_not_come_is_told(
    client: AgentClient, runtime: str, mode: str, said: str
) -> None:
    refused = refusal(client, runtime, relu_model(), build_delegate(mode))

    assert refused.code == DELEGATE
    assert said in str(refused)


def test_a_library_that_is_no_delegate_is_told(client: AgentClient, runtime: str) -> None:
    library = build_delegate("CLAIMS_ALL", create="something_else")
    refused = refusal(client, runtime, relu_model(), library)

    assert refused.code == DELEGATE
    assert "lacks tflite_plugin_create_delegate" in str(refused)


def test_a_library_for_another_runtime_is_told_by_the_symbol_that_it_misses(
    client: AgentClient, runtime: str
) -> None:
    refused = refusal(client, runtime, relu_model(), build_delegate("NEEDS_ANOTHER_RUNTIME"))

    assert refused.code == DELEGATE
    assert "it needs the symbol symbol_of_another_runtime" in str(refused)
    assert "`runtime` in kedge.toml" in refused.hint


def test_a_file_that_is_no_library_is_told(
    client: AgentClient, runtime: str, tmp_path: Path
) -> None:
    (tmp_path / "text.so").write_text("this is no library, but it is long enough to be one" * 9)
    refused = refusal(client, runtime, relu_model(), str(tmp_path / "text.so"))

    assert refused.code == DELEGATE
    assert "it is not a shared library" in str(refused)


@pytest.mark.skipif(
    ctypes.util.find_library("edgetpu") is not None, reason="libedgetpu is installed here"
)
def test_a_missing_libedgetpu_is_told(client: AgentClient, runtime: str) -> None:
    refused = refusal(client, runtime, edgetpu_model(), "edgetpu")

    assert refused.code == DELEGATE
    assert "there is no such library on the board" in str(refused)
    assert "apt-get install libedgetpu1" in refused.hint


@pytest.mark.parametrize(
    ("mode", "phase", "end"),
    [
        ("ABORTS", "load the delegate", "the runtime or a delegate aborted"),
        ("CRASHES_WHEN_RUN", "first inference", "segmentation fault"),
    ],
)
def test_a_delegate_that_dies_takes_only_its_process_along(
    client: AgentClient, runtime: str, mode: str, phase: str, end: str
) -> None:
    refused = refusal(client, runtime, relu_model(), build_delegate(mode))

    assert refused.code == CHILD_DIED
    assert f"died in the phase `{phase}" in str(refused)
    assert end in str(refused)
    assert "delegate" in refused.hint


def test_an_edge_tpu_model_without_the_delegate_says_what_is_missing(
    client: AgentClient, runtime: str
) -> None:
    refused = refusal(client, runtime, edgetpu_model(), "")

    assert refused.code == MODEL_REFUSED
    assert "no delegate takes its operator" in str(refused)
    assert 'delegate = "edgetpu"' in refused.hint


def test_a_model_for_the_cpu_runs_without_the_delegate_where_that_is_allowed(
    client: AgentClient, runtime: str
) -> None:
    done = run(client, runtime, relu_model(), delegate="edgetpu", allow_cpu=True)

    assert done["kernel_class"]["delegate"] == ""
    assert done["placement"]["delegate"] == ""


def test_a_process_is_kept_to_the_cores_that_it_is_given(client: AgentClient) -> None:
    done = run(client, "ai-edge-litert", relu_model(), cores=[0])

    assert done["cores"] == [0]


def test_cores_that_the_board_lacks_are_refused(client: AgentClient) -> None:
    with pytest.raises(AgentError, match="cannot run on the cores") as refused:
        run(client, "ai-edge-litert", relu_model(), cores=[1000])
    assert refused.value.code == BAD_REQUEST
