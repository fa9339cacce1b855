"""The agent as a process: what arrives on its wire, and how it and its jobs end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.codes import BAD_REQUEST
from device_agent.contract.wire import MAX_LINE_BYTES, Fault, Request, Result, encode, parse_reply
from device_agent.store.tree_files import write_list
from targets import agent_client
from targets.agent_client import AgentClient, AgentError
from targets.local import LocalChannel
from tests.device_agent.agents import (
    ended_within,
    files_below,
    open_agent,
    open_channel,
    processes_with,
    put,
    sha256_of,
)

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = sha256_of(CONTENT)
TREE = "b" * 64


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@contextlib.contextmanager
def wire(root: Path) -> Iterator[LocalChannel]:
    channel = open_channel(root)
    try:
        yield channel
    finally:
        channel.close()


def reply(channel: LocalChannel) -> Result | Fault:
    line = b""
    while not line.endswith(b"\n"):
        data = channel.read(1, 10)
        assert data, channel.last_words()
        line += data
    answer = parse_reply(line)
    assert isinstance(answer, Result | Fault)
    return answer


def begin_upload(channel: LocalChannel, offset: int = 0) -> None:
    args = {"sha256": SHA256, "size": len(CONTENT), "offset": offset}
    channel.write(encode(Request(1, "put", args)), 10)


def wait_for_size(path: Path, size: int) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_bad_lines_are_refused_and_the_conversation_goes_on(root: Path) -> None:
    with wire(root) as channel:
        for bad in (b"hello\n", b"\n", b"[]\n", b"\xff\n", b'{"v":1}\n'):
            channel.write(bad, 10)
            fault = reply(channel)
            assert isinstance(fault, Fault)
            assert (fault.id, fault.code, fault.traceback) == (0, BAD_REQUEST, "")
        channel.write(encode(Request(9, "hello", {})), 10)
        assert reply(channel).id == 9


def test_an_endless_line_ends_the_conversation(root: Path) -> None:
    with wire(root) as channel:
        channel.write(b"x" * (MAX_LINE_BYTES + 70_000), 10)
        fault = reply(channel)

        assert isinstance(fault, Fault)
        assert "at most" in fault.message
        assert channel.read(1, 10) == b""
        assert channel._process.wait(60) == 0
        assert channel.last_words() == ""


def test_a_killed_agent_resumes_with_the_rest_only(root: Path) -> None:
    partial = root / "store" / "partial" / SHA256
    with wire(root) as channel:
        begin_upload(channel)
        channel.write(CONTENT[: len(CONTENT) // 2], 10)
        wait_for_size(partial, 900_000)
        os.kill(channel._process.pid, signal.SIGKILL)
        channel._process.wait(60)
    kept = partial.stat().st_size

    with open_agent(root) as client:
        put(client, CONTENT)

        assert client.sent_bytes < len(CONTENT) - kept + 1000
        assert client.get(SHA256) == CONTENT
    assert files_below(root) == [f"store/scratch/{SHA256}"]


def test_a_host_that_leaves_in_mid_upload_ends_the_agent(root: Path) -> None:
    channel = open_channel(root)
    begin_upload(channel)
    channel.write(CONTENT[:500_000], 10)
    channel.close()

    assert channel._process.returncode == 0
    assert (root / "store" / "partial" / SHA256).read_bytes() == CONTENT[:500_000]


def test_a_host_that_is_silent_in_mid_upload_is_given_up(root: Path) -> None:
    """Its network is gone, so nothing closes; the file must not stay locked for others."""
    archive = root.parent / "short.py"
    archive.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from device_agent import __main__ as agent\n"
        "agent.SILENCE_S = 0.5\n"
        f"sys.exit(agent.main(['serve', {str(root)!r}]))\n"
    )
    with subprocess.Popen(
        [sys.executable, str(archive)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as agent:
        assert agent.stdin is not None
        args = {"sha256": SHA256, "size": len(CONTENT), "offset": 0}
        agent.stdin.write(encode(Request(1, "put", args)) + CONTENT[:100_000])
        agent.stdin.flush()

        assert agent.wait(60) == 0
        with open_agent(root) as client:
            put(client, CONTENT)
            assert client.get(SHA256) == CONTENT


def test_of_two_hosts_that_send_one_file_the_second_waits_and_sends_nothing(root: Path) -> None:
    partial = root / "store" / "partial" / SHA256
    with wire(root) as first, open_agent(root) as second:
        begin_upload(first)
        first.write(CONTENT[:500_000], 10)
        wait_for_size(partial, 400_000)
        waiting = threading.Thread(target=put, args=(second, CONTENT))
        waiting.start()
        waiting.join(0.7)
        assert waiting.is_alive()
        first.write(CONTENT[500_000:], 10)
        assert isinstance(reply(first), Result)
        waiting.join(60)

        assert not waiting.is_alive()
        assert second.sent_bytes < 2000
        assert second.get(SHA256) == CONTENT


def test_a_host_is_told_when_another_sends_for_too_long(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_client, "BUSY_TIMEOUT_S", 0.2)
    with wire(root) as first, open_agent(root) as second:
        begin_upload(first)
        first.write(CONTENT[:500_000], 10)
        wait_for_size(root / "store" / "partial" / SHA256, 400_000)
        with pytest.raises(AgentError, match="another host is sending") as refused:
            put(second, CONTENT)

    assert refused.value.code == "busy"


def sleeping_runtime(root: Path) -> None:
    folder = root / "store" / "runtimes" / TREE / "ai_edge_litert"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "interpreter.py").write_text(
        f"import os, time; open({str(root.parent / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    (folder.parent / "numpy.py").touch()
    write_list(str(folder.parent))


def begin_job(channel: LocalChannel, root: Path) -> int:
    """Starts a job that sleeps; returns its process."""
    sleeping_runtime(root)
    args = {"tree": TREE, "runtime": "ai-edge-litert", "timeout_s": 600}
    channel.write(encode(Request(1, "describe", args)), 10)
    wait_for_size(root.parent / "pid", 1)
    time.sleep(0.05)
    return int((root.parent / "pid").read_text())


@pytest.mark.parametrize("end", ["close", signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_when_the_agent_ends_in_mid_job(root: Path, end: object) -> None:
    with wire(root) as channel:
        job = begin_job(channel, root)
        if isinstance(end, signal.Signals):
            os.kill(channel._process.pid, end)
        else:
            assert channel._process.stdin is not None
            channel._process.stdin.close()

        assert ended_within(job, 60)
        assert ended_within(channel._process.pid, 60)
        assert "Traceback" not in channel.last_words()
    assert processes_with(str(root.parent / "agent.pyz")) == []


def test_a_wrong_start_says_how() -> None:
    for arguments in ([], ["serve"], ["fly"]):
        done = subprocess.run(
            [sys.executable, "-m", "device_agent", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("usage: ")


def test_the_agent_never_loads_what_only_a_job_needs(root: Path) -> None:
    with wire(root) as channel:
        AgentClient(channel, "board").call("hello", {})
        maps = Path(f"/proc/{channel._process.pid}/maps").read_text()

    assert "numpy" not in maps
    assert "ai_edge_litert" not in maps


def test_the_agent_loads_nothing_large_before_it_is_needed() -> None:
    """Each takes a share of the 8 MB that an agent may have on a small board."""
    large = {"dataclasses", "inspect", "zipfile", "traceback", "device_agent.contract.model_card"}
    shown = subprocess.run(
        [sys.executable, "-c", "import sys, device_agent.__main__; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "device_agent.session" in shown.stdout.split()
    assert not large & set(shown.stdout.split())
