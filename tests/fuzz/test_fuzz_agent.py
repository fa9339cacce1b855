"""Random requests against the agent's parser and operations: refused, never crashed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agent.contract.codes import BAD_REQUEST, NOT_FOUND, WIRE_VERSION, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import (
    Event,
    Fault,
    Request,
    Result,
    WireError,
    encode,
    parse_reply,
    parse_request,
)
from device_agent.session import Answer, Session, Surroundings
from device_agent.store import Store, StreamLostError
from tests.device_agent.agents import files_below

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
DIGESTS = st.sampled_from(["a" * 64, "b" * 64, "../" * 21 + "a", "", "A" * 64])
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
}
OPERATIONS = [
    *("hello", "offset", "put", "get", "drop", "has_tree", "unpack", "describe", "benchmark"),
    *("infer", "run", "fly"),
]


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_a_request_or_refused(line: bytes) -> None:
    try:
        request = parse_request(line)
    except RefusalError as refused:
        assert refused.code in (BAD_REQUEST, WIRE_VERSION)
    else:
        assert parse_request(encode(request)) == request


@settings(max_examples=2000, deadline=None)
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


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Path]]:
    root = tmp_path_factory.mktemp("fuzzed")

    def run(job: dict[str, Any], *_: object) -> dict[str, Any]:
        if job["job"] == "benchmark":
            Path(job["samples"]).write_bytes(b"")
            Path(job["end_to_end"]).write_bytes(b"")
        if job["job"] == "run":
            Path(job["answers"]).write_bytes(b"[]")
        return {"outputs": []}

    around = Surroundings(Store(str(root / "root")), run, dict, Conditions, "")
    yield Session(around), root


@settings(
    max_examples=1200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    op=st.sampled_from(OPERATIONS) | st.text(max_size=10),
    args=st.fixed_dictionaries({}, optional=FIELDS),
    stream=st.binary(max_size=300),
)
def test_every_request_is_answered_or_refused(
    session: tuple[Session, Path], op: str, args: dict[str, Any], stream: bytes
) -> None:
    handler, root = session
    left = bytearray(stream)

    def read(size: int) -> bytes:
        data = bytes(left[:size])
        del left[:size]
        return data

    try:
        answer = handler.handle(Request(1, op, args), read, lambda event: None)
    except RefusalError as refused:
        assert refused.code in (BAD_REQUEST, NOT_FOUND, "digest_mismatch", "no_space")
        assert len(str(refused)) < 1000
    except StreamLostError:
        assert op == "put"
    else:
        assert isinstance(answer, Answer)
        json.dumps(answer.result)
    assert all(path.startswith("root/store/") for path in files_below(root))
