"""What each operation accepts, and that every wrong argument is refused as the host's fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import BAD_REQUEST, BUSY, NOT_FOUND, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import Request
from device_agent.job_fields import Job
from device_agent.operations.call import Answer, BoardAccess
from device_agent.session import OPERATIONS, AgentSession
from device_agent.store.store import Store
from tests.device_agent.agents import files_below, sha256_of

MODEL = b"a model"
SHA256 = sha256_of(MODEL)
TREE = "a" * 64

RUN = {"tree": "", "runtime": "ai-edge-litert", "timeout_s": 5, "model": SHA256, "threads": 1}
#: Arguments that each operation accepts.
RIGHT: dict[str, dict[str, Any]] = {
    "hello": {},
    "stop": {},
    "reserve": {"who": "me@host", "timeout_s": 0},
    "offset": {"sha256": SHA256, "size": 7},
    "put": {"sha256": SHA256, "size": 7, "offset": 7},
    "get": {"sha256": SHA256},
    "drop": {"sha256": ["b" * 64]},
    "has_tree": {"tree": TREE},
    "unpack": {"tree": TREE, "wheels": [SHA256]},
    "describe": {
        "tree": "",
        "runtime": "ai-edge-litert",
        "timeout_s": 5,
        "delegate": "",
        "allow_cpu": False,
        "cores": [],
    },
    "profile": {
        "tree": "",
        "runtime": "ai-edge-litert",
        "timeout_s": 5,
        "model": SHA256,
        "duration_s": 1,
    },
    "benchmark": {
        **RUN,
        "warmup_s": 0,
        "duration_s": 1,
        "seed": 0,
        "period_ns": 0,
        "soak": False,
    },  # fmt: skip
    "streams": {**RUN, "warmup_s": 0, "duration_s": 1, "seed": 0, "streams": 2},
    "infer": {**RUN, "inputs": [{"name": "x", "dtype": "int8", "sha256": SHA256}]},
    "run": {
        **RUN,
        "card": {"schema": 1},
        "samples": [
            {"inputs": [{"name": "x", "dtype": "int8", "sha256": SHA256, "shape": [1, 4]}]}
        ],
        "keep_outputs": False,
    },
}
RIGHT.update(
    {
        "releases": {},
        "missing": {"sha256": [SHA256], "sizes": [7]},
        "stage": {"manifest": "{}", "signatures": [], "variant": "cpu", "epoch": 1},
        "activate": {
            **{"order": "{}", "signatures": [], "epoch": 1},
            **{"deadline_s": 60, "hooks": False},
        },
        "health": {"app": "sorter"},
        "confirm": {"app": "sorter", "release": SHA256, "order": SHA256, "epoch": 1},
        "revert": {"app": "sorter", "release": SHA256, "reason": "slow", "epoch": 1},
        "release_log": {"after": 0},
        "collect": {"epoch": 1, "pinned": []},
        "patch": {
            **{"target": SHA256, "size": 7, "base": "", "delta": SHA256},
            "algorithm": "none",
        },
        "trust": {"root": "{}", "signatures": []},
        "trust_root": {},
    }
)
TEXT = [None, 7, ["a"], {}]
DIGEST = [*TEXT, "", "../../etc/passwd"]
COUNT = [None, "7", -1, 1.5, True, 1 << 63, [1]]
SECONDS = [None, "7", -1, True, 86401, float("nan"), float("inf"), [1]]
WRONG = {
    "sha256": DIGEST,
    "size": COUNT,
    "offset": COUNT,
    "tree": [*TEXT, "../x"],
    "runtime": TEXT,
    "who": TEXT,
    "model": DIGEST,
    "wheels": [None, "a", [7], {"a": 1}, ["../x"]],
    "inputs": [None, "x", {}, ["x"], [{}], [{"name": 1}], [{"name": "x", "dtype": "int8"}]],
    "timeout_s": SECONDS,
    "warmup_s": SECONDS,
    "duration_s": SECONDS,
    "threads": [*COUNT, 0, 100_000],
    "seed": [*COUNT, 1 << 32],
    "period_ns": COUNT,
    "streams": [*COUNT, 0, 65],
    "soak": [None, 0, 1, "yes"],
    "card": [None, [], "x", {}, {"schema": 2}, {"schema": 1, "x": 1}, {"schema": 1, "inputs": 7}],
    "samples": [
        *(None, "x", {}, ["x"], [{}], [{"inputs": "x"}]),
        [{"inputs": [{"name": "x", "dtype": "int8", "sha256": SHA256}]}],
        [{"inputs": [{"name": "x", "dtype": "int8", "sha256": SHA256, "shape": [1.5]}]}],
        [{"inputs": [{"name": "x", "dtype": "int8", "sha256": SHA256, "shape": [True]}]}],
    ],
    "keep_outputs": [None, 0, 1, "yes"],
    "delegate": TEXT,
    "allow_cpu": [None, 0, 1, "yes"],
    "cores": [None, "0", 0, ["0"], [True], [1.5]],
    "sizes": [None, "7", ["7"], [1.5], [-1], [1, 2]],
    "manifest": TEXT,
    "order": TEXT,
    "root": TEXT,
    "reason": TEXT,
    "variant": TEXT,
    "signatures": [None, "x", [7], {}],
    "epoch": COUNT,
    "deadline_s": [*COUNT, 0, 86401],
    "hooks": [None, 0, 1, "yes"],
    "app": [*TEXT, "", "../../etc", "A B", "a" * 64, "a/b"],
    "release": DIGEST,
    "after": COUNT,
    "pinned": [None, "x", [7], {}],
    "target": DIGEST,
    "delta": DIGEST,
    "base": TEXT,
    "algorithm": TEXT,
}


class Jobs:
    """Stands where the agent starts processes."""

    def __init__(self) -> None:
        self.seen: list[Job] = []

    def run(
        self, job: Job, timeout_s: float, emit: object, tick: Callable[[], None]
    ) -> dict[str, Any]:
        self.seen.append(job)
        tick()
        if job.kind == "benchmark":
            Path(job.samples_path).write_bytes(b"12345678")
            Path(job.end_to_end_path).write_bytes(b"abcdefgh")
            return {"sample_count": 1}
        if job.kind == "streams":
            for number in range(job.streams):
                own = job._replace(folder=f"{job.folder}/{number}")
                Path(own.folder).mkdir()
                Path(own.samples_path).write_bytes(b"samples%d" % number)
                Path(own.end_to_end_path).write_bytes(b"abcdefgh")
            return {"streams": [{"sample_count": 1} for _ in range(job.streams)]}
        if job.kind == "run":
            Path(job.answers).write_bytes(b"[]")
            return {"outputs": []}
        if job.kind == "infer":
            for number in (0, 1):
                Path(f"{job.outputs}.{number}").write_bytes(b"same")
            return {"outputs": [{"path": f"{job.outputs}.{number}"} for number in (0, 1)]}
        return {"kernel_class": {}}


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def session(tmp_path: Path, jobs: Jobs) -> AgentSession:
    store = Store(str(tmp_path / "root"))
    store.uploads.receive(SHA256, len(MODEL), 0, lambda size: MODEL)
    around = BoardAccess(store, jobs.run, lambda: {"cores": 4}, Conditions, "its digest")
    return AgentSession(around)


def ask(session: AgentSession, op: str, args: dict[str, Any]) -> Answer:
    return session.handle(Request(1, op, args), lambda size: b"", lambda event: None)


def wrong_values(op: str, field: str) -> list[Any]:
    if (op, field) == ("drop", "sha256"):
        return [None, "x", [7], ["../x"]]
    if (op, field) in (("missing", "sha256"), ("confirm", "order")):
        return [None, "x", [7], {}]
    return WRONG[field]


def test_the_table_names_every_operation(session: AgentSession) -> None:
    assert set(RIGHT) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("op", "field", "value"),
    [
        pytest.param(op, field, value, id=f"{op}-{field}-{value!r}")
        for op, args in RIGHT.items()
        for field in args
        for value in wrong_values(op, field)
    ],
)
def test_a_wrong_argument_is_refused(
    session: AgentSession, jobs: Jobs, tmp_path: Path, op: str, field: str, value: object
) -> None:
    before = files_below(tmp_path)

    with pytest.raises(RefusalError) as refused:
        ask(session, op, {**RIGHT[op], field: value})

    assert refused.value.code == BAD_REQUEST
    nested = field in ("inputs", "samples")
    assert field in str(refused.value) or "digest" in str(refused.value) or nested
    assert jobs.seen == []
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("op", ["", "Hello", "__class__", "fly\n", "\ud800" * 500])
def test_an_unknown_operation_is_refused(session: AgentSession, op: str) -> None:
    with pytest.raises(RefusalError, match="unknown operation") as refused:
        ask(session, op, {})

    assert refused.value.code == BAD_REQUEST
    assert len(str(refused.value)) < 1000


def test_a_deep_argument_is_refused_in_few_words(session: AgentSession) -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]

    with pytest.raises(RefusalError) as refused:
        ask(session, "get", {"sha256": deep})

    assert len(str(refused.value)) < 200


def test_an_offset_behind_the_end_is_refused(session: AgentSession) -> None:
    with pytest.raises(RefusalError, match="behind the end") as refused:
        ask(session, "put", {"sha256": SHA256, "size": 7, "offset": 8})

    assert refused.value.code == BAD_REQUEST


def test_hello_tells_the_facts_and_the_agent(session: AgentSession) -> None:
    told = ask(session, "hello", {}).result
    assert told.pop("boot_id") == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert told == {"cores": 4, "agent_sha256": "its digest"}


def test_a_file_follows_its_size(session: AgentSession) -> None:
    answer = ask(session, "get", {"sha256": SHA256})

    assert answer.result == {"size": len(MODEL)}
    assert answer.body is not None
    assert Path(answer.body).read_bytes() == MODEL


def test_a_benchmark_hands_over_paths_and_leaves_three_files(
    session: AgentSession, jobs: Jobs, tmp_path: Path
) -> None:
    result = ask(session, "benchmark", RIGHT["benchmark"]).result

    assert jobs.seen[0].model.endswith("/scratch/" + SHA256)
    assert result["run"] == {
        "sample_count": 1,
        "samples": sha256_of(b"12345678"),
        "end_to_end": sha256_of(b"abcdefgh"),
        "series": {},
    }
    conditions = tmp_path / "root/store/scratch" / result["conditions"]
    assert len(json.loads(conditions.read_bytes())) == 3  # before, at the tick, after
    assert len(files_below(tmp_path)) == 4


def test_processes_at_once_leave_the_files_of_each(session: AgentSession, tmp_path: Path) -> None:
    result = ask(session, "streams", RIGHT["streams"]).result

    assert [run["samples"] for run in result["runs"]] == [
        sha256_of(b"samples0"),
        sha256_of(b"samples1"),
    ]
    assert (tmp_path / "root/store/scratch" / result["conditions"]).exists()
    with pytest.raises(RefusalError, match="streams"):
        ask(session, "streams", {**RIGHT["streams"], "streams": 65})


def test_the_board_is_one_hosts_until_it_leaves(session: AgentSession, tmp_path: Path) -> None:
    ask(session, "reserve", RIGHT["reserve"])
    ask(session, "reserve", RIGHT["reserve"])  # it has it already
    store = Store(str(tmp_path / "root"))
    other = AgentSession(BoardAccess(store, Jobs().run, dict, Conditions, ""))

    with pytest.raises(RefusalError, match="me@host is using this board") as refused:
        ask(other, "reserve", {"who": "you", "timeout_s": 0})
    assert refused.value.code == BUSY


def test_hours_of_conditions_do_not_outgrow_a_line(tmp_path: Path) -> None:
    def run(job: Job, timeout_s: float, emit: object, tick: Callable[[], None]) -> dict[str, Any]:
        for _ in range(7200):
            tick()
        Path(job.samples_path).write_bytes(b"")
        Path(job.end_to_end_path).write_bytes(b"")
        return {}

    store = Store(str(tmp_path / "root"))
    store.uploads.receive(SHA256, len(MODEL), 0, lambda size: MODEL)
    session = AgentSession(BoardAccess(store, run, dict, Conditions, ""))

    answer = ask(session, "benchmark", RIGHT["benchmark"])

    assert len(json.dumps(answer.result)) < 1000


def test_two_equal_outputs_are_one_file(session: AgentSession, tmp_path: Path) -> None:
    outputs = ask(session, "infer", RIGHT["infer"]).result["outputs"]

    assert [entry["sha256"] for entry in outputs] == [sha256_of(b"same")] * 2
    assert all("path" not in entry for entry in outputs)


@pytest.mark.parametrize("op", ["benchmark", "infer"])
def test_a_model_that_is_not_there_is_named(session: AgentSession, jobs: Jobs, op: str) -> None:
    with pytest.raises(RefusalError, match="b" * 64) as refused:
        ask(session, op, {**RIGHT[op], "model": "b" * 64})

    assert refused.value.code == NOT_FOUND
    assert jobs.seen == []


def test_a_runtime_that_is_not_there_is_named(session: AgentSession, jobs: Jobs) -> None:
    with pytest.raises(RefusalError, match="the board has no runtime") as refused:
        ask(session, "describe", {**RIGHT["describe"], "tree": "b" * 64})

    assert refused.value.code == NOT_FOUND
    assert jobs.seen == []
