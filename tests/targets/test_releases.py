"""The host side of the releases of a board: answers are bounded, refusals keep their code."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.release_state import AppState, BoardReleases, TrialState
from device_agent.contract.trust_root import TrustRoot, encode_root
from targets.agent_client import WIRE_CODE, AgentClient, AgentError
from targets.errors import TargetError
from targets.releases import MOST_HOOK_OUTPUT, Releases
from tests.fake_board import FakeBoard

A, B, C = (digit * 64 for digit in "abc")
MANIFEST = b'{"app":"door"}\n'
RELEASE = hashlib.sha256(MANIFEST).hexdigest()
TRIAL = TrialState(A, B, C, 7, 12.5, activated=True)
APP = AppState(B, A, "1.2", "cpu_int8", 1.5, C, 3, 4, 2, "activate", "", TRIAL)
STATE = BoardReleases({"door": APP}, "farm", 2, 7, "OpenSSH_9.2", "", "cron", 1 << 30, "boot-1")

ROOT = TrustRoot("farm", 2, 1, ["ann ssh-ed25519 AAAA"])
ROOT_TEXT = encode_root(ROOT)

ANSWERS: dict[str, dict[str, Any]] = {
    "releases": asdict(STATE),
    "missing": {"missing": [A], "bases": []},
    "stage": {"release": RELEASE},
    "activate": {"state": asdict(APP)},
    "health": {"exit_code": 0, "output": "well", "duration_ms": 12},
    "confirm": {"state": asdict(APP)},
    "revert": {"state": asdict(APP)},
    "collect": {"removed": 3, "freed_bytes": 1 << 20},
    "release_log": {"entries": [{"event": "activate"}]},
    "trust": {"version": 2},
    "trust_root": {"root": ROOT_TEXT.decode()},
}

CALLS: dict[str, Callable[[Releases], Any]] = {
    "releases": Releases.state,
    "missing": lambda releases: releases.missing({A: 10, B: 20}),
    "stage": lambda releases: releases.stage(MANIFEST, [b"signature"], "cpu_int8", 7),
    "activate": lambda releases: releases.activate(b"{}\n", [b"signature"], 7, 60, hooks=False),
    "health": lambda releases: releases.health("door"),
    "confirm": lambda releases: releases.confirm("door", B, C, 7),
    "revert": lambda releases: releases.revert("door", B, "too slow", 7),
    "collect": lambda releases: releases.collect(7, [A]),
    "release_log": lambda releases: releases.log(0),
    "trust": lambda releases: releases.trust(b"{}\n", []),
    "trust_root": Releases.trust_root,
}

ODD = [
    None,
    True,
    -1,
    1.5,
    1 << 63,
    "odd\ud800",
    "x" * 5000,
    [],
    [[]],
    [1],
    {},
    {"a": {}},
    ["d" * 64],
]


@pytest.fixture
def board(tmp_path: Path) -> FakeBoard:
    board = FakeBoard(tmp_path / "board")
    board.faults.answers = dict(ANSWERS)
    return board


@pytest.fixture
def releases(board: FakeBoard) -> Releases:
    return Releases(AgentClient(board.connect().open(" serve "), "fake"))


def test_answers_are_read_as_records(releases: Releases) -> None:
    assert releases.state() == STATE
    assert CALLS["activate"](releases) == APP
    assert CALLS["missing"](releases) == {A}
    assert CALLS["stage"](releases) == RELEASE
    assert CALLS["health"](releases).exit_code == 0
    assert CALLS["collect"](releases).freed_bytes == 1 << 20
    assert CALLS["release_log"](releases) == ({"event": "activate"},)
    assert CALLS["trust"](releases) == 2
    assert CALLS["trust_root"](releases) == ROOT
    assert CALLS["confirm"](releases) == APP
    assert CALLS["revert"](releases) == APP


@pytest.mark.parametrize("op", sorted(ANSWERS))
def test_an_answer_of_another_form_is_the_boards_error(
    op: str, board: FakeBoard, releases: Releases
) -> None:
    refusals = 0
    for path in _paths(ANSWERS[op]):
        for odd in ODD:
            board.faults.answers = {op: _with(ANSWERS[op], path, odd)}
            try:
                CALLS[op](releases)
            except AgentError as error:
                assert error.code == WIRE_CODE
                assert error.hint
                refusals += 1
    assert refusals


@pytest.mark.parametrize(
    ("op", "answer"),
    [
        ("releases", {**asdict(STATE), "apps": {"../../etc": asdict(APP)}}),
        ("releases", {**asdict(STATE), "apps": {f"a{n}": asdict(APP) for n in range(1001)}}),
        ("releases", {**asdict(STATE), "fleet": "a fleet"}),
        ("releases", {**asdict(STATE), "epoch": -1}),
        ("releases", {**asdict(STATE), "verifier": "v" * 3000}),
        ("activate", {"state": {**asdict(APP), "current": "short"}}),
        ("activate", {"state": {**asdict(APP), "trial": {**asdict(TRIAL), "release": ""}}}),
        ("missing", {"missing": [C]}),
        ("stage", {"release": A}),
        ("health", {"exit_code": 4000, "output": "", "duration_ms": 1}),
        ("release_log", {"entries": [{}] * 10_001}),
    ],
)
def test_implausible_values_are_refused(
    op: str, answer: dict[str, Any], board: FakeBoard, releases: Releases
) -> None:
    board.faults.answers = {op: answer}
    with pytest.raises(AgentError, match="another form"):
        CALLS[op](releases)


def test_output_of_a_hook_is_bounded(board: FakeBoard, releases: Releases) -> None:
    board.faults.answers = {"health": {"exit_code": 1, "output": "x" * 9000, "duration_ms": 3}}
    assert len(releases.health("door").output) == MOST_HOOK_OUTPUT


@pytest.mark.parametrize(
    ("code", "kind"), [("untrusted", AgentError), ("digest_mismatch", IntegrityError)]
)
def test_a_refusal_keeps_its_code(
    code: str, kind: type[Exception], board: FakeBoard, releases: Releases
) -> None:
    fault = {"v": 1, "id": 1, "code": code, "message": "no", "hint": "Do.", "traceback": ""}
    board.faults.answers = {"trust": json.dumps(fault).encode()}
    with pytest.raises(kind) as refusal:
        CALLS["trust"](releases)
    assert getattr(refusal.value, "code", code) == code


def test_a_manifest_longer_than_a_message_is_refused_before_it_is_sent(releases: Releases) -> None:
    with pytest.raises(TargetError, match="too long") as refusal:
        releases.stage(b'"' * (1 << 20), [], "cpu_int8", 7)
    assert refusal.value.hint


def test_a_file_is_sent_once(releases: Releases) -> None:
    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()
    assert releases.send(BytesIO(content), digest, len(content)) > len(content)
    assert releases.send(BytesIO(content), digest, len(content)) < 300


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to all values of a JSON value."""
    if not isinstance(value, dict):
        return [path]
    return [path, *(way for key in value for way in _paths(value[key], (*path, key)))][1:] or [path]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    return {**value, path[0]: _with(value[path[0]], path[1:], new)}
