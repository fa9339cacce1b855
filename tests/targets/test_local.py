"""This computer as a board: commands, their ends and their deadlines."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.local import LocalTransport
from targets.transport import DeadlineError, UnreachableError
from tests.device_agent.agents import ended_within, processes_with

BIG = bytes(range(256)) * 20_000  # 5 MB


@pytest.fixture(autouse=True)
def _no_file_is_left_open() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def here() -> Iterator[LocalTransport]:
    with LocalTransport() as transport:
        yield transport


def test_a_command_runs_to_its_end(here: LocalTransport) -> None:
    done = here.run("cat; echo bad >&2; exit 3", b"hello", 10)

    assert (done.exit_code, done.stdout, done.stderr) == (3, b"hello", b"bad\n")


def test_much_passes_both_ways_at_once(here: LocalTransport) -> None:
    assert here.run("cat", BIG, 20).stdout == BIG


def test_a_command_that_reads_nothing_is_fine(here: LocalTransport) -> None:
    assert here.run("exit 0", BIG, 10).exit_code == 0


def test_a_command_that_hangs_is_ended_with_its_children(
    here: LocalTransport, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="did not finish a command within 0 s") as late:
        here.run(f"sleep 61 & echo $! > {tmp_path}/pid; sleep 62", b"", 0.4)

    assert time.monotonic() - began < 30
    assert late.value.exit_code == 6
    assert ended_within(int((tmp_path / "pid").read_text()), 20)


def test_a_channel_is_two_way(here: LocalTransport) -> None:
    channel = here.open("echo note >&2; exec cat")
    channel.write(b"a", 5)
    first = channel.read(10, 5)
    channel.write(b"b", 5)
    second = channel.read(10, 5)
    channel.close()
    channel.close()

    assert (first, second) == (b"a", b"b")


def test_a_silent_channel_hits_the_deadline(here: LocalTransport) -> None:
    channel = here.open("exec sleep 63")
    with pytest.raises(DeadlineError, match="silent"):
        channel.read(1, 0.2)
    with pytest.raises(DeadlineError, match="silent"):
        channel.write(BIG, 0.2)
    channel.close()

    assert processes_with("sleep\x0063") == []


def test_an_ended_channel_tells_its_last_words(here: LocalTransport) -> None:
    channel = here.open("echo the reason >&2; exit 1")
    assert channel.read(10, 5) == b""
    with pytest.raises(UnreachableError, match="the reason"):
        for _ in range(10):
            channel.write(BIG, 5)

    assert channel.last_words() == "the reason"
    channel.close()


def test_a_command_that_ignores_its_closed_input_is_ended(here: LocalTransport) -> None:
    channel = here.open("trap '' TERM HUP INT; while :; do sleep 0.1; done")
    began = time.monotonic()
    channel.close()

    assert time.monotonic() - began < 30
    assert channel._process.poll() not in (None, 0)
