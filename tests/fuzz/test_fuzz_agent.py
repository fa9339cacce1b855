"""10,000 random lines against the agent's parser and operations: refused, never crashed."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent import signatures
from device_agent.contract.codes import BAD_REQUEST, NOT_FOUND, WIRE_VERSION, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import (
    Event,
    Fault,
    Result,
    WireError,
    encode,
    parse_reply,
    parse_request,
)
from device_agent.job_fields import Job, job_to_json
from device_agent.operations.call import Answer, BoardAccess
from device_agent.releases import board_state
from device_agent.session import OPERATIONS, AgentSession
from device_agent.store.receive import StreamLostError
from device_agent.store.store import Store
from tests.device_agent.agents import files_below, sha256_of
from tests.tiny_model import relu_model

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
MODEL = relu_model()
MODEL_SHA256 = sha256_of(MODEL)
DIGESTS = st.sampled_from([MODEL_SHA256, "a" * 64, "b" * 64, "../" * 21 + "a", "", "A" * 64])
TENSORS = st.lists(st.dictionaries(st.sampled_from(["name", "dtype", "sha256", "shape"]), JSON))
CARD_VALUES = st.sampled_from(["image", "array", "raw", "classification", "softmax"]) | JSON
CARD_KEYS = st.sampled_from(["kind", "task", "height", "width", "mean", "std", "top_k", "labels"])
CARDS = st.fixed_dictionaries(
    {"schema": st.just(1)},
    optional={
        side: st.dictionaries(st.text(max_size=3), st.dictionaries(CARD_KEYS, CARD_VALUES))
        for side in ("inputs", "outputs")
    },
)
RECORDS = st.dictionaries(st.text(max_size=8), JSON, max_size=3).map(json.dumps) | JSON
FIELDS = {
    "sha256": DIGESTS | st.lists(DIGESTS, max_size=3) | JSON,
    "tree": DIGESTS | JSON,
    "model": DIGESTS | JSON,
    "wheels": st.lists(DIGESTS, max_size=3) | JSON,
    "size": st.integers(-2, 4000) | JSON,
    "offset": st.integers(-2, 4000) | JSON,
    "runtime": st.sampled_from(["ai-edge-litert", "x"]) | JSON,
    "inputs": TENSORS | JSON,
    "threads": st.integers(-1, 3) | JSON,
    "seed": st.integers(-1, 3) | JSON,
    "warmup_s": st.floats() | JSON,
    "duration_s": st.floats() | JSON,
    "timeout_s": st.floats() | JSON,
    "card": CARDS | JSON,
    "samples": st.lists(st.fixed_dictionaries({"inputs": TENSORS | JSON}), max_size=3) | JSON,
    "keep_outputs": st.booleans() | JSON,
    "period_ns": st.integers(-1, 1 << 63) | JSON,
    "soak": st.booleans() | JSON,
    "streams": st.integers(-1, 70) | JSON,
    "delegate": st.sampled_from(["", "edgetpu", "/lib/x.so"]) | JSON,
    "allow_cpu": st.booleans() | JSON,
    "cores": st.lists(st.integers(-1, 1 << 70), max_size=3) | JSON,
    "keep": st.lists(DIGESTS, max_size=3) | JSON,
    "who": st.text(max_size=20) | JSON,
    "sizes": st.lists(st.integers(-1, 4000), max_size=3) | JSON,
    "manifest": RECORDS,
    "order": RECORDS | DIGESTS,
    "root": RECORDS,
    "signatures": st.lists(st.text(max_size=20), max_size=3) | JSON,
    "variant": st.text(max_size=20) | JSON,
    "reason": st.text(max_size=20) | JSON,
    "app": st.sampled_from(["sorter", "../x", "A"]) | JSON,
    "release": DIGESTS | JSON,
    "epoch": st.integers(-1, 3) | JSON,
    "deadline_s": st.integers(-1, 90000) | JSON,
    "hooks": st.booleans() | JSON,
    "after": st.integers(-1, 3) | JSON,
    "pinned": st.lists(DIGESTS, max_size=3) | JSON,
    "target": DIGESTS | JSON,
    "base": DIGESTS | JSON,
    "delta": DIGESTS | JSON,
    "algorithm": st.sampled_from(["xz", "patch-xz", "x"]) | JSON,
}
#: What is right where most of the above is wrong.
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "tree": st.just(""),
    "runtime": st.just("ai-edge-litert"),
    "model": st.just(MODEL_SHA256),
    "delegate": st.just(""),
    "cores": st.just([]),
    "timeout_s": st.just(1),
    "duration_s": st.just(0.5),
    "warmup_s": st.just(0.5),
    "seed": st.just(0),
    "period_ns": st.just(1000),
    "inputs": st.just([{"name": "x", "dtype": "int8", "sha256": MODEL_SHA256}]),
}
#: What each operation reads, so that a request gets further than its first missing field.
JOB = ("tree", "runtime", "delegate", "allow_cpu", "cores", "timeout_s")
READS = {
    "hello": (),
    "reserve": ("who", "timeout_s"),
    "offset": ("sha256", "size"),
    "put": ("sha256", "size", "offset"),
    "get": ("sha256",),
    "drop": ("sha256",),
    "has_tree": ("tree",),
    "unpack": ("tree", "wheels", "keep"),
    "describe": JOB,
    "profile": (*JOB, "model", "duration_s"),
    "benchmark": (*JOB, "model", "threads", "warmup_s", "duration_s", "seed", "period_ns", "soak"),
    "streams": (*JOB, "model", "threads", "warmup_s", "duration_s", "seed", "streams"),
    "stop": (),
    "infer": (*JOB, "model", "threads", "inputs"),
    "run": (*JOB, "model", "threads", "card", "samples", "keep_outputs"),
    "patch": ("target", "size", "base", "delta", "algorithm"),
    "releases": (),
    "missing": ("sha256", "sizes"),
    "stage": ("manifest", "signatures", "variant", "epoch"),
    "activate": ("order", "signatures", "epoch", "deadline_s", "hooks"),
    "health": ("app",),
    "confirm": ("app", "release", "order", "epoch"),
    "revert": ("app", "release", "reason", "epoch"),
    "collect": ("epoch", "pinned"),
    "release_log": ("after",),
    "trust": ("root", "signatures"),
    "trust_root": (),
    "fly": ("who",),
}


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_a_request_or_refused(line: bytes) -> None:
    try:
        request = parse_request(line)
    except RefusalError as refused:
        assert refused.code in (BAD_REQUEST, WIRE_VERSION)
    else:
        assert parse_request(encode(request)) == request


@settings(max_examples=1500, deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={"v": st.just(1) | JSON, "id": JSON, "op": JSON, "args": JSON, "x": JSON}
    )
)
def test_objects_are_a_request_or_refused(fields: dict[str, Any]) -> None:
    try:
        request = parse_request(json.dumps(fields).encode())
    except RefusalError as refused:
        assert refused.code in (BAD_REQUEST, WIRE_VERSION)
    else:
        assert isinstance(request.id, int)
        assert isinstance(request.op, str)
        assert isinstance(request.args, dict)


@settings(max_examples=1000, deadline=None)
@given(
    st.binary(max_size=200)
    | st.fixed_dictionaries(
        {"v": st.just(1) | JSON, "id": st.integers() | JSON},
        optional={"result": JSON, "event": JSON, "code": JSON, "message": JSON, "hint": JSON},
    )
)
def test_anything_is_a_reply_or_a_wire_error(said: bytes | dict[str, Any]) -> None:
    line = said if isinstance(said, bytes) else json.dumps(said).encode()
    try:
        reply = parse_reply(line)
    except WireError as error:
        assert len(str(error)) < 2000
    else:
        assert isinstance(reply, Result | Fault | Event)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request with most of what its operation reads, each right or wrong, and one more."""
    op = draw(st.sampled_from(sorted(READS)))
    names = [name for name in READS[op] if draw(st.integers(0, 7))]
    names.append(draw(st.sampled_from(sorted(FIELDS))))
    args = {name: draw(GOOD.get(name, FIELDS[name]) | FIELDS[name]) for name in names}
    return {"v": 1, "id": draw(st.integers(0, 99)), "op": op, "args": args}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[AgentSession, Path]:
    root = tmp_path_factory.mktemp("fuzzed")
    store = Store(str(root / "root"))
    store.uploads.receive(MODEL_SHA256, len(MODEL), 0, io.BytesIO(MODEL).read)

    def run(job: Job, *_: object) -> dict[str, Any]:
        json.dumps(job_to_json(job))
        if job.kind == "benchmark":
            Path(job.samples_path).write_bytes(b"[]")
            Path(job.end_to_end_path).write_bytes(b"[]")
        if job.kind == "streams":
            return {"streams": []}
        if job.kind == "run":
            Path(job.answers).write_bytes(b"[]")
        return {"outputs": []}

    return AgentSession(BoardAccess(store, run, dict, Conditions, "")), root


@pytest.fixture
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests need not search the computer each time, nor wait for its disk."""
    verifier = signatures.find_verifier()
    monkeypatch.setattr(board_state, "find_verifier", lambda: verifier)
    monkeypatch.setattr(board_state, "find_recovery", lambda _: "")
    monkeypatch.setattr(os, "fsync", lambda _: None)


REFUSALS = {BAD_REQUEST, NOT_FOUND, "digest_mismatch", "no_space"}
#: Refusals of a board that trusts nobody, of a replaced controller, and without a trial.
REFUSALS |= {"untrusted", "stale_epoch", "on_trial"}


@settings(max_examples=5500, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=requests(), stream=st.binary(max_size=100))
@pytest.mark.usefixtures("quick_look")
def test_every_request_is_answered_or_refused(
    session: tuple[AgentSession, Path], asked: dict[str, Any], stream: bytes
) -> None:
    handler, root = session
    source = io.BytesIO(stream)
    try:
        request = parse_request(json.dumps(asked).encode())
        answer = handler.handle(request, source.read, lambda event: None)
    except RefusalError as refused:
        assert refused.code in REFUSALS
        assert len(str(refused)) < 1000
    except StreamLostError:
        assert asked["op"] == "put"
    else:
        assert isinstance(answer, Answer)
        json.dumps(answer.result)
    assert [path.name for path in root.iterdir()] == ["root"]
    assert {path.name for path in (root / "root").iterdir()} <= {"store"}


def test_what_was_fuzzed_is_every_operation(session: tuple[AgentSession, Path]) -> None:
    handler, root = session
    assert set(READS) - {"fly"} == set(OPERATIONS)
    assert all(path.startswith("root/store/") for path in files_below(root))
