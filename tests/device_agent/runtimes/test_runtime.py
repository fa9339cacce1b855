"""Jobs on a real runtime, through a real agent: what it answers, and what it refuses."""

import io
import struct
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent.child import run_job
from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RUNTIME_IMPORT, RefusalError
from device_agent.contract.cpu_features import cpu_features
from device_agent.job_fields import Job, job_to_json
from device_agent.store.tree_files import write_list
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import files_below, open_agent, put, sha256_of
from tests.tiny_model import (
    add_model,
    gather_model,
    never_runs_model,
    pictures_model,
    relu_model,
    repeat_model,
    with_names,
)

MODELS = Path(__file__).parents[4] / "shared" / "models"
TREE = "a" * 64


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
    assert not list(root.glob("store/partial/*"))


def job(client: AgentClient, op: str, content: bytes, **more: Any) -> dict[str, Any]:
    fields = {"tree": "", "runtime": "ai-edge-litert", "threads": 1, "timeout_s": 60}
    return client.call(op, {**fields, "model": put(client, content), **more})


def benchmark(client: AgentClient, content: bytes, **more: Any) -> dict[str, Any]:
    return job(client, "benchmark", content, warmup_s=0.01, duration_s=0.05, seed=1, **more)


def tensor(client: AgentClient, name: str, values: bytes, dtype: str = "int8") -> dict[str, str]:
    return {"name": name, "dtype": dtype, "sha256": put(client, values)}


def infer(client: AgentClient, content: bytes, *inputs: dict[str, str]) -> dict[str, Any]:
    return job(client, "infer", content, inputs=list(inputs))


def refusal(call: Any, *arguments: Any) -> AgentError:
    with pytest.raises(AgentError) as refused:
        call(*arguments)
    assert refused.value.traceback == ""
    return refused.value


def test_it_computes(client: AgentClient) -> None:
    values = array("b", [-4, -1, 2, 100, 5, 6, -7, 0, 1, 1, 1, -128])
    answer = infer(client, relu_model(), tensor(client, "x", values.tobytes()))

    (output,) = answer["outputs"]
    assert answer["samples"] == 3
    assert (output["name"], output["dtype"], output["shape"]) == ("y0", "int8", [3, 4])
    expected = array("b", [max(0, value) for value in values])
    assert client.get(output["sha256"]) == expected.tobytes()


def test_two_inputs_are_paired_by_name(client: AgentClient) -> None:
    b, a = tensor(client, "b", bytes([1, 2, 3, 4])), tensor(client, "a", bytes([10, 20, 30, 40]))
    answer = infer(client, add_model(), b, a)

    assert client.get(answer["outputs"][0]["sha256"]) == bytes([11, 22, 33, 44])


def test_no_samples_give_no_outputs(client: AgentClient) -> None:
    answer = infer(client, relu_model(), tensor(client, "x", b""))

    assert answer["samples"] == 0
    assert client.get(answer["outputs"][0]["sha256"]) == b""


def test_a_benchmark_sends_every_sample(client: AgentClient) -> None:
    run = benchmark(client, relu_model())["run"]
    samples = array("Q")
    samples.frombytes(client.get(run["samples"]))

    assert run["kernel_class"]["runtime"] == "ai-edge-litert"
    assert run["sample_count"] == len(samples) >= 5
    assert 0 < min(samples) < 1_000_000
    assert sum(samples) <= run["wall_ns"]
    # A loop ends early when the places for samples, at least 65,536, are used up.
    assert run["wall_ns"] >= 0.05e9 or len(samples) >= 1 << 16
    assert run["wall_ns"] < 1e9
    assert run["warmup_runs"] >= 1
    assert min(run[f"{phase}_ns"] for phase in ("import", "load", "allocate", "first_invoke")) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_used_as_told(client: AgentClient, threads: int) -> None:
    assert benchmark(client, relu_model(), threads=threads)["run"]["threads"] == threads


def test_the_runtime_describes_itself(client: AgentClient) -> None:
    fields = {"tree": "", "runtime": "ai-edge-litert", "timeout_s": 60}
    answer = client.call("describe", fields)

    assert answer["kernel_class"]["version"].startswith("2.")
    cpuinfo = Path("/proc/cpuinfo").read_text()
    assert answer["kernel_class"]["cpu_features"].split() == cpu_features(cpuinfo)
    assert answer["numpy"]


def test_a_model_that_fails_when_run_says_so(client: AgentClient) -> None:
    refused = refusal(benchmark, client, never_runs_model())

    assert refused.code == MODEL_REFUSED
    assert "the model loads, but fails when it is run: " in str(refused)


def test_token_numbers_are_of_a_range_that_the_model_accepts(client: AgentClient) -> None:
    assert benchmark(client, gather_model())["run"]["first_invoke_ns"] > 0
    assert benchmark(client, gather_model(), integers=[0, 1])["run"]["first_invoke_ns"] > 0
    with pytest.raises(AgentError, match="fails when it is run"):
        benchmark(client, gather_model(), integers=[50, 99])
    for odd in ([1], [3, 2], [-1, 1], [0, 1 << 40]):
        with pytest.raises(AgentError, match="field integers must be two whole numbers") as refused:
            benchmark(client, gather_model(), integers=odd)
        assert refused.value.code == BAD_REQUEST


@pytest.mark.parametrize("shape", [[3, 2], []])
def test_a_first_axis_that_is_no_batch_belongs_to_the_sample(
    client: AgentClient, shape: list[int]
) -> None:
    values = array("f", range(1, 13)).tobytes()
    answer = infer(client, pictures_model([shape]), tensor(client, "image0", values, "float32"))

    (output,) = answer["outputs"]
    assert output["shape"] == ([2, 3, 2] if shape else [12])
    assert client.get(output["sha256"]) == values


def test_tensors_without_names_are_paired_by_position(client: AgentClient) -> None:
    model = with_names(pictures_model([[1, 2], [1, 3]]), [""] * 4)
    first, second = array("f", [1, 2]).tobytes(), array("f", [3, 4, 5]).tobytes()
    sent = [tensor(client, "1", second, "float32"), tensor(client, "0", first, "float32")]
    answer = infer(client, model, *sent)

    assert [output["name"] for output in answer["outputs"]] == ["0", "1"]
    assert [client.get(output["sha256"]) for output in answer["outputs"]] == [first, second]


def test_samples_end_when_the_time_is_up(client: AgentClient) -> None:
    sent = tensor(client, "x", bytes(4 * 1000))
    assert job(client, "infer", relu_model(), inputs=[sent], most_s=1e-9)["samples"] == 1
    assert job(client, "infer", relu_model(), inputs=[sent], most_s=60)["samples"] == 1000


def test_an_output_that_changes_its_shape_ends_the_samples(client: AgentClient) -> None:
    sent = [
        tensor(client, "x", array("f", [1] * 6).tobytes(), "float32"),
        tensor(client, "times", array("i", [2, 2, 3]).tobytes(), "int32"),
    ]
    with pytest.raises(AgentError, match="an output changes its shape"):
        job(client, "infer", repeat_model(), inputs=sent)
    answer = job(client, "infer", repeat_model(), inputs=sent, most_s=60)
    assert (answer["samples"], answer["outputs"][0]["shape"]) == (2, [2, 4])


@pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not beside the checkout")
def test_a_model_with_an_unknown_operator_says_which(client: AgentClient) -> None:
    refused = refusal(benchmark, client, (MODELS / "model_invoking_error.tflite").read_bytes())

    assert refused.code == MODEL_REFUSED
    assert "fake-op-double" in str(refused)


@pytest.mark.parametrize(
    "content",
    [b"", b"no model", relu_model()[:200], b"\0\0\0\0TFL3" + b"\xff" * 500],
    ids=["empty", "text", "cut", "damaged"],
)
def test_what_is_no_model_is_refused(client: AgentClient, content: bytes) -> None:
    refused = refusal(benchmark, client, content)

    assert refused.code in (MODEL_REFUSED, "child_died")
    assert client.call("hello", {})["cores"] >= 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "values were sent for \\[\\]|no values were sent for input 'x'"),
        ([("y", "int8", 4)], "the model has the inputs \\['x'\\], values were sent for \\['y'\\]"),
        ([("x", "int8", 4), ("z", "int8", 4)], "values were sent for \\['x', 'z'\\]"),
        ([("x", "float32", 16)], "takes int8, float32 was sent"),
        ([("x", "int8", 6)], "6 values do not fill inputs of shape \\[1, 4\\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    client: AgentClient, inputs: list[tuple[str, str, int]], said: str
) -> None:
    sent = [tensor(client, name, bytes(size), dtype) for name, dtype, size in inputs]
    refused = refusal(infer, client, relu_model(), *sent)

    assert refused.code == BAD_REQUEST
    with pytest.raises(AgentError, match=said):
        raise refused


def test_inputs_of_different_counts_are_refused(client: AgentClient) -> None:
    sent = [tensor(client, "a", bytes(8)), tensor(client, "b", bytes(4))]
    refused = refusal(infer, client, add_model(), *sent)

    assert refused.code == BAD_REQUEST
    assert "different sample counts: 2, 1" in str(refused)


def test_a_missing_input_of_two_is_named(client: AgentClient) -> None:
    refused = refusal(infer, client, add_model(), tensor(client, "a", bytes(4)))

    assert "no values were sent for input 'b'" in str(refused)


def make_runtime(root: Path, interpreter: str, numpy: str = "__version__ = '1'") -> dict[str, Any]:
    """A runtime tree whose modules say what they are told to."""
    tree = sha256_of((interpreter + numpy).encode())
    folder = root / "store" / "runtimes" / tree
    (folder / "ai_edge_litert").mkdir(parents=True)
    (folder / "ai_edge_litert" / "__init__.py").write_text("__version__ = '9'\n")
    (folder / "ai_edge_litert" / "interpreter.py").write_text(interpreter)
    (folder / "numpy.py").write_text(numpy)
    write_list(str(folder))
    return {"tree": tree, "runtime": "ai-edge-litert", "timeout_s": 60}


NUMPY_ESSAY = r"""
raise ImportError('''

IMPORTANT: PLEASE READ THIS FOR ADVICE ON HOW TO SOLVE THIS ISSUE!

Importing the numpy C-extensions failed.

Original error was: libopenblas.so.0: cannot open shared object file
''')
"""


@pytest.mark.parametrize(
    ("interpreter", "numpy", "said"),
    [
        ("raise ImportError('undefined symbol: _ZN3')", "", "ImportError: undefined symbol: _ZN3"),
        ("raise OSError('libfoo.so: no file')", "", "OSError: libfoo.so: no file"),
        ("1 / 0", "", "ZeroDivisionError: division by zero"),
        ("", "", "AttributeError"),
        ("", NUMPY_ESSAY, "Original error was: libopenblas.so.0"),
        ("this is no python", "", "SyntaxError"),
    ],
    ids=["symbol", "library", "other", "no-interpreter", "numpy", "syntax"],
)
def test_a_lying_wheel_is_named(
    client: AgentClient, root: Path, interpreter: str, numpy: str, said: str
) -> None:
    refused = refusal(client.call, "describe", make_runtime(root, interpreter, numpy))

    assert refused.code == RUNTIME_IMPORT
    assert said in str(refused)
    assert "kedge target check" in refused.hint
    assert "[" not in str(refused).partition(said)[0]


def test_a_wheel_that_exits_while_it_is_imported_is_told(client: AgentClient, root: Path) -> None:
    refused = refusal(client.call, "describe", make_runtime(root, "raise SystemExit(7)"))

    assert refused.code == "child_died"
    assert "exited with 7" in str(refused)


def test_an_unknown_runtime_is_refused(client: AgentClient) -> None:
    fields = {"tree": "", "runtime": "onnx", "timeout_s": 60}
    refused = refusal(client.call, "describe", fields)

    assert refused.code == BAD_REQUEST
    assert "unknown runtime 'onnx'" in str(refused)


PRINTER = """
import os
print("printed"); os.write(1, b"written")
class Interpreter: pass
"""


def test_a_runtime_that_prints_does_not_corrupt_its_answer(client: AgentClient, root: Path) -> None:
    answer = client.call("describe", make_runtime(root, PRINTER))

    assert answer["kernel_class"]["version"] == "9"


GREEDY = """
class Interpreter:
    def __init__(self, **_): raise MemoryError
"""


def test_a_job_without_memory_is_named(client: AgentClient, root: Path) -> None:
    fields = make_runtime(root, GREEDY)
    refused = refusal(benchmark_in, client, fields)

    assert refused.code == "child_died"
    assert "ran out of memory" in str(refused)


HALF = """
class Interpreter:
    def __init__(self, **_): pass
    def allocate_tensors(self): {}
    def get_input_details(self): {}
    def get_output_details(self): return []
"""
BROKEN = {
    "in itself": (HALF.format("self.no_such_thing", "pass"), "no_such_thing"),
    "without a method": (HALF.format("pass", "pass").replace("get_input", "got"), "get_input_det"),
    "no list": (HALF.format("pass", "pass"), "NoneType"),
    "no fields": (HALF.format("pass", "return [{}]"), "KeyError"),
    "no class": ("Interpreter = None", "not callable"),
    "no arguments": ("class Interpreter: pass", "TypeError"),
}


@pytest.mark.parametrize(("interpreter", "said"), BROKEN.values(), ids=BROKEN)
def test_a_runtime_that_is_broken_is_named(
    client: AgentClient, root: Path, interpreter: str, said: str
) -> None:
    refused = refusal(benchmark_in, client, make_runtime(root, interpreter))

    assert refused.code == RUNTIME_IMPORT
    assert str(refused).startswith("board: the runtime fails on this board: ")
    assert said in str(refused)
    assert "get its wheels again" in refused.hint


def test_a_bug_in_a_job_carries_its_traceback() -> None:
    program = (
        "from device_agent import job\n"
        "def bug(*_): no_such_thing\n"
        "job._function_of = lambda _: bug\n"
        "job.main()"
    )
    plain = job_to_json(Job("benchmark", "ai-edge-litert"))
    with pytest.raises(RefusalError) as broken:
        run_job([sys.executable, "-c", program], plain, 60, lambda _: None, lambda: None)

    assert broken.value.code == "internal"
    assert "no_such_thing" in broken.value.traceback


def benchmark_in(client: AgentClient, fields: dict[str, Any]) -> dict[str, Any]:
    return benchmark(client, relu_model(), **fields)


def test_a_refused_job_leaves_only_what_was_sent(client: AgentClient, root: Path) -> None:
    sent = tensor(client, "x", struct.pack("6b", *range(6)))
    before = files_below(root / "store" / "scratch")
    refusal(infer, client, relu_model(), sent)

    assert files_below(root / "store" / "scratch") == before


def test_a_stream_of_jobs_is_possible_in_one_conversation(client: AgentClient) -> None:
    for number in range(3):
        values = bytes([number] * 4)
        client.put(io.BytesIO(values), sha256_of(values), 4)
        answer = infer(client, relu_model(), tensor(client, "x", values))
        assert client.get(answer["outputs"][0]["sha256"]) == values
