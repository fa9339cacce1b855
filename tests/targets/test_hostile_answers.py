"""Boards whose answers have another form: each is that board's error, never a bug of kedge."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.facts import facts_from_json
from device_agent.contract.measurement import kernel_class_from_json
from device_agent.contract.model_card import ModelCard
from device_agent.contract.placement import placement_from_json
from device_agent.contract.records import RecordError
from device_agent.job_fields import Job
from targets import device as device_module
from targets import provision
from targets.agent_client import AgentClient, AgentError
from targets.device import Device
from targets.errors import TargetError
from targets.inventory import Target
from targets.job_answers import check_series, read_times
from targets.jobs import ProcessSettings
from targets.provision import open_device
from targets.sample_run import SampleRequest
from tests.fake_board import FakeBoard, connect_to, simulated_job
from tests.targets.loopback import let_boards_use_the_tests_python, with_own_runtime
from tests.tiny_model import relu_model
from tests.toolkit.measurements import board_run
from tests.wheel_files import write_wheel

KERNEL_CLASS = {"machine": "aarch64", "runtime": "ai-edge-litert", "version": "2.3.0"}
VALUES = np.ones((3, 4), np.float32)
SETTINGS = ProcessSettings(threads=1, warmup_s=0.0, duration_s=0.01)

DEEP: Any = 1
for _ in range(40):
    DEEP = [DEEP]
ODD = [None, True, -1, 0, 1.5, 1 << 61, 1 << 70, 1e300, "", "odd\ud800", [], [[]], [1], {}, DEEP]
ODD += [{"a": 1}, [{}], [None]]
ODD_PARTS = [None, -1, 0, 1.5, 1 << 70, "odd\ud800", {"a": [{}]}]

LINES = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"[]",
    b'{"v":1,"id":true,"result":{}}',
    b'{"v":1,"id":1e400,"result":{}}',
    b'{"v":1,"id":%d,"result":{"a":NaN}}',
    b'{"v":1,"id":%d,"result":{"a":-Infinity}}',
    b'{"v":1,"id":%d,"result":{"a":1e999}}',
    b'{"v":1,"id":%d,"result":{"a":' + b"9" * 5000 + b"}}",
    b'{"v":1,"id":%d,"result":{"a":' + b"[" * 100_000 + b"}}",
    b'{"v":1,"id":%d,"result":[]}',
    b'{"v":1,"id":%d,"event":7}',
    b'{"v":1,"id":%d,"code":5}',
    b'{"v":2,"id":%d,"result":{}}',
]


def answering_job(job: Job, timeout_s: float, event: Any, tick: Callable[[], None]) -> Any:
    """Benchmarks, and jobs that answer each sample with itself."""
    if job.kind == "profile":
        step = {"op": "RELU", "executor": "builtin", "median_us": 1.5}
        return {"steps": [step], "runs": 3, "reason": ""}
    if job.kind not in ("infer", "run"):
        return simulated_job(seed=0)(job, timeout_s, event, tick)
    path = Path(job.outputs + ".0")
    path.write_bytes(VALUES.tobytes())
    output = {"name": "y", "dtype": "float32", "shape": [3, 4], "path": str(path)}
    result = {"kernel_class": KERNEL_CLASS, "samples": 3, "outputs": [output]}
    if job.kind == "run":
        times = dict.fromkeys(("preprocess", "quantize", "invoke", "postprocess"), 10)
        answer = {"outputs": {"y": {"classes": [[1, 0.5]], "best": [1, None]}}, "times_ns": times}
        Path(job.answers).write_text(json.dumps([answer] * 3))
        result["peak_rss_bytes"] = 1 << 20
    return result


@pytest.fixture
def board(tmp_path: Path) -> FakeBoard:
    return FakeBoard(tmp_path / "board", run_job=answering_job)


@pytest.fixture
def target(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> Target:
    let_boards_use_the_tests_python(monkeypatch)
    monkeypatch.setattr(provision, "connect", connect_to({"fake": board}))
    return with_own_runtime(Target("fake", "local", root=str(board.root)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(relu_model())
    return path


def use(device: Device, model: Path) -> None:
    staged = device.push(model)
    device.prepare_runtime("tflite")
    device.jobs.benchmark(staged, SETTINGS)
    device.jobs.profile(staged, 0.01)
    device.jobs.infer(staged, {"x": VALUES})
    samples = [{"x": VALUES[0]}] * 3
    device.jobs.run_samples(staged, SampleRequest(ModelCard(), samples, keep_outputs=True))


def refused(target: Target, model: Path) -> str:
    """The message of the error that this board ends with; empty where it is taken."""
    try:
        with open_device(target) as device:
            use(device, model)
    except (TargetError, IntegrityError) as error:
        assert error.hint, error
        return str(error)
    return ""


@pytest.fixture
def answers(
    target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, dict[str, Any]]:
    """What a right agent answers, by operation."""
    seen: dict[str, dict[str, Any]] = {}
    call = AgentClient.call

    def watch(self: AgentClient, op: str, *more: Any) -> dict[str, Any]:
        seen[op] = call(self, op, *more)
        return copy.deepcopy(seen[op])

    with monkeypatch.context() as patch:
        patch.setattr(AgentClient, "call", watch)
        assert refused(target, model) == ""
    assert {"hello", "describe", "benchmark", "infer", "run", "profile", "get"} <= set(seen)
    return seen


def with_odd_values(plain: Any, odds: list[Any]) -> Iterator[Any]:
    """The value with each part of it, at any depth, exchanged for something odd, or left out."""
    yield from (odd for odd in odds if odd != plain or type(odd) is not type(plain))
    parts = plain.items() if isinstance(plain, dict) else ()
    for key, value in parts:
        yield {name: other for name, other in plain.items() if name != key}
        yield from ({**plain, key: odd} for odd in with_odd_values(value, ODD_PARTS))
    for position, value in enumerate(plain[:1] if isinstance(plain, list) else ()):
        for odd in with_odd_values(value, ODD_PARTS):
            yield [*plain[:position], odd, *plain[position + 1 :]]


@pytest.mark.parametrize("op", ["hello", "describe", "benchmark", "infer", "run", "profile", "get"])
def test_an_answer_of_another_form_is_an_error_of_the_board(
    target: Target,
    board: FakeBoard,
    model: Path,
    answers: Mapping[str, dict[str, Any]],
    op: str,
) -> None:
    messages = []
    for odd in with_odd_values(answers[op], ODD):
        board.faults.answers = {op: odd}
        messages.append(refused(target, model))
    assert len(messages) > 10
    assert any(messages)


@pytest.mark.parametrize("op", ["offset", "put", "drop", "reserve"])
def test_so_is_an_answer_about_files(
    target: Target, board: FakeBoard, model: Path, op: str
) -> None:
    """An answer that is no object is refused; of some objects nothing is read: all is well then."""
    messages = []
    for odd in [*ODD, {"offset": -5, "path": ""}, {"offset": 10**12, "path": ""}, {"offset": "a"}]:
        board.faults.answers = {op: odd}
        messages.append(refused(target, model))
    assert any(messages)


@pytest.mark.parametrize("op", ["has_tree", "unpack"])
def test_so_is_an_answer_about_a_runtime(
    target: Target, board: FakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str
) -> None:
    """Nothing is read of an object that `unpack` answers."""
    wheel = write_wheel(tmp_path / "x-1.0-py3-none-any.whl", {"x/__init__.py": ""})
    monkeypatch.setattr(device_module, "find_wheels", lambda *_: [wheel])
    odds: list[Any] = [odd for odd in ODD if not isinstance(odd, dict)]
    if op == "has_tree":
        odds += [{}, {"damaged": "yes"}, *({"present": odd} for odd in ODD if odd is not True)]
    for odd in odds:
        board.faults.answers = {op: odd}
        with pytest.raises(AgentError) as refused, open_device(target) as device:
            device._bring_runtime(device.runtime_for("tflite"), None, lambda *_: None)
        assert refused.value.hint


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_no_answer_is_an_error_of_the_board(
    target: Target, board: FakeBoard, model: Path, line: bytes
) -> None:
    for number, op in enumerate(("hello", "offset"), start=1):
        board.faults.answers = {op: line.replace(b"%d", b"%d" % number)}
        assert refused(target, model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"import_ns": -5}, "import_ns: expected 0 to"),
        ({"load_ns": 1 << 62}, "load_ns: expected 0 to"),
        ({"peak_rss_bytes": 1 << 62}, "peak_rss_bytes: expected 0 to"),
        ({"others_cores": 1e18}, "others_cores: expected 0 to 4096"),
        ({"placement": {"ops": {"XNNPACK": {"ADD": -3}}}}, "operators of an executor"),
        ({"placement": {"ops": {"XNNPACK": {"ADD": 10**15}}}}, "operators of an executor"),
    ],
)
def test_a_figure_that_no_process_can_have_is_named(
    target: Target, board: FakeBoard, model: Path, change: dict[str, Any], said: str
) -> None:
    def changed_job(job: Job, timeout_s: float, event: Any, tick: Callable[[], None]) -> Any:
        result = answering_job(job, timeout_s, event, tick)
        return {**result, **change} if job.kind == "benchmark" else result

    board.run_job = changed_job
    assert said in refused(target, model)


def test_a_time_of_years_is_no_time() -> None:
    with pytest.raises(RecordError, match="more than a day"):
        read_times(np.array([5, 2**64 - 1], "<u8").tobytes(), 2)
    assert list(read_times(np.array([0, 2**64 - 1], "<u8").tobytes())) == [0, 2**64 - 1]


@pytest.mark.parametrize(
    ("period_ns", "series"),
    [
        (0, {"memory": [0, 4096]}),
        (0, {"memory": [], "starts": [1, 2]}),
        (0, {"memory": [0, 4096, 7], "starts": [1, 2]}),
        (0, {"memory": [0, 4096], "starts": [1, 2, 3]}),
        (0, {"memory": [0, 4096], "starts": [1]}),
        (1000, {}),
        (1000, {"responses": []}),
        (1000, {"memory": [0, 4096], "starts": [1, 2]}),
    ],
)
def test_series_that_no_run_can_have_are_an_error_of_the_board(
    period_ns: int, series: dict[str, list[int]]
) -> None:
    run = replace(board_run([100, 100]).run, period_ns=period_ns, sample_count=2, warmup_runs=3)
    check_series(replace(run, period_ns=0), {"memory": [0, 4096], "starts": [1, 2]})
    check_series(replace(run, period_ns=1000), {"responses": [7]})
    with pytest.raises(RecordError):
        check_series(run, series)
    with pytest.raises(RecordError, match="without response times, warm-up runs or requests"):
        check_series(replace(run, period_ns=1000, warmup_runs=0), {"responses": [7]})


def test_a_name_of_a_board_writes_no_line_of_its_own() -> None:
    name = "X\noutputs EQUAL\u2028\r\n"
    placement = placement_from_json({"ops": {name: {name: 1}}, "delegate": name})
    facts = facts_from_json({"model": name, "installed": {"numpy": name}})
    shown = [str(placement), placement.delegate, facts.model, *facts.installed.values()]
    shown.append(str(kernel_class_from_json({**KERNEL_CLASS, "runtime": name})))
    assert [text for text in shown if len(text.splitlines()) > 1] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "object"}, "of the type object"),
        ({"dtype": "<U4"}, "of the type <U4"),
        ({"shape": [3, 10**12]}, "expected at most"),
        ({"shape": [4, 4]}, "of the shape"),
        ({"shape": [0, 4]}, "of the shape"),
        ({"shape": []}, "of the shape"),
        ({"shape": [3, -4]}, "of the shape"),
        ({"shape": [3, 5]}, "has 48 bytes"),
        ({"shape": [3, 3]}, "size: expected 0 to 36, found 48"),
    ],
)
def test_an_output_that_does_not_fit_is_named(
    target: Target,
    board: FakeBoard,
    model: Path,
    change: dict[str, Any],
    said: str,
) -> None:
    def changed_job(job: Job, timeout_s: float, event: Any, tick: Callable[[], None]) -> Any:
        result = answering_job(job, timeout_s, event, tick)
        if job.kind == "infer":
            result["outputs"][0].update(change)
        return result

    board.run_job = changed_job
    with open_device(target) as device:
        staged = device.push(model)
        device.prepare_runtime("tflite")
        with pytest.raises(AgentError, match=said) as wrong:
            device.jobs.infer(staged, {"x": VALUES})
    assert (wrong.value.code, wrong.value.exit_code) == ("wire", 7)


def test_a_file_is_not_larger_than_the_request_can_give(
    target: Target, board: FakeBoard, model: Path
) -> None:
    with open_device(target) as device:
        staged = device.push(model)
        device.prepare_runtime("tflite")
        with pytest.raises(AgentError, match="1 outputs of 48 bytes, expected at most 40"):
            device.jobs.infer(staged, {"x": VALUES}, most_bytes=40)
        board.faults.answers = {"get": {"size": 10**15}}
        with pytest.raises(AgentError, match="size: expected 0 to 48"):
            device.jobs.infer(staged, {"x": VALUES})


def test_a_newer_agent_may_say_more(
    target: Target, board: FakeBoard, model: Path, answers: Mapping[str, dict[str, Any]]
) -> None:
    more = {"newer": 1, "kernel_class": {**KERNEL_CLASS, "newer": 1}}
    board.faults.answers = {"describe": {**answers["describe"], **more}}

    assert refused(target, model) == ""
