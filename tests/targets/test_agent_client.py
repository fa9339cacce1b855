"""The host's end of the wire, against agents that are right, wrong or none."""

import contextlib
import hashlib
import io
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from targets import agent_client as client_module
from targets.agent_client import AgentClient, AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from targets.local import LocalTransport
from targets.transport import DeadlineError, UnreachableError
from tests.device_agent.agents import open_agent, put, sha256_of

CONTENT = b"some content"


@contextlib.contextmanager
def speaking(program: str) -> Iterator[AgentClient]:
    """A client of a program that is asked as if it were an agent."""
    imports = "import sys, json, time\nread = sys.stdin.readline\n"
    command = shlex.join([sys.executable, "-I", "-u", "-c", imports + program])
    client = AgentClient(LocalTransport().open("exec " + command), "board")
    try:
        yield client
    finally:
        client.close()


def line(**fields: object) -> str:
    return f"print({json.dumps({'v': 1, 'id': 1, **fields})!r})\n"


def test_an_answer_and_its_events() -> None:
    events: list[object] = []
    with speaking("read()\n" + line(event={"a": 1}) + line(result={"b": 2})) as client:
        assert client.call("x", {}, 10, events.append) == {"b": 2}
    assert events == [{"a": 1}]


def test_a_greeting_before_the_first_answer_is_passed_over() -> None:
    program = "print('Welcome to Debian'); print(); read()\n" + line(result={"b": 2})
    with speaking(program) as client:
        assert client.call("x", {}, 10) == {"b": 2}


def test_garbage_after_the_first_answer_is_not() -> None:
    program = "read()\n" + line(result={}) + "read(); print('oops')\n"
    with speaking(program) as client:
        client.call("x", {}, 10)
        with pytest.raises(AgentError, match="not an answer of a kedge agent: b'oops'") as wrong:
            client.call("x", {}, 10)
    assert wrong.value.code == "wire"
    assert wrong.value.exit_code == 7


def test_endless_garbage_is_given_up() -> None:
    with (
        speaking("while True: print('y')") as client,
        pytest.raises(AgentError, match="not an answer") as wrong,
    ):
        client.call("x", {}, 10)
    assert ".bashrc" in wrong.value.hint


def test_an_endless_line_is_given_up() -> None:
    with (
        speaking("while True: sys.stdout.write('y' * 65536)") as client,
        pytest.raises(AgentError, match="an endless line"),
    ):
        client.call("x", {}, 60)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"message": "x" * 50_000, "hint": "h" * 20_000, "traceback": "t" * 40_000}, "board: xxx"),
        ({"message": " ", "hint": "", "traceback": ""}, "refused without a reason (code 'odd')"),
    ],
)
def test_a_refusal_is_bounded_and_says_something(fields: dict[str, str], said: str) -> None:
    with (
        speaking("read()\n" + line(code="odd", **fields)) as client,
        pytest.raises(AgentError) as refused,
    ):
        client.call("x", {}, 10)
    assert said in str(refused.value)
    assert len(str(refused.value)) + len(refused.value.hint) < 5000
    assert len(refused.value.traceback) <= 20_000


def test_an_agent_that_says_no_more_that_it_works_is_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer may take an hour; an agent that worked a moment ago reports it."""
    monkeypatch.setattr(client_module, "ALIVE_TIMEOUT_S", 0.2)
    events: list[object] = []
    with (
        speaking("read()\n" + line(event={"alive": True}) + "time.sleep(60)") as client,
        pytest.raises(DeadlineError, match="silent") as hung,
    ):
        client.call("x", {}, 3600, events.append)
    assert "restart the board" in hung.value.hint
    assert events == []


def test_an_agent_of_another_wire_is_named() -> None:
    with (
        speaking("read()\n" + line(v=2, result={})) as client,
        pytest.raises(AgentError, match="the agent speaks wire version 2"),
    ):
        client.call("x", {}, 10)


def test_a_program_that_only_greets_and_ends_is_quoted() -> None:
    with (
        speaking("print('This account is currently not available.')") as client,
        pytest.raises(UnreachableError, match="last words: This account is currently not"),
    ):
        client.call("x", {}, 10)


def test_an_agent_that_crashes_is_quoted() -> None:
    with (
        speaking("read(); sys.exit('no module named zlib')") as client,
        pytest.raises(UnreachableError, match="no module named zlib") as lost,
    ):
        client.call("x", {}, 10)
    assert lost.value.exit_code == 6
    assert lost.value.hint


def test_a_silent_agent_hits_the_deadline() -> None:
    with speaking("time.sleep(60)") as client, pytest.raises(DeadlineError, match="silent"):
        client.call("x", {}, 0.3)


@pytest.mark.parametrize("more", [{"event": {"phase": "still at it"}}, {"id": 9, "result": {}}])
def test_endless_events_and_late_answers_end_at_the_deadline(more: dict[str, object]) -> None:
    program = "read()\nwhile True:\n  " + line(**more)
    with speaking(program) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineError, match="did not answer within 1 s") as late:
            client.call("x", {}, 1)
    assert time.monotonic() - began < 30
    assert late.value.hint


def test_a_file_that_drips_in_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TRANSFER_TIMEOUT_S", 0.5)
    drip = "while True: sys.stdout.write('a'); sys.stdout.flush(); time.sleep(0.05)"
    with (
        speaking("read()\n" + line(result={"size": 1000}) + drip) as client,
        pytest.raises(DeadlineError),
    ):
        client.get(sha256_of(b"good"), 1000)


@pytest.mark.parametrize("size", [4, 5_000_000], ids=["at its end", "in its middle"])
def test_an_agent_that_falls_silent_in_a_file_is_hung(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    assert client_module.TRANSFER_TIMEOUT_S <= 60
    monkeypatch.setattr(client_module, "TRANSFER_TIMEOUT_S", 0.5)
    program = "read()\n" + line(result={"path": "", "offset": 0}) + "time.sleep(60)"
    began = time.monotonic()
    with speaking(program) as client, pytest.raises(DeadlineError, match="silent") as hung:
        client.put(io.BytesIO(bytes(size)), "a" * 64, size)
    assert time.monotonic() - began < 30
    assert "restart the board" in hung.value.hint


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    program = "read(); read()\n" + line(result={"late": 1}) + line(id=2, result={"right": 1})
    with speaking(program) as client:
        with pytest.raises(DeadlineError):
            client.call("x", {}, 0.2)
        assert client.call("y", {}, 10) == {"right": 1}


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("digest_mismatch", IntegrityError, 5),
        ("unsafe_root", BoardDiskError, 6),
        ("busy", AgentError, 7),
        ("internal", AgentError, 7),
        ("a_new_code", AgentError, 7),
    ],
)
def test_a_refusal_has_its_exception(code: str, kind: type[Exception], exit_code: int) -> None:
    fault = line(code=code, message="it says why", hint="do this", traceback="there")
    with speaking("read()\n" + fault) as client, pytest.raises(kind) as refused:
        client.call("x", {}, 10)

    assert "board: it says why" in str(refused.value)
    assert getattr(refused.value, "hint", None) == "do this"
    assert getattr(refused.value, "exit_code", None) == exit_code
    if isinstance(refused.value, AgentError):
        assert (refused.value.code, refused.value.traceback) == (code, "there")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [("no_space", "its disk is full"), ("read_only", "its disk cannot be written")],
)
def test_a_disk_that_takes_nothing_has_one_message(code: str, meaning: str) -> None:
    fault = line(code=code, message="0 bytes are free", hint="")
    with speaking("read()\n" + fault) as client, pytest.raises(BoardDiskError) as refused:
        client.call("x", {}, 10)
    assert str(refused.value) == f"board: {meaning}: 0 bytes are free"
    assert refused.value.code == code
    assert "kedge target set board root=FOLDER" in refused.value.hint


def test_a_file_of_another_digest_is_not_taken() -> None:
    program = "read()\n" + line(result={"size": 4}) + "sys.stdout.write('evil')"
    with (
        speaking(program) as client,
        pytest.raises(IntegrityError, match="does not have the digest") as wrong,
    ):
        client.get(sha256_of(b"good"))
    assert wrong.value.hint


def test_a_file_that_ends_early_is_told() -> None:
    program = "read()\n" + line(result={"size": 4}) + "sys.stdout.write('ev')"
    with speaking(program) as client, pytest.raises(UnreachableError, match="ended"):
        client.get(sha256_of(b"good"))


def test_wrong_bytes_are_an_integrity_error(tmp_path: Path) -> None:
    with open_agent(tmp_path / "root") as client:
        with pytest.raises(IntegrityError, match="announced .* received"):
            client.put(io.BytesIO(b"evil"), sha256_of(b"good"), 4)

        assert client.get(put(client, b"good")) == b"good"  # the wire is in step


def test_a_damaged_rest_of_an_earlier_push_is_sent_anew(tmp_path: Path) -> None:
    partial = tmp_path / "root/store/partial" / sha256_of(CONTENT)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(5))  # as a power cut may leave it
    with open_agent(tmp_path / "root") as client:
        assert client.get(put(client, CONTENT)) == CONTENT


def test_a_file_that_shrinks_meanwhile_is_told_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        open_agent(tmp_path / "root") as client,
        pytest.raises(TargetError, match="became shorter while it was sent"),
    ):
        client.put(io.BytesIO(CONTENT), sha256_of(CONTENT * 2), 2 * len(CONTENT))
    assert time.monotonic() - began < 40  # where it waits for the rest: a minute


def test_a_file_that_grows_meanwhile_is_sent_as_announced(tmp_path: Path) -> None:
    with open_agent(tmp_path / "root") as client:
        client.put(io.BytesIO(CONTENT + b"more"), sha256_of(CONTENT), len(CONTENT))

        assert client.get(sha256_of(CONTENT)) == CONTENT


def test_progress_is_told_as_bytes_leave(tmp_path: Path) -> None:
    content = bytes(200_000)
    told: list[tuple[int, int]] = []
    with open_agent(tmp_path / "root") as client:
        digest = hashlib.sha256(content).hexdigest()
        client.put(io.BytesIO(content), digest, len(content), lambda *done: told.append(done))

    assert told[-1] == (200_000, 200_000)
    assert told == sorted(told)
    assert len(told) == -(-200_000 // client_module.CHUNK_BYTES)
