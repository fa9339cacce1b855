"""How long each operator takes: asked of real runtimes, and read from what a profiler writes."""

from collections.abc import Iterator
from typing import Any

import pytest

from device_agent.contract.codes import MODEL_REFUSED
from device_agent.contract.op_times import OpTimes, op_times_from_json
from device_agent.runtimes.litert_profile import read_summary
from device_agent.runtimes.profile import TimedStep, median_with_ends, medians
from targets.agent_client import AgentClient, AgentError
from tests.dense_model import dense_model
from tests.device_agent.agents import open_agent, put
from tests.device_agent.delegates import build_delegate
from tests.stateful_model import sum_model
from tests.tiny_model import pictures_model, with_changes

SUMMARY = """\
===================== Run Order ======================
      [node type]  [start]  [first]  [avg ms]   [%]  [cdf%]  [mem KB] [times called]  [Name]
 Delegate/Convolution (NHWC, QC8) IGEMM  0.000  0.016  0.427  80.6%  80.6%  0.000  1  [Delegate]:0
                        SOFTMAX  0.005  0.001  0.001  0.1%  100.0%  0.000  1  [Builtin]:15

============= Top by Computation Time ================
                        SOFTMAX  0.005  0.001  0.001  0.1%  100.0%  0.000  1  [Builtin]:15
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentClient]:
    with open_agent(tmp_path_factory.mktemp("board") / "root") as client:
        yield client


def ask(client: AgentClient, runtime: str, model: bytes, delegate: str = "") -> OpTimes:
    fields = {"tree": "", "runtime": runtime, "timeout_s": 60, "delegate": delegate}
    answer = client.call("profile", {**fields, "model": put(client, model), "duration_s": 0.1})
    return op_times_from_json(answer)


def test_every_step_is_told_in_its_order_with_what_computes_it(client: AgentClient) -> None:
    times = ask(client, "ai-edge-litert", dense_model(layers=2, size=1024))

    dense = [step for step in times.steps if step.op.startswith("Fully Connected")]
    assert len(dense) == 2
    assert {step.executor for step in dense} == {"XNNPACK"}
    assert (times.steps[-1].op, times.steps[-1].executor) == ("SOFTMAX", "builtin")
    assert times.runs >= 5
    assert times.reason == ""
    assert 0 < max(step.median_us for step in dense) <= times.total_us


def test_a_runtime_that_does_not_tell_says_so(client: AgentClient) -> None:
    times = ask(client, "tflite-runtime", dense_model())

    assert times.steps == []
    assert times.reason == "tflite-runtime 2.14.0 does not report them; ai-edge-litert 2.3 does"


def test_a_delegate_does_not_tell(client: AgentClient) -> None:
    times = ask(client, "ai-edge-litert", dense_model(), build_delegate("CLAIMS_ALL"))

    assert "its delegate reports no times" in times.reason


def test_what_is_no_model_is_refused(client: AgentClient) -> None:
    with pytest.raises(AgentError, match="the profiler of ai-edge-litert does not read") as refused:
        ask(client, "ai-edge-litert", b"no model")
    assert refused.value.code == MODEL_REFUSED


def test_a_summary_is_read_in_the_order_of_the_run() -> None:
    assert read_summary(SUMMARY) == [
        TimedStep("Convolution (NHWC, QC8) IGEMM", "XNNPACK", 427.0),
        TimedStep("SOFTMAX", "builtin", 1.0),
    ]


def test_a_summary_in_another_form_gives_nothing() -> None:
    assert read_summary("nothing of the kind") == []


def test_the_median_of_a_step_is_of_the_runs_that_had_all_steps() -> None:
    whole = [
        [TimedStep("A", "builtin", time, "conv"), TimedStep("B", "XNNPACK", 1.0)]
        for time in (3.0, 900.0, 5.0)
    ]
    cut = [TimedStep("B", "XNNPACK", 7.0)]

    a, b = medians([*whole, cut])
    assert a == {
        "op": "A",
        "executor": "builtin",
        "median_us": 5.0,
        "low_us": 3.0,
        "high_us": 900.0,
        "layer": "conv",
    }
    assert (b["op"], b["median_us"], b["low_us"], b["high_us"]) == ("B", 1.0, 1.0, 1.0)


def test_the_interval_of_a_median_is_of_ranks() -> None:
    # Of 100 values the 40th to the 61st enclose the median with 95 %.
    low, median, high = median_with_ends([float(number) for number in range(1, 101)])
    assert (median, low, high) == (50.5, 40.0, 61.0)


def test_an_open_batch_is_profiled_as_one(client: AgentClient) -> None:
    def open_batch(graph: Any) -> None:
        for tensor in graph.tensors:
            tensor.shapeSignature = [-1, *tensor.shape[1:]]

    model = with_changes(pictures_model([[1, 64, 64, 3]]), open_batch)
    times = ask(client, "ai-edge-litert", model)
    assert [step.op for step in times.steps] == ["Clamp (NC)"]
    assert 0 < times.whole_low_us <= times.whole_us <= times.whole_high_us


def test_what_the_profiler_does_not_take_is_said_in_words(client: AgentClient) -> None:
    with pytest.raises(AgentError, match="it takes no LSTM and no variables"):
        ask(client, "ai-edge-litert", sum_model())
