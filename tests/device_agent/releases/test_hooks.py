"""Commands of the application, and what is removed when nothing uses it."""

import mmap
import os
import time
from pathlib import Path

import pytest

from device_agent.contract.codes import HOOK_FAILED, NOT_FOUND, RefusalError
from device_agent.contract.manifest import Hooks
from device_agent.releases import garbage, hooks, trials
from device_agent.releases.hooks import run_hook
from device_agent.store.folders import RESERVE_BYTES
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, SampleRelease


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_the_application_is_let_know(board: SampleBoard, tmp_path: Path) -> None:
    log = tmp_path / "log"
    reload = script(
        tmp_path / "reload", f'readlink "$KEDGE_CURRENT" >> {log}; echo "$1" >> {log}\n'
    )
    board.enrol()
    own = Hooks(reload=[reload, "a b; rm *"])
    first, second = SampleRelease(1, hooks=own), SampleRelease(2, hooks=own)
    board.stage(first)
    board.activate(first, 1, hooks=True)
    board.ask("confirm", first.confirm_request(1))
    board.stage(second)
    board.activate(second, 2, hooks=True)
    board.ask("revert", second.revert_request())

    lines = log.read_text().splitlines()
    links = [f"../../rel/{digest}" for digest in (first.digest, second.digest, first.digest)]
    assert lines[0::2] == links
    assert set(lines[1::2]) == {"a b; rm *"}


def test_commands_that_are_not_allowed_do_not_run(board: SampleBoard, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [script(tmp_path / "command", f"touch {mark}\n")]
    release = SampleRelease(1, hooks=Hooks(reload=command, health=command))
    board.enrol()
    board.stage(release)
    board.activate(release, 1)
    with pytest.raises(RefusalError) as refused:
        board.ask("health", {"app": APP})

    assert refused.value.code == HOOK_FAILED
    assert "hooks = true" in refused.value.hint
    assert not mark.exists()


@pytest.mark.parametrize("text", ["echo no such port; exit 3\n", "kill -9 $$\n", None])
def test_a_failed_reload_reverts_at_once(
    board: SampleBoard, tmp_path: Path, text: str | None
) -> None:
    path = str(tmp_path / "absent") if text is None else script(tmp_path / "reload", text)
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2, hooks=Hooks(reload=[path]))
    board.release(first, 1)
    board.stage(second)
    with pytest.raises(RefusalError) as refused:
        board.activate(second, 2, hooks=True)

    assert refused.value.code == HOOK_FAILED
    assert board.current() == first.files
    assert board.app()["trial"] is None
    assert "ended with" in board.app()["last_reason"]


def test_a_reload_that_hangs_is_ended(
    board: SampleBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "RELOAD_TIMEOUT_S", 0.3)
    release = SampleRelease(1, hooks=Hooks(reload=[script(tmp_path / "reload", "sleep 600\n")]))
    board.enrol()
    board.stage(release)
    began = time.monotonic()
    with pytest.raises(RefusalError, match="ended with 124"):
        board.activate(release, 1, hooks=True)

    assert time.monotonic() - began < 60


def test_health_is_what_the_command_says(board: SampleBoard, tmp_path: Path) -> None:
    text = "head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 4\n"
    release = SampleRelease(1, hooks=Hooks(health=[script(tmp_path / "health", text)]))
    with pytest.raises(RefusalError) as refused:
        board.ask("health", {"app": APP})
    assert refused.value.code == NOT_FOUND
    board.enrol()
    board.stage(release)
    board.activate(release, 1, hooks=True)
    answer = board.ask("health", {"app": APP})

    assert answer["exit_code"] == 4
    assert len(answer["output"]) == hooks.MOST_OUTPUT_BYTES
    assert answer["output"].endswith("xend\n")
    assert answer["duration_ms"] > 0


def test_a_service_that_a_command_starts_is_not_waited_for(tmp_path: Path) -> None:
    path = script(tmp_path / "start", "sleep 5 & echo started\n")
    end = run_hook([path], 60, {})

    assert (end.exit_code, end.output) == (0, "started\n")
    assert end.duration_ms < 4000


def collect(board: SampleBoard, **fields: object) -> dict[str, int]:
    answer: dict[str, int] = board.ask("collect", {"epoch": 1, "pinned": [], **fields})
    return answer


def test_what_nothing_uses_goes_a_while_after_it_was_seen(
    board: SampleBoard, clock: SampleClock
) -> None:
    board.enrol()
    releases = [SampleRelease(number) for number in (1, 2, 3)]
    for release in releases:
        board.release(release, release.manifest.counter)
    store = board.root / "store"
    seen = collect(board)
    assert (seen["removed"], seen["candidates"]) == (0, 2)
    assert len(list((store / "rel").iterdir())) == 3

    clock.since_boot_s += garbage.GRACE_S + 1
    freed = collect(board)
    assert (freed["removed"], freed["candidates"]) == (2, 0)
    assert freed["freed_bytes"] == len(b"model 1")
    assert {path.name for path in (store / "rel").iterdir()} == {r.digest for r in releases[1:]}
    assert board.current() == releases[2].files


def test_room_that_a_collection_would_make_counts_as_free(
    board: SampleBoard, clock: SampleClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.enrol()
    for number in (1, 2, 3):
        board.release(SampleRelease(number), number)
    facts = list(os.statvfs(board.root))
    facts[1], facts[4] = 1, RESERVE_BYTES  # f_frsize and f_bavail: nothing but the reserve
    size = len(b"model 1")
    wanted = {"sha256": ["a" * 64], "sizes": [size]}
    collect(board)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(facts))
    with pytest.raises(RefusalError, match="bytes are needed"):
        board.ask("missing", wanted)
    clock.since_boot_s += garbage.GRACE_S + 1

    assert board.ask("missing", wanted)["missing"] == wanted["sha256"]
    with pytest.raises(RefusalError, match="bytes are needed"):
        board.ask("missing", {**wanted, "sizes": [size + 1]})


def test_releases_in_use_stay(board: SampleBoard) -> None:
    board.enrol()
    releases = [SampleRelease(number) for number in (1, 2, 3, 4, 5, 6)]
    for release in releases[:3]:
        board.release(release, release.manifest.counter)
    board.stage(releases[3])
    board.activate(releases[3], 4)
    board.stage(releases[4])
    board.stage(releases[5])
    cas = board.root / "store" / "cas" / "sha256"
    mapped = (board.root / "store" / "rel" / releases[0].digest / "model.tflite").resolve()
    with mapped.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    folder = os.open(board.root / "store" / "rel" / releases[5].digest, os.O_RDONLY)
    collect(board, grace_s=0, pinned=[releases[4].digest])
    os.close(folder)

    names = {path.name for path in (board.root / "store" / "rel").iterdir()}
    assert names == {release.digest for release in releases[1:]}  # the oldest of a trial, too
    assert (cas / mapped.name).exists()
    view.close()
    collect(board, grace_s=0)
    assert not (cas / mapped.name).exists()
    board.ask("revert", releases[3].revert_request())
    assert board.current() == releases[2].files


class AgentEndError(BaseException):
    """A kill of the agent, which no code of it can handle."""


def end_agent(*_: object) -> None:
    raise AgentEndError


def ask_and_end(board: SampleBoard) -> None:
    with pytest.raises(AgentEndError):
        board.ask("releases")


def test_a_reload_that_ends_the_agent_does_so_twice_at_most(
    board: SampleBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2, hooks=Hooks(reload=["/bin/true"]))
    board.release(first, 1)
    board.stage(second)
    monkeypatch.setattr(trials, "run_hook", end_agent)
    with pytest.raises(AgentEndError):
        board.activate(second, 2, hooks=True)
    ask_and_end(board)

    assert "agent of the board ended" in board.app()["last_reason"]
    assert board.app()["trial"] is None
    assert board.current() == first.files


def test_a_way_back_whose_reload_ends_the_agent_is_completed(
    board: SampleBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.enrol()
    first, second = SampleRelease(1, hooks=Hooks(reload=["/bin/true"])), SampleRelease(2)
    board.stage(first)
    board.activate(first, 1, hooks=True)
    board.ask("confirm", first.confirm_request(1))
    board.stage(second)
    board.activate(second, 2, hooks=True)
    monkeypatch.setattr(trials, "run_hook", end_agent)
    with pytest.raises(AgentEndError):
        board.ask("revert", second.revert_request())
    ask_and_end(board)

    assert board.app()["trial"] is None
    assert board.current() == first.files


def test_a_reload_that_was_interrupted_is_begun_again(
    board: SampleBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    reload = script(tmp_path / "reload", f"echo loads >> {log}\n")
    release = SampleRelease(1, hooks=Hooks(reload=[reload]))
    board.enrol()
    board.stage(release)
    with monkeypatch.context() as patch:
        patch.setattr(trials, "run_hook", end_agent)
        with pytest.raises(AgentEndError):
            board.activate(release, 1, hooks=True)

    assert board.app()["trial"] is not None
    board.ask("confirm", release.confirm_request(1))
    assert log.read_text() == "loads\n"
