"""Jobs on TensorRT, through a real agent, by a stand-in for `trtexec` that can misbehave."""

import os
import time
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agent.contract.codes import (
    BAD_REQUEST,
    CHILD_DIED,
    DELEGATE,
    MODEL_REFUSED,
    RUNTIME_IMPORT,
)
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import open_agent, processes_with, put
from tests.device_agent.runtimes.inference import infer_by
from tests.onnx_models import add_model, convolution_model, quantized_model, relu_model
from tests.tensorrt_board import install_trtexec


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The starts of `trtexec`, one a line; the stand-in is on the PATH."""
    programs = install_trtexec(tmp_path / "tensorrt")
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def client(tmp_path: Path, log: Path) -> Iterator[AgentClient]:
    with open_agent(tmp_path / "root") as client:
        yield client
    assert not list(tmp_path.glob("root/store/work-*"))


def job(client: AgentClient, op: str, content: bytes, **more: Any) -> dict[str, Any]:
    fields = {"tree": "", "runtime": "board:tensorrt", "threads": 1, "timeout_s": 60}
    return client.call(op, {**fields, "model": put(client, content), **more})


def benchmark(client: AgentClient, content: bytes, **more: Any) -> dict[str, Any]:
    fields = {"warmup_s": 0.02, "duration_s": 0.1, "seed": 1, **more}
    return job(client, "benchmark", content, **fields)


infer = partial(infer_by, job)


def refusal(call: Any, *arguments: Any, **more: Any) -> AgentError:
    with pytest.raises(AgentError) as refused:
        call(*arguments, **more)
    assert refused.value.traceback == ""
    assert refused.value.hint
    assert "\x1b" not in str(refused.value)
    return refused.value


def starts(log: Path, option: str) -> int:
    return sum(option in line for line in log.read_text().splitlines())


def test_it_says_what_it_is(client: AgentClient) -> None:
    fields = {"tree": "", "runtime": "board:tensorrt", "timeout_s": 60}
    own = client.call("describe", fields)["kernel_class"]
    assert (own["runtime"], own["version"]) == ("board:tensorrt", "10.3.0")


def test_it_computes_every_sample_with_an_engine_that_is_built_once(
    client: AgentClient, log: Path
) -> None:
    samples = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)

    first, again = (infer(client, relu_model(), {"x": samples})["y"] for _ in range(2))

    assert np.allclose(first, np.maximum(samples, 0), rtol=1e-5)
    assert np.array_equal(first, again)
    assert starts(log, "--onnx") == 1
    assert starts(log, "--loadEngine") == 6
    assert starts(log, "--int8") == 0  # TensorRT would invent scales for a file without any


def test_the_inputs_are_paired_by_name(client: AgentClient) -> None:
    a, b = np.full((1, 4), 1, np.float32), np.arange(4, dtype=np.float32).reshape(1, 4)
    assert np.array_equal(infer(client, add_model(), {"b": b, "a": a})["sum"], a + b)


def test_a_benchmark_gives_the_trace_without_its_warm_up(client: AgentClient) -> None:
    answer = benchmark(client, convolution_model(size=16, channels=8, layers=2))
    run = answer["run"]
    samples = array("Q", client.get(run["samples"]))
    whole = array("Q", client.get(run["end_to_end"]))
    assert len(samples) == run["sample_count"] == run["end_to_end_count"] >= 10
    assert sum(whole) / sum(samples) > 1.0
    assert sum(samples) <= run["wall_ns"] <= 1.5e8
    assert run["warmup_runs"] > 0
    assert run["first_invoke_ns"] > 0
    assert run["peak_rss_bytes"] > 1 << 20
    assert run["numpy_version"] == np.__version__


def test_a_profile_names_the_steps(client: AgentClient) -> None:
    times = job(client, "profile", convolution_model(), duration_s=0.2)
    assert [step["executor"] for step in times["steps"]] == ["TensorRT", "TensorRT"]
    total = sum(step["median_us"] for step in times["steps"])
    assert total == pytest.approx(times["whole_us"], rel=0.2)
    assert times["runs"] > 1


@pytest.mark.parametrize(
    ("version", "build", "run"),
    [
        ("8201", {"--buildOnly", "--int8"}, {"--useSpinWait"}),
        ("110100", {"--skipInference"}, {"--includeDataTransfers", "--noCudaGraph"}),
    ],
)
def test_each_release_gets_the_options_that_it_knows(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, version: str, build: set[str],
    run: set[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_VERSION", version)
    content = symmetric_model()
    with open_agent(tmp_path / "root") as client:
        benchmark(client, content)
    lines = [set(line.split()) for line in log.read_text().splitlines()]
    assert any(build <= line for line in lines)
    assert any(run <= line for line in lines)


def symmetric_model() -> bytes:
    """A file with scales, whose input and output are float32."""
    import onnx

    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> own (float[1,4] x) => (float[1,4] y) '
        "<float s = {0.1}, int8 z = {0}> { q = QuantizeLinear(x, s, z) "
        "y = DequantizeLinear(q, s, z) }"
    )
    return bytes(graph.SerializeToString())


def test_an_engine_of_another_release_is_built_anew(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_agent(tmp_path / "root") as client:
        benchmark(client, relu_model())
    # The name of the GPU that kedge reads is the same: only TensorRT notices.
    monkeypatch.setenv("STAND_IN_GPU", "Xavier")
    with open_agent(tmp_path / "root") as client:
        benchmark(client, relu_model())
        benchmark(client, relu_model())
    assert starts(log, "--onnx") == 2
    assert len(list(tmp_path.glob("root/store/engines/*"))) == 1


def test_a_damaged_engine_is_built_anew(client: AgentClient, log: Path, tmp_path: Path) -> None:
    benchmark(client, relu_model())
    (engine,) = tmp_path.glob("root/store/engines/*.plan")
    engine.write_bytes(engine.read_bytes()[:-1] + b"\0")
    benchmark(client, relu_model())
    assert starts(log, "--onnx") == 2


@pytest.mark.parametrize(
    ("fault", "code", "words", "hint"),
    [
        ("missing_library", RUNTIME_IMPORT, "libnvinfer.so.10 is not on the board", "apt-get"),
        ("out_of_memory", CHILD_DIED, "the GPU has too little memory", "desktop"),
        ("unknown_op", MODEL_REFUSED, "no operator NonZero, and no plugin", "ONNX Runtime"),
        ("no_gpu", DELEGATE, "the GPU does not answer (Cuda failure: 100)", "usermod"),
        ("killed", CHILD_DIED, "it was killed, though not by the kernel", "watchdog"),
        ("no_engine", CHILD_DIED, "wrote no engine", "target check"),
        ("crash", CHILD_DIED, "segmentation fault", "last words"),
        ("no_json", CHILD_DIED, "it is no JSON", "target check"),
        ("nan_time", CHILD_DIED, "computeMs is nan", "target check"),
        ("huge_times", CHILD_DIED, "larger file", "shorter time"),
    ],
)
def test_a_failure_is_named_with_what_to_do(
    client: AgentClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, code: str,
    words: str, hint: str,
) -> None:  # fmt: skip
    install_trtexec(tmp_path / "tensorrt", STAND_IN=fault)
    refused = refusal(benchmark, client, relu_model())
    assert refused.code == code
    assert words in str(refused)
    assert hint in refused.hint
    install_trtexec(tmp_path / "tensorrt")
    benchmark(client, relu_model())  # the next try finds nothing in its way


@pytest.mark.parametrize(
    ("fault", "words"), [("other_name", "gave the outputs ['another']"), ("too_few", "3 values")]
)
def test_odd_outputs_are_refused(
    client: AgentClient, tmp_path: Path, fault: str, words: str
) -> None:
    install_trtexec(tmp_path / "tensorrt", STAND_IN=fault)
    values = {"x": np.ones((1, 4), np.float32)}
    assert words in str(refusal_without_hint(infer, client, relu_model(), values))


def refusal_without_hint(call: Any, *arguments: Any) -> AgentError:
    with pytest.raises(AgentError) as refused:
        call(*arguments)
    return refused.value


def test_an_output_may_be_no_number(client: AgentClient, tmp_path: Path) -> None:
    install_trtexec(tmp_path / "tensorrt", STAND_IN="nan noisy")
    outputs = infer(client, relu_model(), {"x": np.ones((1, 4), np.float32)})
    assert np.isnan(outputs["y"][0]).tolist() == [True, False, False, False]


def test_a_build_that_hangs_ends_with_the_job(client: AgentClient, tmp_path: Path) -> None:
    install_trtexec(tmp_path / "tensorrt", STAND_IN="slow_build")
    began = time.monotonic()
    refused = refusal(benchmark, client, relu_model(), timeout_s=2)
    assert refused.code == "child_timeout"
    assert time.monotonic() - began < 30
    assert not processes_with(str(tmp_path / "root" / "store"))


@pytest.mark.parametrize("more", [{"period_ns": 1_000_000}, {"soak": True}], ids=["rate", "soak"])
def test_what_trtexec_does_not_do_is_refused(client: AgentClient, more: dict[str, Any]) -> None:
    assert refusal(benchmark, client, relu_model(), **more).code == BAD_REQUEST


def test_several_processes_are_refused(client: AgentClient) -> None:
    fields = {"warmup_s": 0.02, "duration_s": 0.1, "seed": 1, "streams": 2}
    assert refusal(job, client, "streams", relu_model(), **fields).code == BAD_REQUEST


def test_integers_at_the_border_are_refused(client: AgentClient) -> None:
    refused = refusal(benchmark, client, quantized_model())
    assert refused.code == MODEL_REFUSED
    assert "--format tensorrt" in refused.hint


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_damaged_file_is_refused(client: AgentClient, log: Path, cut: int) -> None:
    refused = refusal(benchmark, client, relu_model()[:-cut])
    assert refused.code == MODEL_REFUSED
    assert starts(log, "--onnx") == 0


def test_a_board_without_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with open_agent(tmp_path / "root") as client:
        refused = refusal(benchmark, client, relu_model())
    assert refused.code == RUNTIME_IMPORT
    assert "apt-get install tensorrt" in refused.hint
