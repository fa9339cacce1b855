"""Jobs on a real ONNX Runtime, through a real agent: what it answers, and what it refuses."""

from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from device_agent.contract.codes import BAD_REQUEST, DELEGATE, MODEL_REFUSED
from device_agent.contract.onnx_scales import SCALES_KEY
from device_agent.runtimes.onnx_profile import read_profile
from device_agent.runtimes.profile import TimedStep
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import open_agent, put
from tests.device_agent.runtimes.inference import infer_by
from tests.onnx_models import (
    add_model,
    convolution_model,
    foreign_model,
    gather_model,
    model_of,
    open_batch_model,
    quantized_model,
    relu_model,
    text_model,
    value,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("board") / "root"


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[AgentClient]:
    with open_agent(root) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_is_left_at_work(root: Path) -> Iterator[None]:
    yield
    assert not list(root.glob("store/work-*"))


def job(client: AgentClient, op: str, content: bytes, **more: Any) -> dict[str, Any]:
    fields = {"tree": "", "runtime": "onnxruntime", "threads": 1, "timeout_s": 60}
    return client.call(op, {**fields, "model": put(client, content), **more})


def benchmark(client: AgentClient, content: bytes, **more: Any) -> dict[str, Any]:
    return job(client, "benchmark", content, warmup_s=0.01, duration_s=0.05, seed=1, **more)


infer = partial(infer_by, job)


def test_the_runtime_keeps_no_identifier_of_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with open_agent(tmp_path / "root") as client:
        benchmark(client, add_model())
    assert not list(tmp_path.rglob("*deviceid*"))


def refusal(call: Any, *arguments: Any, **more: Any) -> AgentError:
    with pytest.raises(AgentError) as refused:
        call(*arguments, **more)
    assert refused.value.traceback == ""
    return refused.value


def test_it_computes_every_sample(client: AgentClient) -> None:
    samples = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)

    outputs = infer(client, relu_model(), {"x": samples})

    assert np.array_equal(outputs["y"], np.maximum(samples, 0))


def test_two_inputs_are_paired_by_name(client: AgentClient) -> None:
    a, b = np.full((1, 4), 1, np.float32), np.arange(4, dtype=np.float32).reshape(1, 4)

    assert np.array_equal(infer(client, add_model(), {"b": b, "a": a})["sum"], a + b)


def test_an_open_batch_is_one_and_an_output_may_change_its_shape(client: AgentClient) -> None:
    samples = np.array([[1, 0, 1, 0], [2, 2, 0, 0]], np.float32)

    outputs = infer(client, open_batch_model(), {"x": samples})

    assert outputs["y"].shape == (2, 4)
    assert outputs["places"].shape == (2, 2, 2)
    assert outputs["places"][0].tolist() == [[0, 0], [0, 2]]
    assert outputs["places"][1].tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
def test_other_types_are_kept(client: AgentClient, dtype: str) -> None:
    kinds = {
        "float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE, "int32": TensorProto.INT32
    }  # fmt: skip
    samples = np.array([[-1, 2, -3, 4]], dtype)
    opset = 14  # the first whose RELU takes whole numbers

    outputs = infer(client, relu_model(kinds[dtype], opset), {"x": samples})

    assert outputs["y"].tolist() == [[0, 2, 0, 4]]
    assert outputs["y"].dtype == dtype


def test_a_benchmark_sends_every_sample_and_the_placement(client: AgentClient) -> None:
    run = benchmark(client, convolution_model(8, 4, 2))["run"]
    samples = array("Q")
    samples.frombytes(client.get(run["samples"]))

    assert run["kernel_class"]["runtime"] == "onnxruntime"
    assert run["kernel_class"]["delegate"] == ""
    assert run["sample_count"] == len(samples) >= 10
    assert min(run[f"{phase}_ns"] for phase in ("import", "load", "allocate", "first_invoke")) > 0
    assert set(run["placement"]["ops"]) == {"CPU"}
    assert run["placement"]["ops"]["CPU"]["Gemm"] == 1
    assert run["end_to_end_count"] > 0


def test_the_scales_in_the_metadata_are_those_of_the_whole_inference(client: AgentClient) -> None:
    """Random values of the whole range of uint8 show that the input counts as quantized."""
    assert benchmark(client, quantized_model(scales=False), integers=[0, 1])["run"]["sample_count"]
    with_scales = benchmark(client, quantized_model())["run"]
    assert with_scales["sample_count"] and with_scales["end_to_end_count"]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_used_as_told(client: AgentClient, threads: int) -> None:
    assert benchmark(client, relu_model(), threads=threads)["run"]["threads"] == threads


def test_processes_at_the_same_time(client: AgentClient) -> None:
    fields = {"warmup_s": 0.01, "duration_s": 0.05, "seed": 1, "streams": 2}
    runs = job(client, "streams", relu_model(), **fields)["runs"]
    assert [run["sample_count"] >= 10 for run in runs] == [True, True]


def test_a_profile_names_the_steps_and_the_layers(client: AgentClient) -> None:
    times = job(client, "profile", convolution_model(), duration_s=0.2)

    kinds = [step["op"] for step in times["steps"]]
    assert times["reason"] == ""
    assert times["runs"] >= 5
    assert kinds[-1] == "Softmax"
    assert times["steps"][-1]["layer"] == "softmax"
    assert {step["executor"] for step in times["steps"]} == {"CPU"}
    assert 0 < times["whole_low_us"] <= times["whole_us"] <= times["whole_high_us"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no model", "no whole .onnx"),
        (relu_model()[:40], "no whole .onnx"),
        (relu_model(ir_version=99), "IR version 99"),
        (relu_model(opset=99), "opset 99"),
        (foreign_model(), "no operator com.somebody:Theirs"),
        (text_model(), "is of type tensor(string)"),
    ],
    ids=["bytes", "cut", "ir", "opset", "foreign", "text"],
)
def test_a_model_that_it_cannot_run_is_refused(
    client: AgentClient, content: bytes, reason: str
) -> None:
    refused = refusal(benchmark, client, content)

    assert refused.code == MODEL_REFUSED
    assert reason in str(refused)
    assert refused.hint


def test_a_model_that_fails_when_it_is_run_is_refused(client: AgentClient) -> None:
    values = {"values": np.arange(4, dtype=np.float32), "index": np.array([99], np.int32)}

    refused = refusal(infer, client, gather_model(), values)

    assert refused.code == MODEL_REFUSED
    assert "fails when it is run" in str(refused)


@pytest.mark.parametrize("text", ["{", '{"x": [0, 0]}', "[]"])
def test_damaged_scales_are_refused(client: AgentClient, text: str) -> None:
    ends = [value("x", [1, 4]), value("x", [1, 4])]
    model = model_of([], ends[:1], ends[1:], metadata={SCALES_KEY: text})

    refused = refusal(benchmark, client, model)

    assert refused.code == MODEL_REFUSED
    assert "scales" in str(refused)


def test_a_provider_that_the_build_lacks_is_refused_with_those_that_it_has(
    client: AgentClient,
) -> None:
    refused = refusal(benchmark, client, relu_model(), delegate="CUDAExecutionProvider")

    assert refused.code == DELEGATE
    assert "has no CUDAExecutionProvider; it has" in str(refused)
    assert "CPUExecutionProvider" in str(refused)


def test_a_library_is_no_delegate_of_it(client: AgentClient) -> None:
    refused = refusal(benchmark, client, relu_model(), delegate="/usr/lib/libdelegate.so")

    assert refused.code == DELEGATE
    assert "ONNX Runtime takes none" in str(refused)


def test_the_cpu_may_be_named_as_the_provider(client: AgentClient) -> None:
    run = benchmark(client, relu_model(), delegate="CPUExecutionProvider")["run"]
    assert run["kernel_class"]["delegate"] == ""


def test_values_that_do_not_fit_are_refused(client: AgentClient) -> None:
    refused = refusal(infer, client, relu_model(), {"x": np.zeros((1, 4), np.int8)})

    assert refused.code == BAD_REQUEST
    assert "takes float32" in str(refused)


def test_a_profile_is_read_in_the_order_of_the_run(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(
        '[{"cat": "Session", "name": "session_initialization", "dur": 9, "args": {}},'
        '{"cat": "Node", "name": "a_fence_before", "dur": 0, "args": {"op_name": "Conv"}},'
        '{"cat": "Node", "name": "a_token_3_kernel_time", "dur": 7, "args": {"op_name": "Conv",'
        ' "provider": "CUDAExecutionProvider"}},'
        '{"cat": "Session", "name": "model_run", "dur": 8, "args": {}}]'
    )
    assert read_profile(str(profile)) == [[TimedStep("Conv", "CUDA", 7.0, "a")]]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '[{"cat": "Node", "name": "x_kernel_time"}]'])
def test_a_profile_in_another_form_gives_nothing(tmp_path: Path, text: str) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(text)
    assert not read_profile(str(profile))
