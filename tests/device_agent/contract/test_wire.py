"""Lines in, messages out, and the refusal of everything else."""

import json

import pytest

from device_agent.contract.codes import BAD_REQUEST, WIRE_VERSION, RefusalError
from device_agent.contract.wire import (
    MAX_LINE_BYTES,
    VERSION,
    Event,
    Fault,
    NotAMessageError,
    Request,
    Result,
    WireError,
    encode,
    parse_reply,
    parse_request,
)


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "reply",
    [
        Result(1, {"path": "/a b/\u00fc"}),
        Fault(2, "busy", "wait\nfor it", "hint", "trace"),
        Event(3, {"done": 1}),
    ],
)
def test_a_reply_arrives_as_it_was_sent(reply: Result | Fault | Event) -> None:
    sent = encode(reply)

    assert parse_reply(sent) == reply
    assert sent.count(b"\n") == 1
    assert sent.endswith(b"\n")
    assert sent.isascii()


def test_a_request_arrives_as_it_was_sent() -> None:
    request = Request(7, "put", {"size": 1 << 40, "name": "\u2028\n"})

    assert parse_request(encode(request)) == request


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\n",
        b"hello",
        b"[]",
        b"null",
        b"17",
        b'"text"',
        b"\xff\xfe",
        b"{",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b" " * (MAX_LINE_BYTES + 1),
        line(v=VERSION),
        line(v=VERSION, id="1", op="hello", args={}),
        line(v=VERSION, id=1, op=7, args={}),
        line(v=VERSION, id=1, op="hello", args=[]),
        line(v=VERSION, id=None, op="hello", args={}),
        line(v=VERSION, id=1.5, op="hello", args={}),
    ],
    ids=lambda garbage: repr(garbage[:30]),
)
def test_what_is_no_request_is_refused(garbage: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        parse_request(garbage)

    assert refused.value.code == BAD_REQUEST


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None, 1.5])
def test_another_version_is_refused_by_its_own_code(version: object) -> None:
    with pytest.raises(RefusalError, match="speaks wire version 1") as refused:
        parse_request(line(v=version, id=1, op="hello", args={}))

    assert refused.value.code == WIRE_VERSION
    assert "same kedge version" in refused.value.hint


@pytest.mark.parametrize("garbage", [b"Welcome to Debian", b"", b"[1]", b'{"v": 1}', b"\xff"])
def test_what_a_login_shell_prints_is_no_message(garbage: bytes) -> None:
    with pytest.raises(NotAMessageError, match="not an answer of a kedge agent"):
        parse_reply(garbage)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (line(v=2, id=1, result={}), "wire version 2"),
        (line(id=1, result={}), "wire version None"),
        (line(v=VERSION, id=1), "neither a result"),
        (line(v=VERSION, id=1, result=[]), "neither a result"),
        (line(v=VERSION, id=1, code=5), "neither a result"),
    ],
)
def test_a_broken_agent_is_named(reply: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said) as broken:
        parse_reply(reply)

    assert not isinstance(broken.value, NotAMessageError)


def test_a_message_longer_than_a_line_is_not_sent() -> None:
    with pytest.raises(WireError, match="longer than a line may be"):
        encode(Result(1, {"samples": "x" * MAX_LINE_BYTES}))
